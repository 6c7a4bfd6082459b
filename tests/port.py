"""Ports for tests that run beside each other.

A port that is asked of the kernel may go to an outgoing connection, or to a test of the other worker, before the
process that it was asked for listens on it: Envoy shares it without an error then, and requests end at a stranger.
"""

from __future__ import annotations

import os
import random
import socket

_EACH = 2_000
_WORKER = int(os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw"))
_BEGIN = 3_000 + _EACH * (_WORKER % 4)
_PORTS = range(_BEGIN, _BEGIN + _EACH)
"""A worker's own, below what deployments (from 12000) and outgoing connections (from 32768) take."""

_given: set[int] = set()


def free_port(address: str = "127.0.0.1") -> int:
    """A port that nobody has by TCP or UDP at any address, and that was not given before. Raises OSError."""
    for _ in range(1000):
        port = random.choice(_PORTS)
        if port not in _given and _is_free(address, port):
            _given.add(port)
            return port
    raise OSError(f"no free port from {_PORTS.start} to {_PORTS.stop - 1}")


def _is_free(address: str, port: int) -> bool:
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    for kind in (socket.SOCK_STREAM, socket.SOCK_DGRAM):
        with socket.socket(family, kind) as probe:
            try:
                probe.bind(("::" if family == socket.AF_INET6 else "0.0.0.0", port))
            except OSError:
                return False
    return True
