"""How the suite is shared out: by folders that exist, whole where a deployment is shared, and only for whole runs."""

import subprocess
import sys
from pathlib import Path

import pytest

from ...schedule import ORDER, SHARED, WORKERS, find_place, find_unit

ROOT = Path(__file__).resolve().parents[3]
SUITE = """
def test_one(): pass
def test_two(): pass
"""


def test_folders_that_are_named_exist() -> None:
    for folder in (*SHARED, *filter(None, ORDER)):
        assert (ROOT / folder).is_dir(), folder


def test_tests_of_one_deployment_are_one_unit_and_long_ones_come_first() -> None:
    system = [f"tests/system/{name}.py::test_it" for name in ("test_tls", "test_trust")]
    assert {find_unit(each) for each in system} == {"tests/system/"}
    assert find_unit("tests/unit/a/test_b.py::test_c[d::e]") == "tests/unit/a/test_b.py"
    rest = [f"tests/{folder}/test_a.py::x" for folder in ("contract/site", "contract/dns", "browser", "unit/model")]
    assert sorted([*rest[::-1], *system], key=find_place) == [*system, *rest]


@pytest.mark.parametrize(
    ("arguments", "workers"),
    [
        ((), True),
        (("--durations=1",), True),
        (("-k", "one"), False),
        (("tests/test_a.py",), False),
        (("-n", "0"), False),
    ],
)
def test_the_whole_suite_has_workers_and_chosen_tests_none(
    tmp_path: Path, arguments: tuple[str, ...], workers: bool
) -> None:
    (tmp_path / "tests").mkdir()
    for name in ("pyproject.toml", "tests/conftest.py", "tests/schedule.py"):
        (tmp_path / name).write_text((ROOT / name).read_text())
    (tmp_path / "tests/test_a.py").write_text(SUITE)
    command = [sys.executable, "-m", "pytest", "-vv", *arguments]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=120, check=True)
    assert (f"created: {WORKERS}/{WORKERS} workers" in done.stdout) is workers
    assert f"{1 if '-k' in arguments else 2} passed" in done.stdout
