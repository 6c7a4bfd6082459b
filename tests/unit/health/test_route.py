"""Routes and where they live."""

import pytest

from isthmus.health.codec import RouteError, RouteSpace, VpnRoute, decode_route, encode_route
from isthmus.health.route import EndpointRoute

SPACE = RouteSpace.of("isthmus.example")


def test_the_prefix_of_a_deployment_is_a_unique_local_one() -> None:
    network = SPACE.site_network(5)
    assert (network.prefixlen, network.is_private) == (80, True)
    assert str(network).startswith("fd")
    assert RouteSpace.of("other.example") != SPACE


def test_a_route_as_people_see_it_in_gobgp() -> None:
    subsets = frozenset({8, 2**32 - 1})
    route = EndpointRoute(site=5, endpoint=7, cluster=9, weight=3, changed_at=2**32 + 1, draining=True, subsets=subsets)
    vpn = encode_route(SPACE, route)
    assert vpn.prefix.endswith(":0:5::7")
    assert (vpn.length, vpn.distinguisher, vpn.targets) == (128, (64512, 5), ((64512, 9),))
    said = ((64512, 1, 3), (64512, 2, 1), (64512, 3, 1), (64512, 4, 1))
    assert vpn.communities == (*said, (64512, 16, 8), (64512, 17, 2**32 - 1))


@pytest.mark.parametrize(
    "values", [(0, 1, 1, 1, 1), (1, 0, 1, 1, 1), (1, 1, 0, 1, 1), (1, 1, 1, -1, 1), (1, 2**48, 1, 1, 1)]
)
def test_values_out_of_range_are_refused(values: tuple[int, int, int, int, int]) -> None:
    with pytest.raises(ValueError, match="is not within"):
        EndpointRoute(*values)


@pytest.mark.parametrize(("said", "subsets"), [(0, frozenset()), (7, frozenset({7}))])
def test_routes_of_older_releases_name_at_most_one_subset(said: int, subsets: frozenset[int]) -> None:
    vpn = encode_route(SPACE, EndpointRoute(5, 7, 9, 3, 1))
    older = VpnRoute(vpn.prefix, vpn.length, vpn.distinguisher, vpn.targets, (*vpn.communities, (64512, 5, said)))
    assert decode_route(SPACE, older) == EndpointRoute(5, 7, 9, 3, 1, subsets=subsets)


def test_no_function_has_two_values() -> None:
    """Releases that know nothing of subsets would refuse such a route."""
    vpn = encode_route(SPACE, EndpointRoute(5, 7, 9, 3, 1, subsets=frozenset(range(1, 33))))
    functions = [function for _, function, _ in vpn.communities]
    assert len(functions) == len(set(functions)) == 36


def test_functions_of_a_newer_release_are_ignored() -> None:
    vpn = encode_route(SPACE, EndpointRoute(5, 7, 9, 3, 1))
    newer = VpnRoute(
        vpn.prefix, vpn.length, vpn.distinguisher, vpn.targets, (*vpn.communities, (64512, 99, 1), (1, 1, 1))
    )
    assert decode_route(SPACE, newer) == EndpointRoute(5, 7, 9, 3, 1)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"length": 64}, "prefix length"),
        ({"distinguisher": (64512, 6)}, "does not name site 5"),
        ({"targets": ()}, "0 route targets"),
        ({"targets": ((64512, 1), (64512, 2))}, "2 route targets"),
        ({"targets": ((1, 9),)}, "not of AS"),
        ({"communities": ()}, "no weight and no change time"),
        ({"communities": ((64512, 1, 1), (64512, 1, 2), (64512, 3, 0))}, "two values"),
        ({"communities": ((64512, 1, 2**31), (64512, 3, 0))}, "weight"),
    ],
)
def test_what_is_wrong_is_said(change: dict[str, object], words: str) -> None:
    vpn = encode_route(SPACE, EndpointRoute(5, 7, 9, 3, 1))
    fields = {name: getattr(vpn, name) for name in VpnRoute.__slots__} | change
    with pytest.raises(RouteError, match=words):
        decode_route(SPACE, VpnRoute(**fields))
