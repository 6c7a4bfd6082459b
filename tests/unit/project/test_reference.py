"""The generated pages are those that the models and the command line give today, and the documentation builds."""

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[3]


def test_reference_pages_are_current() -> None:
    done = subprocess.run(
        [sys.executable, "scripts/reference", "--check"], cwd=ROOT, capture_output=True, text=True, timeout=120
    )
    assert done.returncode == 0, done.stderr


def test_documentation_builds_without_a_warning_and_loads_nothing_from_elsewhere(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "--quiet", "--site-dir", str(tmp_path / "html")]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stdout + done.stderr
    home = (tmp_path / "html" / "index.html").read_text()
    assert "Isthmus" in home
    loaded = [part.split('"')[0] for part in home.split('src="')[1:]]
    loaded += [part.split('"')[0] for part in home.split('rel="stylesheet" href="')[1:]]
    assert loaded
    assert not [address for address in loaded if address.startswith(("http:", "https:", "//"))]
