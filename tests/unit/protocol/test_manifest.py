from hashlib import sha256

import pytest
from hypothesis import given
from hypothesis import strategies as st

from isthmus.generated import stream_pb2 as wire
from isthmus.identity import Signer, parse_signing_keys
from isthmus.protocol import Chain, ManifestGap, ManifestRefused, State, Version
from isthmus.protocol.manifest import MAX_DELTAS, extend_chain, restore_chain, sign_state, sign_successor

SIGNER = Signer.create()
KEYS = parse_signing_keys([SIGNER.public_pem])
FRA = "default/site/fra"


def digest(text: str) -> str:
    return sha256(text.encode()).hexdigest()


def state(revision: int, /, epoch: int = 1, number: int = 7, **objects: str) -> State:
    return state_of(objects, revision, epoch, number)


def state_of(objects: dict[str, str], revision: int, epoch: int = 1, number: int = 7) -> State:
    entries = {f"default/Cluster/shop/{name}": digest(text) for name, text in objects.items()}
    return State(FRA, Version(epoch, revision), entries, number, (3, 5), ("eu", "us"))


def sent(chain: Chain, held: Version | None = None) -> list[wire.SignedManifest]:
    return [wire.SignedManifest.FromString(link.signed) for link in chain.since(held)]


def receive(held: Chain | None, *updates: wire.SignedManifest, subject: str = FRA) -> Chain | None:
    return extend_chain(held, subject, updates, KEYS)


def taken(held: Chain | None, *updates: wire.SignedManifest) -> Chain:
    chain = receive(held, *updates)
    assert chain is not None
    return chain


def test_a_full_manifest_arrives_as_it_was_signed() -> None:
    assert taken(None, *sent(sign_state(state(4, web="a", api="b"), SIGNER))).state == state(4, web="a", api="b")


def test_a_delta_adds_changes_and_removes() -> None:
    first = sign_state(state(4, web="a", api="b", old="c", far="z"), SIGNER)
    second = sign_successor(first, state(6, number=8, web="a", api="B", new="d", far="z"), SIGNER)
    held = taken(None, *sent(first))
    (delta,) = sent(second, held.state.version)
    manifest = wire.Manifest.FromString(delta.manifest)
    assert manifest.base_revision == 4
    assert [entry.key for entry in manifest.entries] == ["default/Cluster/shop/api", "default/Cluster/shop/new"]
    assert list(manifest.removed) == ["default/Cluster/shop/old"]
    assert taken(held, delta).state == state(6, number=8, web="a", api="B", new="d", far="z")


@given(st.lists(st.dictionaries(st.sampled_from("abcdef"), st.sampled_from("xyz"), min_size=1), min_size=1, max_size=6))
def test_deltas_add_up_to_the_last_state(contents: list[dict[str, str]]) -> None:
    chain = sign_state(state_of(contents[0], 1), SIGNER)
    held = taken(None, *sent(chain))
    for revision, content in enumerate(contents[1:], start=2):
        chain = sign_successor(chain, state_of(content, revision), SIGNER)
        held = taken(held, *sent(chain, held.state.version))
        assert held.state == chain.state == state_of(content, revision)
    assert taken(None, *sent(chain)).state == chain.state


def test_signing_is_reproducible() -> None:
    assert sign_state(state(4, web="a", api="b"), SIGNER) == sign_state(state(4, api="b", web="a"), SIGNER)


@pytest.mark.parametrize(("epoch", "revision"), [(1, 4), (1, 3), (0, 9)])
def test_a_version_that_is_not_higher_is_ignored(epoch: int, revision: int) -> None:
    held = taken(None, *sent(sign_state(state(4, web="a"), SIGNER)))
    assert receive(held, *sent(sign_state(state(revision, epoch, web="b"), SIGNER))) is None


def test_a_higher_epoch_wins_over_a_higher_revision() -> None:
    held = taken(None, *sent(sign_state(state(900, web="a"), SIGNER)))
    assert taken(held, *sent(sign_state(state(2, epoch=2, web="b"), SIGNER))).state.version == Version(2, 2)


def test_no_updates_change_nothing() -> None:
    held = taken(None, *sent(sign_state(state(4, web="a"), SIGNER)))
    assert receive(held) is None


def test_a_tampered_manifest_is_refused() -> None:
    (signed,) = sent(sign_state(state(4, web="a"), SIGNER))
    signed.manifest = signed.manifest.replace(b"web", b"wob")
    with pytest.raises(ManifestRefused, match="changed on the way"):
        receive(None, signed)


