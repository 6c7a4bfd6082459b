"""What several spools keep on one disk is shared fairly."""

from pathlib import Path

from isthmus.telemetry.quota import Quota
from isthmus.telemetry.spool import Spool, count_requests


def fill(spool: Spool, batches: int, size: int = 10) -> None:
    for _ in range(batches):
        spool.put(spool.next_name(), b"x" * size, 1)


def test_a_share_that_keeps_most_makes_room_and_others_keep_theirs(tmp_path: Path) -> None:
    quota = Quota(100, 1000)
    first, second, quiet = (
        Spool(tmp_path / name, 1000, quota=quota, share=share)
        for name, share in (("first", "loud"), ("second", "loud"), ("quiet", "quiet"))
    )
    fill(quiet, 4)
    fill(first, 20)
    fill(second, 20)
    assert (quiet.size, quiet.dropped_requests) == (40, 0)
    assert first.size + second.size == 60
    assert first.dropped_requests + second.dropped_requests == 34
    assert second.size >= 30, "within a share the largest gives way"
    fill(quiet, 10)
    assert quiet.size == 50, "and an equal part is anybody's"
    assert quiet.dropped_requests == 9


def test_files_are_bounded_as_well_as_bytes(tmp_path: Path) -> None:
    spool = Spool(tmp_path / "one", 1 << 20, most=5)
    fill(spool, 12, size=1)
    assert (len(spool), spool.dropped_requests) == (5, 7)
    assert len(list((tmp_path / "one").iterdir())) == 5
    quota = Quota(1 << 20, 6)
    small, many = (Spool(tmp_path / name, 1 << 20, quota=quota, share=name) for name in ("small", "many"))
    fill(small, 2, size=1000)
    fill(many, 50, size=1)
    assert (len(small), len(many), many.dropped_requests) == (2, 4, 46), "the many small ones, not the large ones"


def test_what_is_too_large_for_all_of_it_is_counted_and_nothing_else_goes(tmp_path: Path) -> None:
    quota = Quota(100, 10)
    spool = Spool(tmp_path / "one", 1000, quota=quota, share="a")
    fill(spool, 3)
    fill(spool, 1, size=101)
    assert (len(spool), spool.dropped_requests) == (3, 1)


def test_a_spool_that_is_closed_counts_no_more_and_is_found_again(tmp_path: Path) -> None:
    quota = Quota(100, 10)
    gone = Spool(tmp_path / "gone", 1000, quota=quota, share="a")
    fill(gone, 9)
    gone.close()
    other = Spool(tmp_path / "other", 1000, quota=quota, share="b")
    fill(other, 10)
    assert (len(gone), len(other), other.dropped_requests) == (9, 10, 0)
    assert count_requests(tmp_path / "gone") == 9
    again = Spool(tmp_path / "gone", 1000, quota=quota, share="a")  # together there is too much now
    fill(other, 1)
    assert again.size + other.size <= 100
    assert again.waiting_requests == len(again)
