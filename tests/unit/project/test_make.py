"""What the Makefile says about itself is true."""

import re
import subprocess
from pathlib import Path

ROOT = Path(__file__).parents[3]
MAKEFILE = (ROOT / "Makefile").read_text()


def test_help_lists_every_target() -> None:
    done = subprocess.run(["make", "help"], cwd=ROOT, capture_output=True, text=True, timeout=120, check=True)
    listed = re.findall(r"^  make (\w+)  +\S", done.stdout, re.MULTILINE)
    phony = re.search(r"^\.PHONY: (.+)$", MAKEFILE, re.MULTILINE)
    assert phony is not None
    assert sorted(listed) == sorted(phony.group(1).split())


def test_make_alone_shows_the_help() -> None:
    plain = subprocess.run(["make"], cwd=ROOT, capture_output=True, text=True, timeout=120, check=True)
    assert "make demo" in plain.stdout
    assert "make test" in plain.stdout


def test_documents_name_only_targets_that_exist() -> None:
    targets = set(re.findall(r"^([a-z]+):", MAKEFILE, re.MULTILINE))
    for path in [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *(ROOT / "docs").rglob("*.md")]:
        named = set(re.findall(r"(?:`|^)make ([a-z]+)\b", path.read_text(), re.MULTILINE))
        assert named <= targets, f"{path.name} names {named - targets}"
