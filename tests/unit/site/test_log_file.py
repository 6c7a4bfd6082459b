"""Files of receivers are bounded together, and nothing else in their directory is touched."""

from pathlib import Path

import pytest

from isthmus.site.log_file import LogFiles
from isthmus.telemetry.setting import FileSettings


def settings(path: str, max_bytes: int = 40, keep: int = 3) -> FileSettings:
    return FileSettings(path, max_bytes, keep)


def sizes(root: Path) -> dict[str, int]:
    return {str(path.relative_to(root)): path.stat().st_size for path in root.glob("*/*")}


def test_the_namespace_with_most_gives_up_its_oldest_file(tmp_path: Path) -> None:
    root = tmp_path / "files"
    files = LogFiles(root, tmp_path / "files.json", 300)
    quiet, loud = settings("quiet/a.log"), settings("loud/b.log", keep=50)
    for each in (quiet, loud):
        files.use(each)
    for folder, name in (("quiet", "notes.txt"), ("loud", "b.log.old")):  # somebody else's
        (root / folder).mkdir(parents=True)
        (root / folder / name).write_bytes(b"x" * 1000)
    files.append(quiet, b"1" * 30)
    for number in range(20):
        files.append(loud, b"%02d" % number * 10)
    found = sizes(root)
    assert found.pop("quiet/notes.txt") == found.pop("loud/b.log.old") == 1000
    assert found.pop("quiet/a.log") == 30
    assert sum(found.values()) <= 270
    assert sum(found.values()) >= 230
    assert b"19" in (root / "loud" / "b.log.1").read_bytes(), "the oldest went, the newest is there"


def test_files_of_receivers_that_are_gone_count_over_a_restart(tmp_path: Path) -> None:
    root = tmp_path / "files"
    files = LogFiles(root, tmp_path / "files.json", 100)
    first = settings("shop/first.log", max_bytes=1000)
    files.use(first)
    files.append(first, b"1" * 90)
    again = LogFiles(root, tmp_path / "files.json", 100)
    second = settings("shop/second.log", max_bytes=1000)
    again.use(second)
    again.append(second, b"2" * 50)
    assert sizes(root) == {"shop/second.log": 50}
    assert (tmp_path / "files.json").read_text() == '["shop/first.log", "shop/second.log"]'


def test_a_body_that_can_never_fit_is_not_written(tmp_path: Path) -> None:
    files = LogFiles(tmp_path / "files", tmp_path / "files.json", 100)
    own = settings("shop/a.log")
    files.use(own)
    files.append(own, b"kept")
    with pytest.raises(OSError, match="larger than all"):
        files.append(own, b"x" * 101)
    assert (tmp_path / "files" / "shop" / "a.log").read_bytes() == b"kept"


def test_a_link_in_the_place_of_a_file_is_not_followed(tmp_path: Path) -> None:
    files = LogFiles(tmp_path / "files", tmp_path / "files.json", 100)
    own, other = settings("shop/a.log"), tmp_path / "other"
    files.use(own)
    other.write_bytes(b"theirs")
    (tmp_path / "files" / "shop").mkdir(parents=True)
    (tmp_path / "files" / "shop" / "a.log").symlink_to(other)
    with pytest.raises(OSError):
        files.append(own, b"ours")
    assert other.read_bytes() == b"theirs"
