"""Batches that wait in memory."""

from __future__ import annotations

from isthmus.exporter.memory_spool import MemorySpool


def test_the_oldest_goes_first_and_is_counted() -> None:
    spool = MemorySpool(limit=10, most=3)
    for number in range(3):
        spool.put(b"%d" % number * 4, 2)
    assert (len(spool), spool.size, spool.waiting_requests, spool.dropped_requests) == (2, 8, 4, 2)
    spool.put(b"", 1)
    spool.put(b"", 1)
    assert (len(spool), spool.dropped_requests) == (3, 4)
    spool.put(b"x" * 11, 5)
    assert (len(spool), spool.dropped_requests) == (3, 9)


def test_what_is_on_its_way_makes_no_room() -> None:
    spool = MemorySpool(limit=10, most=3)
    spool.put(b"aaaaaa", 1)
    lent = spool.lend()
    assert lent is not None
    assert lent[1] == b"aaaaaa"
    assert spool.lend() is None
    spool.put(b"bbbbbb", 1)
    assert (len(spool), spool.dropped_requests) == (1, 1)
    spool.give_back(lent[0])
    assert spool.lend() == lent
    spool.remove(lent[0])
    assert (len(spool), spool.size, spool.waiting_requests) == (0, 0, 0)
