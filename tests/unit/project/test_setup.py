"""Set-up on machines that lack something: it says what, and how to get it."""

import os
import shutil
import subprocess
import sys
from importlib.machinery import SourceFileLoader
from importlib.util import module_from_spec, spec_from_loader
from pathlib import Path
from types import ModuleType

import pytest

ROOT = Path(__file__).parents[3]


@pytest.fixture
def bare(tmp_path: Path) -> Path:
    """A checkout without .venv, and a PATH on which nothing but Python is found."""
    for name in ("scripts", "requirements"):
        shutil.copytree(ROOT / name, tmp_path / "checkout" / name)
    shutil.copy(ROOT / "pyproject.toml", tmp_path / "checkout")
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin" / "python3").symlink_to(sys.executable)
    return tmp_path


def run(bare: Path, purpose: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, bare / "checkout/scripts/setup", purpose],
        env={"PATH": str(bare / "bin"), "HOME": os.environ.get("HOME", "/")},
        capture_output=True,
        text=True,
        timeout=60,
    )


def test_a_machine_without_apt_is_told_what_to_install(bare: Path) -> None:
    done = run(bare, "run")
    assert done.returncode == 1
    assert "gobgpd" in done.stderr
    assert "BGP speaker" in done.stderr
    assert "no apt-get" in done.stderr
    assert "Traceback" not in done.stderr
    assert not (bare / "checkout/.venv").exists()


@pytest.fixture
def setup(tmp_path: Path) -> ModuleType:
    """The script as a module whose policy-rc.d is a file of this test."""
    loader = SourceFileLoader("isthmus_setup", str(ROOT / "scripts/setup"))
    spec = spec_from_loader(loader.name, loader)
    assert spec is not None
    module = module_from_spec(spec)
    loader.exec_module(module)
    module.__dict__["POLICY"] = tmp_path / "policy-rc.d"
    return module


def test_no_service_may_start_while_packages_are_installed(setup: ModuleType) -> None:
    with setup.services_held():
        assert subprocess.run([setup.POLICY, "gobgpd", "start"]).returncode == 101
    assert not setup.POLICY.exists()


def test_a_policy_of_the_machine_comes_back_when_installing_fails(setup: ModuleType, tmp_path: Path) -> None:
    setup.POLICY.write_text("#!/bin/sh\nexit 0\n")
    with pytest.raises(RuntimeError, match="apt"), setup.services_held():
        raise RuntimeError("apt")
    assert setup.POLICY.read_text() == "#!/bin/sh\nexit 0\n"
    assert [path.name for path in tmp_path.glob("policy*")] == ["policy-rc.d"]


def test_the_policy_of_a_set_up_that_was_killed_does_not_stay(setup: ModuleType, tmp_path: Path) -> None:
    with setup.services_held():
        left = setup.POLICY.read_text()
    setup.POLICY.write_text(left)
    with setup.services_held():
        assert setup.POLICY.read_text() == left
    assert list(tmp_path.glob("policy*")) == []


def test_an_unknown_purpose_prints_the_usage(bare: Path) -> None:
    done = run(bare, "everything")
    assert done.returncode == 2
    assert "scripts/setup run" in done.stderr


def test_a_set_up_checkout_has_nothing_left_to_do() -> None:
    stamp = ROOT / ".venv/setup.json"
    subprocess.run([ROOT / "scripts/setup", "test"], timeout=120, check=True)
    before = stamp.stat().st_mtime_ns
    done = subprocess.run([ROOT / "scripts/setup", "test"], capture_output=True, text=True, timeout=120, check=True)
    assert done.stderr == ""
    assert stamp.stat().st_mtime_ns == before
