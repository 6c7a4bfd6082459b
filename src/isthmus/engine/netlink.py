"""Addresses of this machine's network interfaces, asked of and given to the kernel itself (rtnetlink, RFC 3549).

Not through the program `ip`: the privilege for it would have to be inherited by programs that the agent starts, and so
by Envoy too. The calls block for microseconds.
"""

from __future__ import annotations

import errno
import ipaddress
import os
import socket
import struct
from collections.abc import Iterator

_HEADER = struct.Struct("=IHHII")
"""nlmsghdr: length, type, flags, sequence, port."""
_ADDRESS = struct.Struct("=BBBBI")
"""ifaddrmsg: family, prefix length, flags, scope, interface index."""
_ATTRIBUTE = struct.Struct("=HH")
_ERROR, _DONE, _NEWADDR, _DELADDR, _GETADDR = 2, 3, 20, 21, 22
_REQUEST, _ACK, _DUMP, _CREATE, _EXCLUSIVE = 0x1, 0x4, 0x300, 0x400, 0x200
_IFA_ADDRESS, _IFA_LOCAL, _IFA_FLAGS = 1, 2, 8
_NO_DUPLICATE_DETECTION = 0x2
"""An IPv6 address is otherwise unusable for a second or two, and no two sites answer for one on the same link."""


def read_addresses() -> frozenset[tuple[str, str]]:
    """Interface and address of every address that this machine has. Raises OSError."""
    found = set()
    names = dict(socket.if_nameindex())
    for kind, body in _exchange(_GETADDR, _REQUEST | _DUMP, _ADDRESS.pack(socket.AF_UNSPEC, 0, 0, 0, 0)):
        if kind != _NEWADDR:
            continue
        _, _, _, _, index = _ADDRESS.unpack_from(body)
        attributes = dict(_attributes(body[_ADDRESS.size :]))
        packed = attributes.get(_IFA_LOCAL, attributes.get(_IFA_ADDRESS))
        if packed is not None and index in names:
            found.add((names[index], str(ipaddress.ip_address(packed))))
    return frozenset(found)


def add_address(interface: str, address: str) -> None:
    """Give an interface an address, as /32 or /128. Raises OSError: ENODEV, EPERM, EEXIST."""
    _change(_NEWADDR, _REQUEST | _ACK | _CREATE | _EXCLUSIVE, interface, address)


def remove_address(interface: str, address: str) -> None:
    """Take it away again. Raises OSError: ENODEV, EPERM, EADDRNOTAVAIL."""
    _change(_DELADDR, _REQUEST | _ACK, interface, address)


def _change(kind: int, flags: int, interface: str, address: str) -> None:
    parsed = ipaddress.ip_address(address)
    family = socket.AF_INET if parsed.version == 4 else socket.AF_INET6
    indexes = {name: index for index, name in socket.if_nameindex()}
    if interface not in indexes:
        raise OSError(errno.ENODEV, os.strerror(errno.ENODEV))
    body = _ADDRESS.pack(family, parsed.max_prefixlen, 0, 0, indexes[interface])
    body += _attribute(_IFA_LOCAL, parsed.packed) + _attribute(_IFA_ADDRESS, parsed.packed)
    if parsed.version == 6:
        body += _attribute(_IFA_FLAGS, struct.pack("=I", _NO_DUPLICATE_DETECTION))
    for _ in _exchange(kind, flags, body):
        pass


def _exchange(kind: int, flags: int, body: bytes) -> Iterator[tuple[int, bytes]]:
    """Type and body of every message that answers one. Raises the kernel's error as OSError."""
    with socket.socket(socket.AF_NETLINK, socket.SOCK_RAW | socket.SOCK_CLOEXEC, 0) as channel:
        channel.bind((0, 0))
        channel.send(_HEADER.pack(_HEADER.size + len(body), kind, flags, 1, 0) + body)
        while True:
            data = channel.recv(1 << 17)
            while data:
                length, answer, _, _, _ = _HEADER.unpack_from(data)
                content = data[_HEADER.size : length]
                if answer == _DONE:
                    return
                if answer == _ERROR:
                    code = -struct.unpack_from("=i", content)[0]
                    if code:
                        raise OSError(code, os.strerror(code))
                    return
                yield answer, content
                data = data[_aligned(length) :]


def _attributes(data: bytes) -> Iterator[tuple[int, bytes]]:
    while len(data) >= _ATTRIBUTE.size:
        length, kind = _ATTRIBUTE.unpack_from(data)
        yield kind, data[_ATTRIBUTE.size : length]
        data = data[_aligned(length) :]


def _attribute(kind: int, value: bytes) -> bytes:
    length = _ATTRIBUTE.size + len(value)
    return _ATTRIBUTE.pack(length, kind) + value + b"\0" * (_aligned(length) - length)


def _aligned(length: int) -> int:
    return length + 3 & ~3
