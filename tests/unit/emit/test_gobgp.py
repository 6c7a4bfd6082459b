"""Addresses and policies of GoBGP."""

import ipaddress

import pytest

from isthmus.emit.gobgp.address import MARKER_ADDRESS, region_address, router_id, session_address
from isthmus.emit.gobgp.policy import emit_common_policies, emit_region_policies, emit_site_policies
from isthmus.generated import gobgp_pb2 as api
from isthmus.health.codec import RouteSpace

SPACE = RouteSpace.of("isthmus.example")


def test_every_neighbour_has_an_address_of_its_own() -> None:
    numbers = (1, 2, 255, 256, 65535)
    addresses = [session_address(n) for n in (*numbers, 2**22 - 1)] + [region_address(n) for n in numbers]
    addresses += [MARKER_ADDRESS, "127.0.0.1", "127.255.255.255"]
    assert len(set(addresses)) == len(addresses)
    assert all(ipaddress.IPv4Address(address).is_loopback for address in addresses)
    assert len({router_id(address) for address in addresses}) == len(addresses)


@pytest.mark.parametrize("number", [0, -1, 2**22])
def test_there_is_no_address_beyond_the_last(number: int) -> None:
    with pytest.raises(ValueError, match="site number"):
        session_address(number)


def test_a_policys_name_says_what_it_holds() -> None:
    (_, few), (_, same), (_, more) = (emit_site_policies(SPACE, 1, c) for c in ([1, 2], [2, 1, 1], [1, 2, 3]))
    assert few == same
    assert few.name != more.name


def test_names_are_unique_and_sets_are_bound_to_them() -> None:
    policies = [*emit_common_policies(), *emit_region_policies(1), *emit_region_policies(2)]
    for site in (1, 2):
        policies += emit_site_policies(SPACE, site, [1])
    assert len({policy.name for policy in policies}) == len(policies)
    statements = [statement.name for policy in policies for statement in policy.policy.statements]
    assert len(set(statements)) == len(statements)
    for policy in policies:
        assert {defined_set.name for defined_set in policy.defined_sets} <= {policy.name}
        assert policy.assignment.default_action == api.REJECT
        for statement in policy.policy.statements:
            for field, match in statement.conditions.ListFields():
                if field.name.endswith("_set"):
                    assert match.name == policy.name


def test_no_set_is_ever_empty() -> None:
    # GoBGP takes an empty set of neighbours for everybody.
    for clusters in ([], [1], range(1, 5000)):
        for policy in emit_site_policies(SPACE, 1, clusters):
            for defined_set in policy.defined_sets:
                assert defined_set.list or defined_set.prefixes


def test_patterns_hold_every_target_once() -> None:
    _, export = emit_site_policies(SPACE, 1, range(1, 5001))
    (targets,) = [s.list for s in export.defined_sets if s.defined_type == api.EXT_COMMUNITY]
    numbers = [int(n) for pattern in targets for n in pattern[pattern.index("(") + 1 : pattern.index(")")].split("|")]
    assert numbers == list(range(1, 5001))
    assert all(pattern.startswith("rt:^64512:(") and pattern.endswith(")$") for pattern in targets)
