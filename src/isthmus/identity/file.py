"""Files that are either the old or the new text, never half of one."""

import os
import tempfile
from pathlib import Path


def write_file(path: Path, body: bytes, mode: int = 0o600) -> None:
    """Replaces `path` with `body` durably: after it returns, a power cut keeps the new text; before, the old one.

    Raises OSError. The mode is set before the first byte is written.
    """
    handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(handle, "wb") as file:
            os.fchmod(file.fileno(), mode)
            file.write(body)
            file.flush()
            os.fsync(file.fileno())
        Path(temporary).replace(path)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise
    directory = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(directory)
    finally:
        os.close(directory)
