"""What a neighbour may send, before it reaches the reflector's GoBGP.

GoBGP decides about routes. This keeps away what it does not survive: GoBGP 3.10 stops with a panic when it loses a
session that has announced the default route target (a membership of length 0), and a site could stop its region's
reflector with it at will. It also holds the stream to the families that a deployment speaks. Sans-IO: bytes in, the
same bytes out.
"""

_HEADER = 19
_MAX_MESSAGE = 4096
_UPDATE = 2
_REACH, _UNREACH = 14, 15
_EXTENDED_LENGTH = 0x10
_MEMBERSHIP = (1, 132)
_VPN = (2, 128)
_MEMBERSHIP_BITS = 96
_MEMBERSHIP_BYTES = 1 + _MEMBERSHIP_BITS // 8


class GuardError(Exception):
    """The neighbour sent what no speaker of this deployment sends: end its session."""


class Guard:
    """Checks one direction of a BGP session, message by message."""

    def __init__(self) -> None:
        self._pending = b""

    def pass_on(self, data: bytes) -> bytes:
        """The whole messages so far; the rest waits for more. Raises GuardError at a message that must not pass."""
        data = self._pending + data
        start = 0
        while len(data) - start >= _HEADER:
            if data[start : start + 16] != b"\xff" * 16:
                raise GuardError("no BGP message")
            length = int.from_bytes(data[start + 16 : start + 18])
            if not _HEADER <= length <= _MAX_MESSAGE:
                raise GuardError(f"a message of {length} bytes")
            if len(data) - start < length:
                break
            if data[start + 18] == _UPDATE:
                _check_update(data[start + _HEADER : start + length])
            start += length
        self._pending = data[start:]
        return data[:start]


def _check_update(body: bytes) -> None:
    withdrawn, rest = _take(body, 2)
    if withdrawn:
        raise GuardError("IPv4 unicast routes")
    attributes, routes = _take(rest, 2)
    if routes:
        raise GuardError("IPv4 unicast routes")
    while attributes:
        if len(attributes) < 2:
            raise GuardError("a cut attribute")
        flags, kind = attributes[0], attributes[1]
        value, attributes = _take(attributes[2:], 2 if flags & _EXTENDED_LENGTH else 1)
        if kind in (_REACH, _UNREACH):
            _check_routes(value, reach=kind == _REACH)


def _check_routes(value: bytes, *, reach: bool) -> None:
    if len(value) < 3:
        raise GuardError("a cut attribute")
    family, routes = (int.from_bytes(value[:2]), value[2]), value[3:]
    if family not in (_MEMBERSHIP, _VPN):
        raise GuardError(f"family {family}")
    if reach:
        _, routes = _take(routes, 1)
        routes = routes[1:]  # a reserved byte
    if family == _MEMBERSHIP:
        lengths = {routes[index] for index in range(0, len(routes), _MEMBERSHIP_BYTES)}
        if lengths - {_MEMBERSHIP_BITS} or len(routes) % _MEMBERSHIP_BYTES:
            raise GuardError("a membership that is not of one route target")


def _take(data: bytes, size: int) -> tuple[bytes, bytes]:
    """A field that starts with its length in `size` bytes, and what follows it."""
    length = int.from_bytes(data[:size])
    if len(data) < size + length:
        raise GuardError("a cut message")
    return data[size : size + length], data[size + length :]
