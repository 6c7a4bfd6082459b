"""Ends what a deployment left behind when the process that ran it was killed.

    python -m isthmus.demo.guard DIRECTORY

Waits until its standard input closes, which happens however the other end dies, then ends every process of the
deployment and removes its directory. A demo that stops in order has nothing left to end.
"""

import os
import shutil
import signal
import sys
import time
from pathlib import Path

from isthmus.demo.process import find_processes, sweep

_GRACE_SECONDS = 5


def main() -> None:
    """Wait, then clean up."""
    directory = Path(sys.argv[1])
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    while os.read(0, 4096):
        pass
    deadline = time.monotonic() + _GRACE_SECONDS
    while any(True for _ in find_processes(directory)) and time.monotonic() < deadline:
        time.sleep(0.1)
    sweep(directory)
    if "--keep" not in sys.argv[2:]:
        shutil.rmtree(directory, ignore_errors=True)


if __name__ == "__main__":
    main()
