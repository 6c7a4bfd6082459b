"""Objects to intent to xDS, as files that people and Envoy can read. `--golden-update` rewrites them."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest
from google.protobuf.json_format import MessageToJson

from isthmus.engine.envoy.process import find_envoy

from .corpus import CASES, CORPUS, compile_case, emit_case, expected_files, read_objects
from .static import static_bootstrap

STILL_DEPRECATED = ("Compressor.CommonDirectionConfig.content_type'",)
"""Fields whose replacement xds-protos does not know yet."""


@pytest.mark.parametrize("case", CASES)
def test_expected_files(case: str, request: pytest.FixtureRequest) -> None:
    folder = CORPUS / case
    expected = expected_files(case)
    if request.config.getoption("--golden-update"):
        for orphan in _files(folder) - expected.keys():
            (folder / orphan).unlink()
        for path, text in expected.items():
            (folder / path).parent.mkdir(exist_ok=True)
            (folder / path).write_text(text)
    assert _files(folder) == expected.keys(), "a file is missing or an orphan: run pytest tests/golden --golden-update"
    for path, text in expected.items():
        assert (folder / path).read_text() == text, f"{case}/{path} differs: run pytest tests/golden --golden-update"


def test_no_folder_without_input() -> None:
    folders = {path.name for path in CORPUS.iterdir() if path.is_dir() and path.name != "__pycache__"}
    assert folders == set(CASES)


@pytest.mark.parametrize("case", CASES)
def test_envoy_accepts(case: str, tmp_path: Path) -> None:
    bootstrap = tmp_path / "bootstrap.json"
    bootstrap.write_text(MessageToJson(static_bootstrap(emit_case(compile_case(case).intent), read_objects(case))))
    result = subprocess.run(
        [find_envoy(), "--mode", "validate", "-c", bootstrap, "-l", "warning"],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert result.returncode == 0, result.stderr
    deprecated = [line for line in result.stderr.splitlines() if "deprecated" in line]
    assert [line for line in deprecated if not any(field in line for field in STILL_DEPRECATED)] == []


def _files(folder: Path) -> set[str]:
    return {str(path.relative_to(folder)) for path in folder.rglob("*.yaml")} - {"input.yaml", "found.yaml"}
