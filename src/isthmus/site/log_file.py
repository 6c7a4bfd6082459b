"""The files of file receivers: each renamed when it is large, and all of them bounded together.

Beyond the bound, the namespace with most of it gives up its oldest file, rotated ones first. Files of receivers that
are no more count too. Nothing else in the directory is looked at or touched: which files are ours stands in a file of
the agent's own.
"""

import contextlib
import errno
import json
import os
import re
import threading
from collections import Counter
from itertools import pairwise
from pathlib import Path

import structlog

from isthmus.identity.file import write_file
from isthmus.telemetry.setting import FileSettings

log = structlog.get_logger()


class LogFiles:
    """`root` is their directory, `ledger` the file that names them, `limit` is in bytes."""

    def __init__(self, root: Path, ledger: Path, limit: int) -> None:
        self._root = root
        self._ledger = ledger
        self._limit = limit
        self._known = _read(ledger)
        self._used: set[str] = set()
        self._turn = threading.Lock()
        """Appending is done in threads, and what is removed for one receiver may be another's."""

    def path(self, settings: FileSettings) -> Path:
        """Where a receiver's file lies."""
        return self._root / settings.path

    def use(self, settings: FileSettings) -> None:
        """This file is ours from now on. Raises OSError."""
        with self._turn:
            self._used.add(settings.path)
            if settings.path in self._known:
                return
            known = self._used | {path for path in self._known if self._files(path)}
            self._ledger.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            write_file(self._ledger, json.dumps(sorted(known)).encode())
            self._known = known

    def append(self, settings: FileSettings, body: bytes) -> None:
        """Write a body, and rename the file when it is large. Raises OSError: then nothing of it is written."""
        with self._turn:
            self._make_room(settings.path, len(body))
            path = self.path(settings)
            path.parent.mkdir(mode=0o750, parents=True, exist_ok=True)
            if _append(path, body) >= settings.max_bytes:
                _rotate(path, settings.keep)

    def _make_room(self, path: str, size: int) -> None:
        if size > self._limit:
            raise OSError(errno.ENOSPC, "the body is larger than all that this site keeps of such files")
        found = [(_namespace(known), file) for known in self._known for file in self._files(known)]
        total = sum(bytes_ for _, (_, _, bytes_) in found)
        while total + size > self._limit:
            weights = Counter({_namespace(path): size})
            for namespace, (_, _, bytes_) in found:
                weights[namespace] += bytes_
            heaviest = max(weights, key=lambda each: (weights[each], each))
            victim = min((each for each in found if each[0] == heaviest), key=lambda each: each[1][:2], default=None)
            if victim is None:
                raise OSError(errno.ENOSPC, "this site keeps no more of such files")
            _, (_, oldest, bytes_) = victim
            (self._root / oldest[1]).unlink(missing_ok=True)
            log.warning("receiver.file_removed", file=oldest[1], bytes=bytes_)
            found.remove(victim)
            total -= bytes_

    def _files(self, path: str) -> list[tuple[bool, tuple[float, str], int]]:
        """Of a file and those that it was renamed to: whether it is the one in use, its age and name, bytes."""
        folder, _, name = path.rpartition("/")
        ours = re.compile(rf"{re.escape(name)}(\.[0-9]+)?")
        found = []
        with contextlib.suppress(OSError), os.scandir(self._root / folder) as entries:
            for each in entries:
                if ours.fullmatch(each.name) and each.is_file(follow_symlinks=False):
                    facts = each.stat(follow_symlinks=False)
                    found.append((each.name == name, (facts.st_mtime, f"{folder}/{each.name}"), facts.st_size))
        return found


def _namespace(path: str) -> str:
    return path.partition("/")[0]


def _read(ledger: Path) -> set[str]:
    try:
        found = json.loads(ledger.read_bytes())
    except FileNotFoundError:
        return set()
    except (OSError, ValueError) as error:  # then files of receivers that are gone count no more
        log.error("receiver.ledger_not_read", file=str(ledger), error=str(error))
        return set()
    return {each for each in found if isinstance(each, str)} if isinstance(found, list) else set()


def _append(path: Path, body: bytes) -> int:
    """The file's size afterwards."""
    descriptor = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o640)
    try:
        size = os.fstat(descriptor).st_size
        try:
            rest = memoryview(body)
            while rest:
                rest = rest[os.write(descriptor, rest) :]
        except OSError:
            with contextlib.suppress(OSError):  # a full disk: half a line would be half a document
                os.ftruncate(descriptor, size)
            raise
    finally:
        os.close(descriptor)
    return size + len(body)


def _rotate(path: Path, keep: int) -> None:
    names = [path, *(path.with_name(f"{path.name}.{number + 1}") for number in range(keep))]
    if len(names) == 1:
        path.unlink()
    for newer, older in reversed(list(pairwise(names))):
        with contextlib.suppress(FileNotFoundError):
            newer.replace(older)
