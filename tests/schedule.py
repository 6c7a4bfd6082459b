"""Which tests run beside each other when two workers share the suite.

A worker takes units from the front of one queue: first what is long and mostly waits for real processes, last the many
quick tests, which fill what is left of either worker. Tests that share a deployment are one unit.
"""

from __future__ import annotations

import pytest
from xdist.scheduler.loadscope import LoadScopeScheduling

WORKERS = 2
# The whole folder is one unit: its tests share a deployment and the event loop that it lives in.
SHARED = ("tests/system/",)
ORDER = ("tests/system/", "tests/contract/site/", "tests/contract/", "tests/browser/", "tests/property/", "")


def find_unit(nodeid: str) -> str:
    """The unit that a test belongs to: the folder of a shared deployment, else its module."""
    shared = next((folder for folder in SHARED if nodeid.startswith(folder)), None)
    return shared or nodeid.partition("::")[0]


def find_place(nodeid: str) -> int:
    """How early a test is taken: the index of its folder in the order."""
    return next(place for place, folder in enumerate(ORDER) if nodeid.startswith(folder))


class Schedule(LoadScopeScheduling):
    """Hands out units in the order in which tests were collected."""

    def __init__(self, config: pytest.Config, log: object) -> None:
        super().__init__(config, log)  # type: ignore[arg-type]
        config.option.loadscopereorder = False  # by number of tests: one that takes a minute would come last

    def _split_scope(self, nodeid: str) -> str:
        return find_unit(nodeid)
