"""The YAML that documents show is what Isthmus takes."""

import re
from pathlib import Path

import pytest
import yaml

from isthmus.exporter.setting import OtlpExport
from isthmus.model.document import parse_part, parse_yaml
from isthmus.model.validation import validate

ROOT = Path(__file__).parents[3]
DOCUMENTS = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]


def blocks(path: Path) -> list[str]:
    return re.findall(r"^```yaml\n(.*?)^```", path.read_text(), re.MULTILINE | re.DOTALL)


@pytest.mark.parametrize("path", DOCUMENTS, ids=lambda path: path.name)
def test_yaml_of_a_document_is_valid(path: Path) -> None:
    for block in blocks(path):
        parsed = parse_yaml(block)
        assert parsed.diagnostics == ()
        assert parsed.objects


def test_the_settings_of_a_collector_are_valid() -> None:
    text = (ROOT / "docs/observability.md").read_text()
    [block] = re.findall(r"^```yaml title=\"otlp.yaml\"\n(.*?)^```", text, re.MULTILINE | re.DOTALL)
    [document] = yaml.safe_load_all(block)
    parsed = parse_part(OtlpExport, document)
    assert isinstance(parsed, OtlpExport), parsed


def test_the_example_of_the_readme_is_the_file_and_complete() -> None:
    (block,) = blocks(ROOT / "README.md")
    assert block == (ROOT / "examples/quick.yaml").read_text()
    assert validate({obj.key: obj for obj in parse_yaml(block).objects}) == []


def test_the_files_of_the_tutorial_are_complete_in_order() -> None:
    known = {}
    for path in sorted((ROOT / "examples/tutorial").glob("*.yaml")):
        parsed = parse_yaml(path.read_text())
        assert parsed.diagnostics == ()
        known |= {obj.key: obj for obj in parsed.objects}
        assert validate(known) == []
        assert path.name in (ROOT / "docs/tutorial.md").read_text()
