"""Receivers of telemetry that cannot be started."""

from __future__ import annotations

import errno
from pathlib import Path
from typing import Any

import pytest

from isthmus.identity.file import write_file
from isthmus.model.key import ObjectKey
from isthmus.site.receiver import Receivers
from isthmus.telemetry.setting import FileSettings, Receiver


async def test_a_file_receiver_that_fails_opens_no_spool_until_it_works(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    full = True

    def write(path: Path, content: bytes, **more: Any) -> None:
        if full:
            raise OSError(errno.ENOSPC, "No space left on device", str(path))
        write_file(path, content, **more)

    monkeypatch.setattr("isthmus.site.log_file.write_file", write)
    spools = tmp_path / "spool"
    receivers = Receivers("default", "ams", spools, tmp_path / "files", {}.get)
    key = ObjectKey("default", "TelemetryReceiver", "shop", "file")
    await receivers.use([Receiver(key, FileSettings("shop/a.log", 4096, 1))])
    for _ in range(3):
        receivers.notice()
        [status] = receivers.status()
        assert status["error"] == f"cannot be started: {spools / 'files.json'}: No space left on device"
        assert not [each for each in spools.iterdir() if each.is_dir()]
    full = False
    assert receivers.notice()
    [status] = receivers.status()
    assert status["error"] == ""
    assert (spools / "files.json").read_text() == '["shop/a.log"]'
    await receivers.stop()