def test_a_manifest_by_another_key_is_refused() -> None:
    with pytest.raises(ManifestRefused, match="not trusted here"):
        receive(None, *sent(sign_state(state(4, web="a"), Signer.create())))


def test_a_manifest_of_another_subject_is_refused() -> None:
    with pytest.raises(ManifestRefused, match="was sent as one of"):
        receive(None, *sent(sign_state(state(4, web="a"), SIGNER)), subject="default/site/nyc")


def test_a_manifest_without_objects_is_neither_signed_nor_taken() -> None:
    with pytest.raises(ValueError, match="remove everything"):
        sign_state(state(4), SIGNER)
    held = taken(None, *sent(sign_state(state(4, web="a"), SIGNER)))
    body = wire.Manifest(subject=FRA, epoch=1, revision=5).SerializeToString()
    empty = wire.SignedManifest(manifest=body, signature=SIGNER.sign("manifest", body), key_id=SIGNER.key_id)
    with pytest.raises(ManifestRefused, match="remove all"):
        receive(held, empty)


def test_bytes_that_are_no_manifest_are_refused() -> None:
    with pytest.raises(ManifestRefused, match="cannot be read"):
        receive(None, wire.SignedManifest(manifest=b"\xff\xff"))


def test_a_delta_on_a_base_that_is_not_held_is_a_gap() -> None:
    first = sign_state(state(4, web="a"), SIGNER)
    second = sign_successor(first, state(5, web="b"), SIGNER)
    third = sign_successor(second, state(6, web="c"), SIGNER)
    with pytest.raises(ManifestGap):
        receive(taken(None, *sent(first)), *sent(third, Version(1, 5)))
    with pytest.raises(ManifestGap):
        receive(None, *sent(third, Version(1, 5)))


def test_a_whole_chain_closes_a_gap_though_it_begins_below_what_is_held() -> None:
    first = sign_state(state(4, web="a"), SIGNER)
    last = sign_successor(sign_successor(first, state(5, web="b"), SIGNER), state(9, web="c"), SIGNER)
    held = taken(None, *sent(sign_state(state(7, web="other"), SIGNER)))
    assert taken(held, *sent(last)).state == state(9, web="c")


def test_a_delta_of_another_epoch_does_not_apply() -> None:
    first = sign_state(state(4, web="a"), SIGNER)
    (delta,) = sent(sign_successor(first, state(5, web="b"), SIGNER), Version(1, 4))
    held = taken(None, *sent(sign_state(state(4, epoch=0, web="a"), SIGNER)))
    with pytest.raises(ManifestGap):
        receive(held, delta)


def test_a_new_epoch_starts_a_new_chain() -> None:
    chain = sign_successor(sign_state(state(4, web="a"), SIGNER), state(2, epoch=2, web="a", api="b"), SIGNER)
    assert chain.deltas == ()


def test_a_long_chain_starts_anew() -> None:
    chain = sign_state(state(1, web="a", far="z"), SIGNER)
    for revision in range(2, MAX_DELTAS + 2):
        chain = sign_successor(chain, state(revision, web=str(revision), far="z"), SIGNER)
    assert len(chain.deltas) == MAX_DELTAS
    chain = sign_successor(chain, state(99, web="new", far="z"), SIGNER)
    assert (chain.deltas, chain.full.version) == ((), Version(1, 99))


def test_a_chain_gives_each_holder_what_it_lacks() -> None:
    chain = sign_state(state(1, web="a", far="z"), SIGNER)
    for revision in (2, 4):
        chain = sign_successor(chain, state(revision, web=str(revision), far="z"), SIGNER)
    assert [link.version.revision for link in chain.since(None)] == [1, 2, 4]
    assert [link.version.revision for link in chain.since(Version(1, 1))] == [2, 4]
    assert [link.version.revision for link in chain.since(Version(1, 2))] == [4]
    assert [link.version.revision for link in chain.since(Version(1, 3))] == [1, 2, 4]
    assert chain.since(Version(1, 4)) == chain.since(Version(2, 1)) == ()


def test_a_chain_is_restored_from_its_links() -> None:
    chain = sign_successor(sign_state(state(1, web="a", far="z"), SIGNER), state(2, web="b", far="z"), SIGNER)
    assert restore_chain(FRA, [link.signed for link in chain.since(None)]) == chain


def test_a_damaged_chain_is_not_restored() -> None:
    chain = sign_successor(sign_state(state(1, web="a", far="z"), SIGNER), state(2, web="b", far="z"), SIGNER)
    with pytest.raises(ManifestRefused, match="damaged"):
        restore_chain(FRA, [chain.deltas[0].signed])
    with pytest.raises(ManifestRefused, match="damaged"):
        restore_chain(FRA, [])
