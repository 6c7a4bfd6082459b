"""What the agent may do that the programs it starts may not."""

from __future__ import annotations

import ctypes

_PR_CAP_AMBIENT, _PR_CAP_AMBIENT_LOWER = 47, 3
_CAP_NET_ADMIN = 12


def keep_from_children() -> None:
    """Take CAP_NET_ADMIN out of what started programs inherit: the agent changes addresses, Envoy need not be able to.

    For an agent that runs as a user of its own and was given the capability as an ambient one (capabilities(7)). It
    keeps the capability itself. Without it, nothing happens.
    """
    ctypes.CDLL(None, use_errno=True).prctl(_PR_CAP_AMBIENT, _PR_CAP_AMBIENT_LOWER, _CAP_NET_ADMIN, 0, 0)
