from isthmus.engine.gobgp.reflector import ReflectorConfig
from isthmus.identity import Identity, Role
from isthmus.model import Namespace, Region, emit_envelope
from isthmus.protocol import State, Version
from isthmus.region.roster import RegionPlace, Roster, SitePlace, parse_regions

EU = Identity("example.net", Role.REGION, "default", "eu")
FRA = "default/site/fra"


def region(name: str, number: int | None, port: int = 7443) -> Region:
    return Region.model_validate(
        {
            "apiVersion": "isthmus/v1",
            "kind": "Region",
            "metadata": {"name": name},
            "spec": {"address": "10.0.0.1", "port": port, "bgpPort": 7179},
            "system": {"created": 1, "number": number},
        }
    )


def place(name: str, number: int, port: int = 7443) -> RegionPlace:
    return RegionPlace(name, number, "10.0.0.1", port, 7179)


def site(number: int, *clusters: int, regions: tuple[str, ...] = ("eu", "us"), revision: int = 1) -> State:
    return State(FRA, Version(1, revision), {"default/Site//fra": "00"}, number, clusters, regions)


def test_a_region_knows_itself_and_the_others() -> None:
    roster = Roster(EU)
    assert roster.learn_regions([region("eu", 1), region("us", 2), region("ap", 3), region("new", None)])
    assert roster.own == place("eu", 1)
    assert roster.others == {"us": place("us", 2), "ap": place("ap", 3)}
    assert not roster.learn_regions([region("eu", 1), region("us", 2), region("ap", 3)])
    assert roster.learn_regions([region("eu", 1, port=9), region("us", 2), region("ap", 3)])


def test_of_two_regions_the_one_whose_name_comes_first_dials() -> None:
    roster = Roster(EU)
    roster.learn_regions([region("eu", 1), region("us", 2), region("ap", 3)])
    assert [other.name for other in roster.dialled] == ["us"]


def test_a_site_is_a_neighbour_as_long_as_its_manifest_names_the_region() -> None:
    roster = Roster(EU)
    assert roster.learn_site(site(7, 3, 5))
    assert roster.sites == {FRA: SitePlace(7, frozenset({3, 5}))}
    assert not roster.learn_site(site(7, 5, 3, revision=2))
    assert roster.learn_site(site(7, 3))
    assert roster.learn_site(site(7, 3, regions=("us",)))
    assert roster.sites == {}


def test_a_site_without_a_number_is_no_neighbour() -> None:
    roster = Roster(EU)
    assert not roster.learn_site(site(0))


def test_the_reflector_gets_numbers() -> None:
    roster = Roster(EU)
    roster.learn_regions([region("eu", 1), region("us", 2)])
    roster.learn_site(site(7, 3, 5))
    assert roster.reflector == ReflectorConfig(sites={7: frozenset({3, 5})}, regions=frozenset({2}))


def test_a_certificate_is_its_owner_and_nobody_elses() -> None:
    roster = Roster(EU)
    roster.learn_regions([region("eu", 1), region("us", 2)])
    roster.learn_site(site(7))
    assert roster.neighbour("spiffe://example.net/tenant/default/site/fra/node/0") == SitePlace(7, frozenset())
    assert roster.neighbour("spiffe://example.net/tenant/default/region/us/node/0") == place("us", 2)
    for uri in (
        "spiffe://example.net/tenant/default/site/nyc/node/0",
        "spiffe://example.net/tenant/other/site/fra/node/0",
        "spiffe://other.net/tenant/default/site/fra/node/0",
        "spiffe://example.net/tenant/default/region/eu/node/0",
        "spiffe://example.net/console/node/0",
        "https://example.net/",
    ):
        assert roster.neighbour(uri) is None


def test_of_objects_of_another_release_what_is_understood_is_learned() -> None:
    eu, us = (emit_envelope(region(name, number)) for name, number in (("eu", 1), ("us", 2)))
    later = eu.replace(b'"spec":{', b'"spec":{"fromTheFuture":1,')
    namespace = emit_envelope(
        Namespace.model_validate({"apiVersion": "isthmus/v1", "kind": "Namespace", "metadata": {"name": "shop"}})
    )
    known = {"default/Region//eu": later, "default/Region//us": us, "default/Namespace//shop": namespace, "odd": b"{}"}
    roster = Roster(EU)
    assert roster.learn_regions(*parse_regions(known))
    assert (roster.own, roster.others) == (place("eu", 1), {"us": place("us", 2)})
    known["default/Region//us"] = us.replace(b'"port":7443', b'"port":"a new form"')
    assert not roster.learn_regions(*parse_regions(known)), "what was known of a region that is not understood holds"
    assert roster.others == {"us": place("us", 2)}
    del known["default/Region//us"]
    assert roster.learn_regions(*parse_regions(known))
    assert roster.others == {}
