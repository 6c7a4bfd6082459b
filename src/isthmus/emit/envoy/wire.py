"""Protobuf on the wire: deterministic bytes, and messages put together from bytes that exist already.

A repeated field of a serialized message is a sequence of tag, length and bytes. So a message of a thousand parts, one
of which changed, is a join of a thousand remembered strings and not a thousand messages serialized again.
"""

from typing import Any as AnyType

from envoy.type.v3.percent_pb2 import FractionalPercent
from google.protobuf.any_pb2 import Any
from google.protobuf.duration_pb2 import Duration
from google.protobuf.message import Message
from google.protobuf.struct_pb2 import Struct


def serialize(message: Message) -> bytes:
    """The message's bytes, maps in a fixed order."""
    return message.SerializeToString(deterministic=True)


def pack(message: Message) -> Any:
    """The message in an `Any`."""
    return Any(type_url="type.googleapis.com/" + message.DESCRIPTOR.full_name, value=serialize(message))


def duration(milliseconds: int) -> Duration:
    """A duration."""
    seconds, rest = divmod(milliseconds, 1000)
    return Duration(seconds=seconds, nanos=rest * 1_000_000)


def percent(share: float) -> FractionalPercent:
    """A share in percent, to the millionth of the whole."""
    return FractionalPercent(numerator=round(share * 10_000), denominator=FractionalPercent.MILLION)


def field(number: int, body: bytes) -> bytes:
    """One length-delimited field, number 1 to 15."""
    out = bytearray((number << 3 | 2,))
    size = len(body)
    while size > 0x7F:
        out.append(size & 0x7F | 0x80)
        size >>= 7
    out.append(size)
    return bytes(out) + body


def struct(values: dict[str, AnyType]) -> Struct:
    """A `Struct`."""
    message = Struct()
    message.update(values)
    return message
