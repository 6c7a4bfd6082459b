"""Files of certificates at a site: who declares objects says which, and the agent reads them with its own rights.

So not every file will do. What the agent keeps for itself is never one (its key is a certificate's pair, too), and who
runs the site may allow one folder alone.
"""

from __future__ import annotations

import os
import stat
from dataclasses import dataclass
from pathlib import Path

_LARGEST = 256 * 1024
Stamp = tuple[int, int, int]


@dataclass(frozen=True, slots=True)
class CertificateFiles:
    """Reads files that are certificates of others.

    Attributes:
        state: the agent's state directory, which no file may lie in.
        only: the folder that all files must lie in; None for any.
    """

    state: Path
    only: Path | None = None

    def read(self, path: str) -> str:
        """A regular file of a certificate's size. Raises ValueError for another, OSError for one that is not readable.

        Whoever declares objects must not stop the agent: with a pipe that nobody writes to, a device that never ends.
        """
        with open(path, "rb", opener=lambda name, flags: os.open(name, flags | os.O_NONBLOCK)) as file:
            self._check_place(path, file.fileno())
            if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
                raise ValueError(f"{path}: is not a file")
            text = file.read(_LARGEST + 1)
        if len(text) > _LARGEST:
            raise ValueError(f"{path}: is larger than {_LARGEST} bytes")
        return text.decode(errors="replace")

    def _check_place(self, path: str, opened: int) -> None:
        """By where the opened file really lies: a path looked at before it is opened may lead elsewhere by then."""
        place = Path(os.readlink(f"/proc/self/fd/{opened}"))
        if place.is_relative_to(self.state.resolve()):
            raise ValueError(f"{path}: lies in the state directory of the site agent; keep certificates elsewhere")
        if self.only is not None and not place.is_relative_to(self.only.resolve()):
            raise ValueError(
                f"{path}: does not lie in {self.only}, the one folder of certificates that this site allows "
                "(`isthmus site --certificates`)"
            )


def read_stamp(path: str) -> Stamp:
    """Changes whenever the file may have changed; of a file that is not there, zeros."""
    try:
        status = Path(path).stat()
    except OSError:
        return (0, 0, 0)
    return (status.st_ino, status.st_mtime_ns, status.st_size)
