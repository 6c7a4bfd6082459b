"""The codec round-trips; arbitrary routes decode or are refused."""

import ipaddress

import pytest
from google.protobuf.any_pb2 import Any
from hypothesis import given
from hypothesis import strategies as st

from isthmus.emit.gobgp.path import emit_announcement, emit_withdrawal, parse_key, parse_route
from isthmus.generated import gobgp_pb2 as api
from isthmus.health.codec import RouteError, RouteSpace, VpnRoute, decode_key, decode_route, encode_key, encode_route
from isthmus.health.route import MAX_ENDPOINT, MAX_NUMBER, MAX_SUBSETS, MAX_TIME, MAX_WEIGHT, EndpointRoute

SPACE = RouteSpace.of("isthmus.example")

numbers = st.integers(0, MAX_NUMBER)
routes = st.builds(
    EndpointRoute,
    site=st.integers(1, MAX_NUMBER),
    endpoint=st.integers(1, MAX_ENDPOINT),
    cluster=st.integers(1, MAX_NUMBER),
    weight=st.integers(0, MAX_WEIGHT),
    changed_at=st.integers(0, MAX_TIME),
    draining=st.booleans(),
    subsets=st.frozensets(st.integers(1, MAX_NUMBER), max_size=MAX_SUBSETS),
)
# Near misses are more telling than noise: mostly of this deployment, mostly with the functions that exist.
asns = st.sampled_from([SPACE.asn, SPACE.asn, SPACE.asn, 0, 1])
vpn_routes = st.builds(
    VpnRoute,
    prefix=st.one_of(
        st.text(max_size=20),
        st.ip_addresses().map(str),
        st.integers(0, 2**80 - 1).map(lambda low: str(ipaddress.IPv6Address(SPACE.deployment << 80 | low))),
        st.tuples(st.integers(0, 3), st.integers(0, 3)).map(
            lambda pair: str(ipaddress.IPv6Address(SPACE.deployment << 80 | pair[0] << 48 | pair[1]))
        ),
    ),
    length=st.sampled_from([128, 128, 128, 0, 80, 129]),
    distinguisher=st.tuples(asns, st.integers(0, 3) | numbers),
    targets=st.lists(st.tuples(asns, st.integers(0, 3) | numbers), max_size=2).map(tuple),
    communities=st.lists(
        st.tuples(asns, st.integers(0, 6) | st.integers(15, 48), st.integers(0, 3) | numbers), max_size=6
    ).map(tuple),
)


@given(routes)
def test_routes_round_trip(route: EndpointRoute) -> None:
    vpn = encode_route(SPACE, route)
    assert decode_route(SPACE, vpn) == route
    assert decode_key(SPACE, encode_key(SPACE, route.key)) == route.key
    assert ipaddress.IPv6Address(vpn.prefix) in SPACE.site_network(route.site)


@given(routes)
def test_paths_round_trip(route: EndpointRoute) -> None:
    assert parse_route(SPACE, emit_announcement(SPACE, route)) == route
    assert parse_key(SPACE, emit_announcement(SPACE, route)) == route.key
    assert parse_key(SPACE, emit_withdrawal(SPACE, route.key)) == route.key


@given(routes, routes)
def test_routes_of_two_endpoints_never_share_a_prefix(a: EndpointRoute, b: EndpointRoute) -> None:
    assert (a.key == b.key) == (encode_route(SPACE, a).prefix == encode_route(SPACE, b).prefix)


@given(vpn_routes)
def test_arbitrary_routes_decode_or_are_refused(vpn: VpnRoute) -> None:
    try:
        route = decode_route(SPACE, vpn)
    except RouteError:
        return
    assert decode_key(SPACE, vpn) == route.key
    assert decode_route(SPACE, encode_route(SPACE, route)) == route
    assert (SPACE.asn, route.cluster) in vpn.targets
    assert vpn.distinguisher == (SPACE.asn, route.site)


@given(
    st.builds(
        api.Path,
        nlri=st.builds(
            Any,
            type_url=st.sampled_from(["", "type.googleapis.com/apipb.LabeledVPNIPAddressPrefix", "x"]),
            value=st.binary(max_size=40),
        ),
        pattrs=st.lists(
            st.builds(
                Any,
                type_url=st.sampled_from(
                    [
                        "type.googleapis.com/apipb.ExtendedCommunitiesAttribute",
                        "type.googleapis.com/apipb.LargeCommunitiesAttribute",
                        "type.googleapis.com/apipb.Unknown",
                    ]
                ),
                value=st.binary(max_size=40),
            ),
            max_size=3,
        ),
    )
)
def test_arbitrary_paths_are_refused(path: api.Path) -> None:
    with pytest.raises(RouteError):
        parse_route(SPACE, path)


@given(routes)
def test_another_deployments_routes_are_refused(route: EndpointRoute) -> None:
    with pytest.raises(RouteError, match="outside this deployment"):
        decode_route(SPACE, encode_route(RouteSpace.of("other.example"), route))
