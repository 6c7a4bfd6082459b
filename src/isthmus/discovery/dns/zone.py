"""A zone that this site answers for, and the answer to one message: pure, from bytes to bytes.

What is answered, in order:

1. Nothing at all to what is shorter than a header, or is itself an answer: two servers must not talk for ever.
2. What cannot be parsed: FORMERR, header alone. Another opcode than QUERY: NOTIMP. Another EDNS version: BADVERS.
3. A name outside of all zones, another class than IN, a zone transfer: REFUSED. There is no recursion.
4. A name that exists: its records of the type; without any, NOERROR and the SOA.
5. A name that does not exist: the wildcard of its closest existing ancestor (RFC 4592), else NXDOMAIN and the SOA.

Questions are repeated as they came, upper and lower case included: resolvers check that against forgery. No UDP answer
is larger than the asker allows and than `PAYLOAD`; what is left out is marked as truncated, for TCP to fetch.
"""

import struct
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import dns.edns
import dns.exception
import dns.flags
import dns.message
import dns.name
import dns.opcode
import dns.rcode
import dns.rdata
import dns.rdataclass
import dns.rdatatype
import dns.rrset

from isthmus.discovery.record import VipRecord
from isthmus.discovery.setting import DnsDelegation

PAYLOAD = 1232
"""Largest UDP answer in bytes (DNS flag day 2020): no fragments, little to gain for reflection attacks."""
_HEADER = struct.Struct("!HHHHHH")
_REFUSED_TYPES = frozenset((dns.rdatatype.AXFR, dns.rdatatype.IXFR, dns.rdatatype.MAILA, dns.rdatatype.MAILB))
_WILDCARD = b"*"

_Types = Mapping[dns.rdatatype.RdataType, dns.rrset.RRset]


@dataclass(frozen=True)
class Zone:
    """A zone's content.

    Attributes:
        origin: its name.
        names: records by lower-case name and type; names in between that hold nothing are there too.
        soa: its SOA record set, with the TTL for negative answers.
    """

    origin: dns.name.Name
    names: Mapping[dns.name.Name, _Types]
    soa: dns.rrset.RRset


def make_zone(delegation: DnsDelegation, records: Iterable[VipRecord], serial: int) -> Zone:
    """The zone with the domains of virtual hosts in it. `serial`: of its SOA, rising with every change."""
    origin = dns.name.from_text(delegation.zone)
    ttl, negative_ttl = delegation.ttl // 1000, delegation.negative_ttl // 1000
    addresses: dict[dns.name.Name, set[str]] = {}
    servers = [dns.name.from_text(each) for each in delegation.name_servers]
    for server in servers:
        if server.is_subdomain(origin) and server != origin:
            addresses.setdefault(server, set()).update(each.address for each in delegation.listen)
    for record in records:
        name = dns.name.from_text(record.domain)
        if name.is_subdomain(origin):
            addresses.setdefault(name, set()).update(record.addresses)
    host_master = dns.name.from_text(delegation.host_master)
    soa = f"{servers[0]} {host_master} {serial % 2**32} 3600 600 604800 {negative_ttl}"
    soa_set = dns.rrset.from_text(origin, min(ttl, negative_ttl), "IN", "SOA", soa)
    ns_set = dns.rrset.from_text(origin, ttl, "IN", "NS", *(str(each) for each in servers))
    names: dict[dns.name.Name, dict[dns.rdatatype.RdataType, dns.rrset.RRset]] = {
        origin: {dns.rdatatype.SOA: soa_set, dns.rdatatype.NS: ns_set}
    }
    for name, found in addresses.items():
        types = names.setdefault(name, {})
        for rdtype, family in ((dns.rdatatype.A, "."), (dns.rdatatype.AAAA, ":")):
            texts = sorted(each for each in found if family in each and (family == ":" or ":" not in each))
            if texts:
                types[rdtype] = dns.rrset.from_text(name, ttl, "IN", dns.rdatatype.to_text(rdtype), *texts)
        parent = name
        while parent != origin:
            parent = parent.parent()
            names.setdefault(parent, {})
    return Zone(origin, names, soa_set)


