"""The locked requirements hold what pyproject.toml asks for, and fit together."""

import re
import tomllib
from pathlib import Path

ROOT = Path(__file__).parents[3]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())


def normal(requirement: str) -> str:
    found = re.match(r"[A-Za-z0-9._-]+", requirement)
    assert found is not None
    return re.sub(r"[-_.]+", "-", found.group(0)).lower()


def locked(name: str) -> set[str]:
    """`package==version` lines; a package may have several versions, for different Pythons."""
    text = (ROOT / "requirements" / name).read_text()
    return set(re.findall(r"^([a-z0-9-]+==[^ ]+)", text, re.MULTILINE))


def test_locks_hold_every_dependency() -> None:
    groups = PROJECT["dependency-groups"]
    run = {normal(item) for item in [*PROJECT["project"]["dependencies"], *groups["build"]]}
    development = run | {normal(item) for item in groups["dev"] if isinstance(item, str)}
    assert run <= {item.partition("==")[0] for item in locked("run.txt")}, "run `make lock`"
    assert development <= {item.partition("==")[0] for item in locked("dev.txt")}, "run `make lock`"


def test_one_lock_can_be_installed_over_the_other() -> None:
    assert locked("run.txt") <= locked("dev.txt")


def test_locks_hold_hashes_and_no_addresses() -> None:
    for name in ("run.txt", "dev.txt"):
        text = (ROOT / "requirements" / name).read_text()
        packages = re.split(r"^(?=[a-z0-9-]+==)", text, flags=re.MULTILINE)[1:]
        assert all("--hash=sha256:" in package for package in packages)
        assert "://" not in text
        assert "index-url" not in text
