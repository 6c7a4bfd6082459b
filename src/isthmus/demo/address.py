"""Loopback addresses and free ports in place of those that the examples write.

The examples use addresses that are set aside for documentation (192.0.2.0/24, RFC 5737). Each becomes the address of
the same last octet in a random network 127.a.b.0/24, and each port number a free port, the same everywhere: so what
belongs together stays together, and two deployments on one machine do not meet.
"""

import ipaddress
import random
import socket
from collections.abc import Mapping
from typing import Any

_DOCUMENTATION = ipaddress.ip_network("192.0.2.0/24")
_PORT_KEYS = ("port", "bgpPort")
_PORTS = range(12_000, 32_000)
"""Below what Linux gives to outgoing connections (from 32768), so that none of those takes one of ours."""


class AddressPlan:
    """The addresses and ports of one deployment, given out as they are asked for."""

    def __init__(self, chance: random.Random | None = None) -> None:
        self._chance = chance or random.SystemRandom()
        self._network = f"127.{self._chance.randrange(64, 255)}.{self._chance.randrange(0, 255)}"
        self._ports: dict[int, int] = {}
        self._given: set[int] = set()

    def address(self, written: str) -> str:
        """The loopback address for a documentation address; any other address stays."""
        parsed = ipaddress.ip_address(written)
        if parsed.version == 4 and parsed in _DOCUMENTATION:
            return f"{self._network}.{int(parsed) & 0xFF}"
        return written

    def host(self, number: int) -> str:
        """The address with this last octet."""
        return f"{self._network}.{number}"

    def port(self, written: int) -> int:
        """The free port that stands for a port number."""
        if written not in self._ports:
            self._ports[written] = self.free_port()
        return self._ports[written]

    def free_port(self) -> int:
        """A TCP port that nobody listens on at any address, and that this plan has not given out."""
        for _ in range(1000):
            port = self._chance.choice(_PORTS)
            if port not in self._given and _is_free(port):
                self._given.add(port)
                return port
        raise OSError("no free TCP port between 12000 and 32000")

    def resolve(self, document: Any) -> Any:
        """A document with its addresses and ports replaced."""
        if isinstance(document, Mapping):
            return {key: self._resolve_field(key, value) for key, value in document.items()}
        if isinstance(document, list):
            return [self.resolve(value) for value in document]
        if isinstance(document, str) and _is_address(document):
            return self.address(document)
        return document

    def _resolve_field(self, key: str, value: Any) -> Any:
        if key in _PORT_KEYS and type(value) is int:
            return self.port(value)
        if key == "ports" and isinstance(value, list):
            return [self.port(each) if type(each) is int else each for each in value]
        return self.resolve(value)


def _is_address(text: str) -> bool:
    try:
        ipaddress.IPv4Address(text)
    except ValueError:
        return False
    return True


def _is_free(port: int) -> bool:
    with socket.socket() as probe:
        try:
            probe.bind(("0.0.0.0", port))  # noqa: S104  # every address, and nothing is ever accepted
        except OSError:
            return False
    return True
