"""The wheel installs and works where there is no root, no system package and no checkout."""

import subprocess
import sys
import sysconfig
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("wheel")
    command = [sys.executable, "-m", "hatchling", "build", "--target", "wheel", "--directory", str(folder)]
    subprocess.run(command, cwd=ROOT, check=True, capture_output=True, timeout=120)
    return next(folder.glob("*.whl"))


@pytest.fixture(scope="module")
def installed(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A fresh environment with the wheel; its dependencies are those of the environment that runs the tests."""
    home = tmp_path_factory.mktemp("installed")
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(home)], check=True, timeout=60)
    python = home / "bin" / "python"
    pip = [sys.executable, "-m", "pip", "--python", str(python), "--quiet", "--disable-pip-version-check"]
    subprocess.run([*pip, "install", "--no-deps", "--no-index", str(wheel)], check=True, timeout=120)
    where = "import sysconfig; print(sysconfig.get_path('purelib'))"
    found = subprocess.run([python, "-c", where], check=True, capture_output=True, text=True, timeout=60)
    # Plain paths in a .pth come after the environment's own packages and their own .pth files are not read,
    # so the checkout that is installed there as editable stays invisible.
    Path(found.stdout.strip(), "dependencies.pth").write_text(sysconfig.get_path("purelib") + "\n")
    return home


def run(home: Path, *arguments: str, cwd: Path | None = None) -> subprocess.CompletedProcess[str]:
    """Run the installed command on a PATH without gobgpd."""
    return subprocess.run(
        [str(home / "bin" / "isthmus"), *arguments],
        cwd=cwd or home,
        env={"PATH": str(home / "bin"), "HOME": str(home), "COLUMNS": "120"},
        capture_output=True,
        text=True,
        timeout=60,
    )


def test_it_is_the_wheel_that_runs(installed: Path) -> None:
    where = subprocess.run(
        [installed / "bin/python", "-c", "import isthmus; print(isthmus.__file__)"],
        cwd=installed,
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )
    assert Path(where.stdout.strip()).is_relative_to(installed)


def test_help_lists_the_verbs(installed: Path) -> None:
    done = run(installed, "--help")
    assert done.returncode == 0, done.stderr
    for verb in ("apply", "compile", "explain", "demo", "console", "region", "site"):
        assert verb in done.stdout


def test_compile_works_offline(installed: Path, tmp_path: Path) -> None:
    (tmp_path / "site.yaml").write_text("{apiVersion: isthmus/v1, kind: Site, metadata: {name: fra}}\n")
    done = run(installed, "compile", "-f", str(tmp_path), "--site", "fra", "-o", "intent")
    assert done.returncode == 0, done.stderr
    assert "fra" in done.stdout


def test_the_wheel_holds_units_licence_and_types(wheel: Path) -> None:
    names = zipfile.ZipFile(wheel).namelist()
    for unit in ("console", "region", "site"):
        assert f"isthmus/packaging/systemd/isthmus-{unit}.service" in names
    assert any(name.endswith("licenses/LICENSE") for name in names)
    assert "isthmus/py.typed" in names
    assert not [name for name in names if name.startswith(("tests", "bench", "docs"))]
