"""The log of a process that cannot be told to open another."""

from pathlib import Path

from isthmus.engine.gobgp.process import bound_log


def test_a_large_log_is_set_aside_while_it_is_written(tmp_path: Path) -> None:
    path = tmp_path / "gobgp.log"
    bound_log(path, 4)
    with path.open("ab", buffering=0) as writer:
        for text in (b"first", b"second"):
            writer.write(text)
            bound_log(path, 4)
            assert (path.stat().st_size, (tmp_path / "gobgp.log.1").read_bytes()) == (0, text)
        writer.write(b"last")
        bound_log(path, 4)
    assert path.read_bytes() == b"last"
