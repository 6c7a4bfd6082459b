"""The console's shelf: the smallest manifests that bring a holder up to date, and nothing that is not stored."""

from typing import Any

import pytest

from isthmus.console import publication as module
from isthmus.console.publication import Publication
from isthmus.generated import stream_pb2 as wire
from isthmus.identity import Signer, parse_signing_keys
from isthmus.model import Object
from isthmus.model.document import parse_documents
from isthmus.model.object import System
from isthmus.protocol import Link, Version
from isthmus.protocol.manifest import Chain, extend_chain
from isthmus.slice import SliceIndex

FRA = "default/site/fra"
SIGNER = Signer.create()
KEYS = parse_signing_keys([SIGNER.public_pem])


def build(kind: str, name: str, spec: Any, number: int = 1) -> Object:
    parsed = parse_documents([{"apiVersion": "isthmus/v1", "kind": kind, "metadata": {"name": name}, "spec": spec}])
    assert not parsed.diagnostics
    return parsed.objects[0].with_system(System(created=1, number=number))


def region(name: str) -> Object:
    return build("Region", name, {"address": "192.0.2.1"})


def site(*regions: str, drained: bool = False) -> Object:
    return build("Site", "fra", {"regions": list(regions), "drained": drained})


class World:
    """Slices, what is published of them, and a holder that takes every link."""

    def __init__(self) -> None:
        self.index = SliceIndex([region("eu"), region("us"), site("eu")])
        self.publication = Publication(SIGNER, self.index)
        for subject in self.index.subjects():
            self.publication.start(subject, Version(1, 1))
        self.revision = 1

    def edit(self, *objects: Object, publish: bool = True) -> Any:
        deltas = self.index.apply({obj.key: obj for obj in objects})
        self.publication.hold_back(deltas)
        self.revision += 1
        if publish:
            self.publish(deltas)
        return deltas

    def publish(self, deltas: Any) -> None:
        for subject, delta in deltas.items():
            self.publication.publish(subject, Version(1, self.revision), delta)

    def links(self, held: Version | None, peer: str = "default/region/eu") -> tuple[Link, ...]:
        served = self.publication.chain(FRA, peer)
        assert served is not None
        return served.since(held)


def take(held: Chain | None, links: tuple[Link, ...]) -> Chain:
    """Apply links as a region does, with signatures verified."""
    messages = [wire.SignedManifest.FromString(link.signed) for link in links]
    chain = extend_chain(held, FRA, messages, KEYS)
    assert chain is not None
    return chain


def test_a_holder_that_follows_gets_deltas_and_holds_the_slice() -> None:
    world = World()
    chain = take(None, world.links(None))
    for drained in (True, False, True):
        world.edit(site("eu", drained=drained))
        links = world.links(chain.state.version)
        assert [link.base for link in links] == [world.revision - 1]
        chain = take(chain, links)
        assert chain.state == world.publication.state(FRA)
    assert chain.state.entries == {str(key): digest for key, digest in world.index.slice_of(FRA).items()}
    assert world.links(chain.state.version) == ()


def test_a_holder_that_was_away_gets_the_deltas_since() -> None:
    world = World()
    chain = take(None, world.links(None))
    for drained in (True, False, True):
        world.edit(site("eu", drained=drained))
    links = world.links(chain.state.version)
    assert [link.base for link in links] == [1, 2, 3]
    assert take(chain, links).state == world.publication.state(FRA)


@pytest.mark.parametrize("held", [None, Version(0, 9), Version(1, 0)])
def test_a_holder_of_something_else_gets_the_whole(held: Version | None) -> None:
    world = World()
    world.edit(site("eu", drained=True))
    links = world.links(held)
    assert [link.base for link in links] == [0]
    assert take(None, links).state == world.publication.state(FRA)


def test_a_holder_of_a_higher_version_gets_nothing() -> None:
    world = World()
    assert world.links(Version(2, 0)) == ()
    assert world.links(Version(1, 1)) == ()


def test_nothing_leaves_before_it_is_stored() -> None:
    world = World()
    chain = take(None, world.links(None))
    deltas = world.edit(site("eu", drained=True), publish=False)
    assert world.links(None) == ()
    assert world.links(Version(1, 1)) == ()
    world.publish(deltas)
    assert take(chain, world.links(chain.state.version)).state == world.publication.state(FRA)


