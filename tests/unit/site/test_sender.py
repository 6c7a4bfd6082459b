"""How bodies reach receivers of telemetry."""

from __future__ import annotations

import resource
from pathlib import Path

import pytest

from isthmus.exporter.delivery import Unsent
from isthmus.site.log_file import LogFiles
from isthmus.site.sender import FileSender
from isthmus.telemetry.setting import FileSettings

FIRST, LONG = b'{"n": 1}\n', b'{"n": 2, "text": "' + b"x" * 3_000 + b'"}\n'


async def test_a_body_for_which_there_is_no_room_leaves_the_file_as_it_was(tmp_path: Path) -> None:
    sender = FileSender(
        FileSettings("shop/requests.ndjson", 10**9, 1), LogFiles(tmp_path, tmp_path / "files.json", 10**10)
    )
    path = tmp_path / "shop" / "requests.ndjson"
    await sender.send(FIRST)
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1_000, before[1]))
    try:
        with pytest.raises(Unsent, match="File too large"):
            await sender.send(LONG)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert path.read_bytes() == FIRST
    await sender.send(LONG)
    assert path.read_bytes() == FIRST + LONG
