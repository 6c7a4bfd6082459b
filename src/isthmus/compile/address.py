"""Explicit addresses of policies that this site has to put on an interface."""

import ipaddress

from isthmus.compile.intent import InterfaceAddress
from isthmus.compile.listener import compile_claims
from isthmus.compile.memo import Memo
from isthmus.compile.source import find, scope
from isthmus.model import AdvertisePolicy, ObjectKey, Site


def compile_addresses(memo: Memo, _: None) -> tuple[InterfaceAddress, ...]:
    """One for each address that something is served on, by interface and address."""
    policies = {kept.policy for claim in memo.ask(compile_claims, None).sockets for kept in claim.kept}
    found: dict[tuple[str, str], InterfaceAddress] = {}
    for key in sorted(policies):
        each = memo.ask(_address, key)
        if each is not None:
            found.setdefault((each.interface, each.address), each)
    return tuple(found[pair] for pair in sorted(found))


def _address(memo: Memo, key: ObjectKey) -> InterfaceAddress | None:
    """The address of a policy, for the first interface of its network.

    Nothing is to be done for an address that is declared as an interface's own, that stands for all addresses, that is
    of loopback, or for whose network the site declares no interface: then whoever runs the site takes care of it.
    """
    policy, site = find(memo, AdvertisePolicy, key), find(memo, Site, scope(memo).site)
    if policy is None or site is None or policy.spec.address is None:
        return None
    address = ipaddress.ip_address(policy.spec.address)
    own = {each for interface in site.spec.interfaces for each in interface.addresses}
    if address.is_loopback or address.is_unspecified or str(address) in own:
        return None
    network = policy.spec.where.interfaces
    names = [interface.name for interface in site.spec.interfaces if interface.network == network]
    return InterfaceAddress(key, names[0], str(address)) if names else None
