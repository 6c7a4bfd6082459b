"""A cluster that has endpoints here, with the names of those worked out once."""

from __future__ import annotations

from typing import NamedTuple

from isthmus.compile.intent import Endpoint, Hosted, Socket

Host = tuple[str, str, int]
"""An endpoint as Envoy checks it: name of the checking cluster, address, port."""


class LocalMember(NamedTuple):
    """An endpoint, the name by which it is numbered, and its hosts: one for each health check, or one.

    `checked`: its cluster has health checks.
    """

    endpoint: Endpoint
    name: str
    hosts: tuple[Host, ...]
    checked: bool


class LocalCluster:
    """What of a hosted cluster is asked for again and again. It stays the same while `hosted` is the same object.

    Attributes:
        members: every endpoint, in order.
        names, hosts: of all members.
        drained: the names of members that are drained.
    """

    __slots__ = ("drained", "hosted", "hosts", "members", "names", "xds_names")

    def __init__(self, hosted: Hosted, xds_names: tuple[str, ...]) -> None:
        self.hosted = hosted
        self.xds_names = xds_names
        prefix, checked = f"{hosted.key}|", bool(hosted.health_checks)
        self.members = tuple(
            LocalMember(each, prefix + each.name, _hosts(each.socket, xds_names), checked) for each in hosted.endpoints
        )
        self.names = frozenset(member.name for member in self.members)
        self.hosts = frozenset(host for member in self.members for host in member.hosts)
        self.drained = tuple(member.name for member in self.members if member.endpoint.drained)


def _hosts(socket: Socket, xds_names: tuple[str, ...]) -> tuple[Host, ...]:
    return tuple((name, socket.address, socket.port) for name in xds_names)
