"""Notice of changes in one directory, through inotify(7)."""

from __future__ import annotations

import ctypes
import os
from pathlib import Path

_MODIFY, _CREATE, _MOVED_TO = 0x2, 0x100, 0x80
_libc = ctypes.CDLL(None, use_errno=True)


def open_watch(directory: Path) -> int:
    """Return a non-blocking descriptor that becomes readable when a file in `directory` is written, made or moved in.

    Raises OSError, for example when the user has no inotify instance left.
    """
    descriptor = _libc.inotify_init1(os.O_NONBLOCK | os.O_CLOEXEC)
    if descriptor < 0:
        raise OSError(ctypes.get_errno(), "inotify_init1 failed")
    if _libc.inotify_add_watch(descriptor, os.fsencode(directory), _MODIFY | _CREATE | _MOVED_TO) < 0:
        code = ctypes.get_errno()
        os.close(descriptor)
        raise OSError(code, "inotify_add_watch failed", str(directory))
    return int(descriptor)


def drain_watch(descriptor: int) -> None:
    """Take all pending notices."""
    while True:
        try:
            if not os.read(descriptor, 65536):
                return
        except BlockingIOError:
            return