def answer_query(zones: Sequence[Zone], wire: bytes, *, udp: bool) -> bytes | None:
    """The answer to a message; None when it gets none. Never raises."""
    if len(wire) < _HEADER.size or wire[2] & 0x80:
        return None
    try:
        query = dns.message.from_wire(wire, ignore_trailing=False)
    except dns.message.UnknownTSIGKey:
        return _header_alone(wire, dns.rcode.NOTAUTH)
    except (dns.exception.DNSException, ValueError, OverflowError):
        opcode = (wire[2] >> 3) & 0xF
        return _header_alone(wire, dns.rcode.FORMERR if opcode == dns.opcode.QUERY else dns.rcode.NOTIMP)
    if query.opcode() != dns.opcode.QUERY:
        return _header_alone(wire, dns.rcode.NOTIMP)
    response = _respond(zones, query)
    allowed = min(max(query.payload, 512), PAYLOAD) if query.edns >= 0 else 512
    try:
        return response.to_wire(max_size=allowed if udp else 65535, prefer_truncation=True)
    except dns.exception.DNSException:
        return _header_alone(wire, dns.rcode.SERVFAIL)


def truncate_query(wire: bytes) -> bytes | None:
    """The answer to a message that says no more than "ask over TCP", never longer than the message; None when it gets
    none. Never raises."""
    if len(wire) < _HEADER.size or wire[2] & 0xF8 or wire[4:6] != b"\0\1":
        return None
    end = _HEADER.size
    while end < len(wire) and 0 < wire[end] < 64:
        end += 1 + wire[end]
    question = wire[_HEADER.size : end + 5]
    if len(wire) < end + 5 or wire[end]:
        return None
    (identifier,) = struct.unpack_from("!H", wire)
    flags = dns.flags.QR | dns.flags.TC | (wire[2] & 0x01) << 8
    return _HEADER.pack(identifier, flags, 1, 0, 0, 0) + question


def _header_alone(wire: bytes, rcode: int) -> bytes:
    """Identifier, opcode and the wish for recursion as they came; no question, since it may be what is wrong."""
    (identifier,) = struct.unpack_from("!H", wire)
    flags = dns.flags.QR | (wire[2] & 0x79) << 8 & 0x7900 | rcode
    return _HEADER.pack(identifier, flags, 0, 0, 0, 0)


def _respond(zones: Sequence[Zone], query: dns.message.Message) -> dns.message.Message:
    response = dns.message.make_response(query, our_payload=PAYLOAD)
    if query.edns > 0:
        response.set_rcode(dns.rcode.BADVERS)
        return response
    if len(query.question) != 1 or query.answer or query.authority:
        response.question = []
        response.set_rcode(dns.rcode.FORMERR)
        return response
    question = query.question[0]
    zone = _find(zones, question.name)
    if zone is None or question.rdclass != dns.rdataclass.IN or question.rdtype in _REFUSED_TYPES:
        response.set_rcode(dns.rcode.REFUSED)
        return response
    response.flags |= dns.flags.AA
    types = _lookup(zone, question.name)
    if types is None:
        response.set_rcode(dns.rcode.NXDOMAIN)
        response.authority.append(zone.soa)
        return response
    found = _select(types, question.rdtype)
    if found is None:
        response.authority.append(zone.soa)
        return response
    response.answer.append(_owned(found, question.name))
    if found.rdtype == dns.rdatatype.NS:
        response.additional.extend(_glue(zone, found))
    return response


def _find(zones: Sequence[Zone], name: dns.name.Name) -> Zone | None:
    """The zone with the longest name that holds `name`."""
    holding = [zone for zone in zones if name.is_subdomain(zone.origin)]
    return max(holding, key=lambda zone: len(zone.origin), default=None)


def _lookup(zone: Zone, name: dns.name.Name) -> _Types | None:
    found = zone.names.get(name)
    if found is not None:
        return found
    encloser = name.parent()
    while encloser not in zone.names:
        encloser = encloser.parent()
    return zone.names.get(dns.name.Name((_WILDCARD, *encloser.labels)))


def _select(types: _Types, rdtype: dns.rdatatype.RdataType) -> dns.rrset.RRset | None:
    """ANY gets one set of the name's, not all (RFC 8482)."""
    if rdtype == dns.rdatatype.ANY:
        return next(iter(types.values()), None)
    return types.get(rdtype)


def _owned(rrset: dns.rrset.RRset, name: dns.name.Name) -> dns.rrset.RRset:
    """The set under the name as it was asked for."""
    copy = dns.rrset.RRset(name, rrset.rdclass, rrset.rdtype)
    copy.update_ttl(rrset.ttl)
    copy.items.update(rrset.items)
    return copy


def _glue(zone: Zone, servers: dns.rrset.RRset) -> Iterable[dns.rrset.RRset]:
    for server in servers:
        yield from zone.names.get(server.target, {}).values()
