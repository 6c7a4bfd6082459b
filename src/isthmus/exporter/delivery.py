"""What senders of telemetry have in common: how a delivery fails, and the secrets that go with it."""

from collections.abc import Callable, Iterable, Mapping
from typing import Protocol

from google.protobuf.message import DecodeError

from isthmus.generated import otlp_pb2 as wire
from isthmus.model.header_text import find_unsendable
from isthmus.telemetry.batch import BatchInvalid

SecretHeaders = Callable[[], Mapping[str, str]]
"""The headers that hold secrets, with these as they are now. Raises Unsent."""
GZIP = b"\x1f\x8b"
"""How a compressed body begins."""
_SHORTEST = 4
"""Characters of a value that is no secret, below which it stays readable in an answer: "1" is in too many words."""


class BodyRefused(BatchInvalid):
    """The receiver will never take this body."""


class Unsent(Exception):
    """Why a body could not be sent now, for people."""


class Sender(Protocol):
    """One receiver's.

    `send` returns how many items the receiver said it did not take, once the others are taken. It raises `BodyRefused`
    for a body that will never be taken, and anything else for one to be tried again.
    """

    async def send(self, body: bytes) -> int:
        """As the class says."""
        ...

    async def close(self) -> None:
        """End connections."""
        ...


def header_text(value: str, title: str) -> str:
    """A secret as a header holds it. Raises Unsent, which names it by `title`: no header can hold it."""
    if find_unsendable(value) is not None:  # looked at before: the library's refusal shows the value
        text = "holds a line break, a control character or one beyond ASCII; no HTTP header can"
        raise Unsent(f"{title} {text}")
    return value.strip()


def unspoken(secrets: Mapping[str, str], others: Iterable[tuple[str, str]] = ()) -> list[str]:
    """What of headers an answer must not show, the longest first: whole values, and what follows `Bearer ` or another
    scheme, which a receiver names alone. `others`: headers that should hold no secrets, and may all the same."""
    values = [*secrets.values(), *(value for _, value in others if len(value) >= _SHORTEST)]
    parts = {part for value in values for part in (value, value.partition(" ")[2].strip())}
    return sorted(parts - {""}, key=lambda each: (-len(each), each))


def rejected_items(answer: bytes) -> int:
    """What an OTLP receiver did not take of a body that it took (partial success)."""
    try:
        return wire.Response.FromString(answer).partial_success.rejected
    except DecodeError:
        return 0  # it took the body, whatever it says
