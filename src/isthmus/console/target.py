"""Where the console may send what people of a namespace declare: to the public internet, and to networks that its
operator named. Without this the URL of a receiver of alerts or of an ACME server would reach whatever the console
reaches: a cloud's metadata service, the database, the administration of the machine itself.

A name is resolved once, and the address that was looked at is the one that is connected to.
"""

import asyncio
import socket
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address

_THREADS = ThreadPoolExecutor(32, "resolver")
"""Of its own: a name whose servers say nothing holds its thread for as long as the resolver has patience."""
Networks = Sequence[IPv4Network | IPv6Network]
_TRANSLATED = IPv6Network("64:ff9b::/96")
_LOCALLY_TRANSLATED = IPv6Network("64:ff9b:1::/48")


class TargetRefused(Exception):
    """Nothing is sent there. The message is a sentence for people."""


class TargetUnknown(Exception):
    """The name has no address now."""


async def find_addresses(host: str, port: int, allowed: Networks) -> list[str]:
    """The addresses of a host that may be connected to, best first.

    Raises:
        TargetUnknown: it has none now.
        TargetRefused: none of them may be.
    """
    return await asyncio.get_running_loop().run_in_executor(_THREADS, resolve_addresses, host, port, allowed)


def resolve_addresses(host: str, port: int, allowed: Networks) -> list[str]:
    """As `find_addresses`, for threads that may wait."""
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError):
        raise TargetUnknown(f"{host} has no address.") from None
    addresses = list(dict.fromkeys(str(entry[4][0]) for entry in found))
    good = [each for each in addresses if is_allowed(each, allowed)]
    if not good:
        raise TargetRefused(
            f"{host} has only addresses that are not public; an operator can allow its network with "
            "isthmus console --alert-network."
        )
    return good


def is_allowed(text: str, allowed: Networks) -> bool:
    """Whether an address is public, or of an allowed network."""
    address = _inner(ip_address(text.partition("%")[0]))
    if any(address in network for network in allowed):
        return True
    return address.is_global and not address.is_multicast and not address.is_reserved


def _inner(address: IPv4Address | IPv6Address) -> IPv4Address | IPv6Address:
    """The IPv4 address that an IPv6 address stands for, if it does."""
    if not isinstance(address, IPv6Address):
        return address
    if address in _TRANSLATED:
        return IPv4Address(int(address) & 0xFFFFFFFF)
    if address in _LOCALLY_TRANSLATED:
        return IPv4Address(0)  # which one is the operator's choice: none is public for sure
    teredo = address.teredo
    return address.ipv4_mapped or address.sixtofour or (teredo[1] if teredo else None) or address