def test_an_edit_that_was_taken_back_leaves_no_trace() -> None:
    world = World()
    before = take(None, world.links(None)).state
    deltas = world.edit(site("eu", drained=True), publish=False)
    undone = site("eu")
    world.index.apply({undone.key: undone})
    world.publication.release(deltas)
    assert take(None, world.links(None)).state == before


def test_long_chains_start_anew(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_FEW_DELTAS", 4)
    world = World()
    chain = take(None, world.links(None))
    bases = []
    for step in range(12):
        world.edit(site("eu", drained=step % 2 == 0))
        links = world.links(chain.state.version)
        bases.append(links[0].base)
        chain = take(chain, links)
    assert bases.count(0) == 2, "a whole manifest after every four deltas"
    assert chain.state == world.publication.state(FRA)


def test_regions_are_served_their_own_sites_alone() -> None:
    world = World()
    eu, us = "default/region/eu", "default/region/us"
    assert set(world.publication.subjects(eu)) == {eu, FRA}
    assert set(world.publication.subjects(us)) == {us}
    assert world.publication.chain(FRA, us) is None
    assert world.publication.chain(eu, us) is None
    assert set(world.publication.audience(FRA)) == {FRA, eu}


def test_a_region_that_is_left_passes_the_news_on() -> None:
    world = World()
    eu, us = "default/region/eu", "default/region/us"
    chain = take(None, world.links(None))
    world.edit(site("us"))
    assert world.publication.left(FRA) == ("eu",)
    assert set(world.publication.audience(FRA)) == {FRA, eu, us}
    chain = take(chain, world.links(chain.state.version, eu))
    assert chain.state.regions == ("us",)
    world.publication.heard(FRA, Version(1, 1))
    assert FRA in world.publication.subjects(eu), "an old version was heard"
    world.publication.heard(FRA, chain.state.version)
    assert world.publication.chain(FRA, eu) is None
    assert FRA in world.publication.subjects(us)


def delete(world: World) -> None:
    deltas = world.index.apply({site().key: None})
    world.publication.hold_back(deltas)
    world.revision += 1
    world.publish(deltas)


def test_a_deleted_site_is_not_served_any_more() -> None:
    world = World()
    delete(world)
    assert world.publication.version(FRA) is None
    assert FRA not in world.publication.versions()
    assert world.publication.chain(FRA, FRA) is None
    assert world.publication.chain(FRA, "default/region/us") is None
    assert FRA not in world.publication.subjects("default/region/us")
    world.edit(site("eu"))
    assert take(None, world.links(None)).state.version == (1, 3)


def test_the_regions_of_a_deleted_site_hear_of_it() -> None:
    world = World()
    held = take(None, world.links(None))
    world.edit(site("eu", drained=True))
    follower = take(held, world.links(held.state.version))
    delete(world)
    assert set(world.publication.audience(FRA)) == {"default/region/eu"}
    for chain in (held, follower):
        last = take(chain, world.links(chain.state.version))
        assert (last.state.version, last.state.regions, last.state.site_number) == ((1, 3), (), 0)
        assert last.state.entries == chain.state.entries, "it keeps what it has"
        assert world.links(last.state.version) == ()
    assert world.links(None) == (), "there is nothing to tell who holds nothing"
    world.edit(site("eu"))
    again = take(last, world.links(last.state.version))
    assert (again.state.version, again.state.regions) == ((1, 4), ("eu",))


def test_a_region_that_was_away_hears_of_a_deletion_from_the_next_console() -> None:
    world = World()
    held = take(None, world.links(None))
    world.index.apply({site().key: None})
    after = Publication(SIGNER, world.index)
    after.start_farewell(FRA, Version(1, 2), ["eu"])
    served = after.chain(FRA, "default/region/eu")
    assert served is not None
    assert "default/site/fra" in after.subjects("default/region/eu")
    assert take(held, served.since(held.state.version)).state.regions == ()
    assert served.since(Version(2, 1)) == (), "a later epoch knows better"
