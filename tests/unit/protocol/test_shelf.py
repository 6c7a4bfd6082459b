from hashlib import sha256

import pytest

from isthmus.identity import NameInvalid, Signer
from isthmus.protocol import Publisher, Version

FRA, EU, US = "default/site/fra", "default/region/eu", "default/region/us"
WEB = {"default/Cluster/shop/web": sha256(b"web").hexdigest()}
API = {"default/Cluster/shop/api": sha256(b"api").hexdigest()}


def publisher() -> Publisher:
    return Publisher(Signer.create(), lambda digest: None)


def test_a_site_and_the_regions_it_names_may_have_its_manifest() -> None:
    shelf = publisher()
    assert shelf.publish(FRA, Version(1, 1), WEB, regions=["eu"])
    assert set(shelf.audience(FRA)) == {FRA, EU}
    assert shelf.subjects(EU) == [EU, FRA]
    assert shelf.subjects(US) == [US]
    assert shelf.chain(FRA, FRA) == shelf.chain(FRA, EU) is not None
    assert shelf.chain(FRA, US) is None
    assert shelf.chain(FRA, "other/region/eu") is None
    assert shelf.chain(FRA, "default/site/nyc") is None


def test_the_same_content_is_not_published_again() -> None:
    shelf = publisher()
    shelf.publish(FRA, Version(1, 1), WEB, regions=["eu"], import_clusters=[2, 1])
    assert not shelf.publish(FRA, Version(1, 2), dict(WEB), regions=["eu"], import_clusters=[1, 2])
    state = shelf.state(FRA)
    assert state is not None
    assert (state.version, state.import_clusters) == (Version(1, 1), (1, 2))


@pytest.mark.parametrize("change", [{"regions": ["us"]}, {"site_number": 4}, {"import_clusters": [9]}])
def test_every_field_counts_as_content(change: dict[str, object]) -> None:
    shelf = publisher()
    shelf.publish(FRA, Version(1, 1), WEB, regions=["eu"])
    assert shelf.publish(FRA, Version(1, 2), WEB, **{"regions": ["eu"], **change})  # type: ignore[arg-type]


def test_a_region_that_a_site_leaves_gets_the_manifest_that_says_so_and_no_other() -> None:
    shelf = publisher()
    shelf.publish(FRA, Version(1, 1), WEB, regions=["eu"])
    shelf.publish(FRA, Version(1, 2), WEB, regions=["us"])
    shelf.publish(FRA, Version(1, 3), WEB | API, regions=["us"])
    left, current = shelf.chain(FRA, EU), shelf.chain(FRA, US)
    assert left is not None
    assert current is not None
    assert (left.state.version, left.state.regions) == (Version(1, 2), ("us",))
    assert current.state.version == Version(1, 3)
    assert shelf.subjects(EU) == [EU, FRA]


def test_a_region_that_a_site_comes_back_to_gets_everything_again() -> None:
    shelf = publisher()
    for revision, region in enumerate(["eu", "us", "eu"], start=1):
        shelf.publish(FRA, Version(1, revision), WEB, regions=[region])
    chain = shelf.chain(FRA, EU)
    assert chain is not None
    assert chain.state.version == Version(1, 3)


def test_a_withdrawn_subject_is_served_to_nobody() -> None:
    shelf = publisher()
    shelf.publish(FRA, Version(1, 1), WEB, regions=["eu"])
    shelf.publish(FRA, Version(1, 2), WEB, regions=["us"])
    shelf.withdraw(FRA)
    assert [shelf.chain(FRA, peer) for peer in (FRA, EU, US)] == [None, None, None]
    assert shelf.subjects(US) == [US]
    assert set(shelf.audience(FRA)) == set()


def test_a_subject_that_is_withdrawn_with_a_version_leaves_its_regions() -> None:
    shelf = publisher()
    shelf.publish(FRA, Version(1, 1), WEB, regions=["eu"])
    shelf.withdraw(FRA, Version(1, 2))
    last = shelf.chain(FRA, EU)
    assert last is not None
    assert (last.state.version, last.state.regions) == (Version(1, 2), ())
    assert set(shelf.audience(FRA)) == {EU}
    assert shelf.chain(FRA, FRA) is None
    assert shelf.publish(FRA, Version(1, 3), WEB, regions=["eu"])
    again = shelf.chain(FRA, EU)
    assert again is not None
    assert again.state.version == Version(1, 3)


def test_a_new_key_signs_everything_anew() -> None:
    shelf, signer = publisher(), Signer.create()
    shelf.publish(FRA, Version(1, 1), WEB, regions=["eu"])
    assert shelf.resign(signer, Version(1, 5)) == [FRA]
    chain = shelf.chain(FRA, EU)
    assert chain is not None
    assert (chain.state.version, chain.deltas) == (Version(1, 5), ())


def test_a_text_that_is_no_subject_is_refused() -> None:
    with pytest.raises(NameInvalid):
        publisher().publish("fra", Version(1, 1), WEB)
