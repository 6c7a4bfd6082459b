"""One name resolved once: asks servers in turn and follows aliases.

1. Servers are asked in order, over UDP with EDNS, and over TCP when an answer is truncated.
2. An answer that is final (records, "no such name", "no such records") ends the search. One that is not (SERVFAIL,
   REFUSED, a timeout) leads to the next server. When no server gives a final one, the resolution fails: a server that
   cannot answer says nothing about the name.
3. An alias (CNAME) whose target is not in the answer is asked for in turn, as an authoritative server leaves that to
   those who ask. TTLs count along the whole chain.
"""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import dns.asyncquery
import dns.exception
import dns.flags
import dns.message
import dns.name
import dns.rcode
import dns.rdatatype
import dns.resolver

from isthmus.discovery.setting import Server

PAYLOAD = 1232
"""Bytes of a UDP answer that pass everywhere without fragments (DNS flag day 2020)."""
_MAX_ALIASES = 8


class ResolutionError(Exception):
    """No server gave a final answer; the message says why, server by server."""


@dataclass(frozen=True, slots=True)
class Resolution:
    """A final answer.

    Attributes:
        records: the record data of the type that was asked for; empty when there are none.
        ttl: seconds for which the answer holds; for a negative one as RFC 2308 says.
        negative: what is missing: "the name does not exist" or "it has no such records"; empty when there are records.
    """

    records: tuple[Any, ...]
    ttl: float
    negative: str = ""


async def resolve(servers: Sequence[Server], name: str, record: str, limit: float) -> Resolution:
    """Resolve a name. `limit`: seconds per question and server.

    Raises:
        ResolutionError: see above.
    """
    target = dns.name.from_text(name)
    rdtype = dns.rdatatype.from_text(record)
    ttl = float("inf")
    for _ in range(_MAX_ALIASES):
        response = await _ask(servers, target, rdtype, limit)
        chain = response.resolve_chaining()
        ttl = min(ttl, chain.minimum_ttl)
        if chain.answer is not None:
            return Resolution(tuple(chain.answer), ttl)
        if response.rcode() == dns.rcode.NXDOMAIN:
            return Resolution((), ttl, "the name does not exist (NXDOMAIN)")
        if chain.canonical_name == target or _has_soa(response):
            return Resolution((), ttl, f"the name has no {record} record")
        target = chain.canonical_name
        ttl = min(ttl, *(alias.ttl for alias in chain.cnames))
    raise ResolutionError(f"{name} leads through more than {_MAX_ALIASES} aliases")


def _has_soa(response: dns.message.QueryMessage) -> bool:
    return any(rrset.rdtype == dns.rdatatype.SOA for rrset in response.authority)


async def _ask(
    servers: Sequence[Server], name: dns.name.Name, rdtype: dns.rdatatype.RdataType, limit: float
) -> dns.message.QueryMessage:
    problems = []
    for server in servers:
        query = dns.message.make_query(name, rdtype, use_edns=0, payload=PAYLOAD)
        try:
            async with asyncio.timeout(limit):
                response, _ = await dns.asyncquery.udp_with_fallback(
                    query, server.address, port=server.port, ignore_unexpected=True, ignore_errors=True
                )
        except TimeoutError:
            problems.append(f"{server} did not answer within {limit:g} s")
        except (OSError, EOFError) as error:
            problems.append(f"{server} is not reached: {getattr(error, 'strerror', None) or error}")
        except dns.exception.DNSException as error:
            problems.append(f"{server} gave an answer that is not understood: {type(error).__name__}")
        else:
            code = response.rcode()
            if code in (dns.rcode.NOERROR, dns.rcode.NXDOMAIN) and isinstance(response, dns.message.QueryMessage):
                return response
            problems.append(f"{server} answered {dns.rcode.to_text(code)}")
    raise ResolutionError("; ".join(problems) or "there is no DNS server to ask")


def system_servers() -> tuple[Server, ...]:
    """The servers in /etc/resolv.conf; none when it cannot be read."""
    try:
        resolver = dns.resolver.Resolver()
    except (dns.resolver.NoResolverConfiguration, OSError):
        return ()
    return tuple(Server(each, resolver.port) for each in resolver.nameservers if isinstance(each, str))
