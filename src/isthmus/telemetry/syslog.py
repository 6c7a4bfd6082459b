"""Records as syslog messages (RFC 5424), each in a frame with its length in front (RFC 6587, RFC 5425)."""

import polars as pl

from isthmus.telemetry.document import documents_of, emit_lines, severity_of
from isthmus.telemetry.setting import SyslogSettings

LONGEST_TEXT = 1024
"""Characters of one field: a message must fit the 8 KiB that every receiver takes (RFC 5425 asks for as much)."""
_LONG = ("path", "authority", "userAgent", "details", "client", "sni")


def emit_frames(records: pl.DataFrame, settings: SyslogSettings, tenant: str, site: str) -> bytes:
    """`LENGTH SP MESSAGE` for each record. What the message says is JSON in UTF-8, without a byte order mark, which
    programs that read JSON stumble over."""
    documents = documents_of(records, tenant, site)
    documents = documents.with_columns(pl.col(name).str.head(LONGEST_TEXT) for name in _LONG)
    lines = emit_lines(documents).splitlines()
    tail = f"{site} {settings.application} - access - ".encode()
    frames = []
    for line, time, error in zip(lines, documents["time"], documents["error"], strict=True):
        priority = settings.facility * 8 + severity_of(error)
        message = b"<%d>1 %b %b%b" % (priority, time.encode(), tail, line)
        frames.append(b"%d %b" % (len(message), message))
    return b"".join(frames)


def parse_frames(body: bytes) -> list[bytes]:
    """The messages. Raises ValueError: the bytes are no frames."""
    found, position = [], 0
    while position < len(body):
        space = body.index(b" ", position)
        end = space + 1 + int(body[position:space])
        if end > len(body):
            raise ValueError("a frame is cut off")
        found.append(body[space + 1 : end])
        position = end
    return found
