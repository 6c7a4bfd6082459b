from hashlib import sha256
from pathlib import Path

import pytest

from isthmus.identity import Signer
from isthmus.protocol import Cache, CachedBodies, Chain, State, Version
from isthmus.protocol.manifest import sign_state, sign_successor

SIGNER = Signer.create()


def digest(text: str) -> str:
    return sha256(text.encode()).hexdigest()


def state(subject: str, revision: int, *texts: str) -> State:
    return State(subject, Version(1, revision), {f"default/Cluster/shop/{at}": digest(t) for at, t in enumerate(texts)})


def bodies(*texts: str) -> dict[str, bytes]:
    return {digest(text): text.encode() for text in texts}


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "stream" / "cache.sqlite"


def reopen(path: Path) -> tuple[list[Chain], CachedBodies]:
    cache = Cache(path)
    return cache.load_chains(), CachedBodies(cache)


def test_manifests_and_objects_are_there_after_a_restart(path: Path) -> None:
    cache = Cache(path)
    first = sign_state(state("default/site/fra", 1, "a", "b"), SIGNER)
    cache.save([first], bodies("a", "b"))
    second = sign_successor(first, state("default/site/fra", 2, "a", "c"), SIGNER)
    other = sign_state(state("default/site/nyc", 1, "a"), SIGNER)
    cache.save([second, other], bodies("c"))
    chains, objects = reopen(path)
    assert chains == [second, other]
    assert (objects.get(digest("c")), objects.get(digest("z"))) == (b"c", None)
    assert path.stat().st_mode & 0o777 == 0o600


def test_a_new_full_manifest_replaces_the_old_chain(path: Path) -> None:
    cache = Cache(path)
    first = sign_state(state("default/site/fra", 1, "a", "b"), SIGNER)
    cache.save([sign_successor(first, state("default/site/fra", 2, "a", "c"), SIGNER)], bodies("a", "b", "c"))
    anew = sign_state(state("default/site/fra", 9, "a"), SIGNER)
    cache.save([anew], {})
    assert reopen(path)[0] == [anew]


def test_a_manifest_without_its_objects_is_left_out(path: Path) -> None:
    Cache(path).save([sign_state(state("default/site/fra", 1, "a", "b"), SIGNER)], bodies("a"))
    assert reopen(path)[0] == []


def test_a_dropped_subject_is_gone(path: Path) -> None:
    cache = Cache(path)
    cache.save([sign_state(state("default/site/fra", 1, "a"), SIGNER)], bodies("a"))
    cache.save([], {}, ["default/site/fra"])
    assert reopen(path)[0] == []


def test_a_sweep_keeps_what_is_named(path: Path) -> None:
    cache = Cache(path)
    cache.save([], bodies("a", "b"))
    cache.sweep({digest("b")})
    objects = reopen(path)[1]
    assert (objects.has(digest("a")), objects.has(digest("b"))) == (False, True)


def test_a_file_that_is_no_database_is_put_aside(path: Path) -> None:
    path.parent.mkdir()
    path.write_bytes(b"not a database " * 100)
    cache = Cache(path)
    assert cache.load_chains() == []
    cache.save([], bodies("a"))
    assert cache.load_body(digest("a")) == b"a"
    assert path.with_suffix(".damaged").read_bytes().startswith(b"not a database")


def test_recent_objects_are_bounded_and_all_stay_readable(path: Path) -> None:
    cache = Cache(path)
    objects = CachedBodies(cache, recent_bytes=10)
    texts = [f"object {number}" for number in range(5)]
    for text in texts:
        objects.put(digest(text), text.encode())
    unsaved = objects.unsaved
    assert unsaved == bodies(*texts)
    cache.save([], unsaved)
    objects.saved(unsaved)
    assert objects.unsaved == {}
    assert [objects.get(digest(text)) for text in texts] == [text.encode() for text in texts]
    objects.keep_only([digest(texts[0])])
    assert [objects.has(digest(text)) for text in texts] == [True, False, False, False, False]
    assert objects.get(digest(texts[1])) is None
