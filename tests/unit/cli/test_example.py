"""The examples are valid objects by themselves."""

from pathlib import Path

import pytest

from isthmus.cli.document import read_documents
from isthmus.model import PUBLIC_KINDS, Object, ObjectKey
from isthmus.model.document import parse_documents
from isthmus.model.validation import validate

EXAMPLES = Path(__file__).parents[3] / "examples"


def load(*paths: str) -> dict[ObjectKey, Object]:
    """The objects of some examples, later ones in place of earlier ones, as applying them in turn does."""
    found: dict[ObjectKey, Object] = {}
    for path in paths:
        documents = read_documents([str(EXAMPLES / path)])
        parsed = parse_documents(documents.values)
        assert (documents.diagnostics, parsed.diagnostics) == ((), ())
        found |= {obj.key: obj for obj in parsed.objects}
    return found


@pytest.mark.parametrize(
    "paths",
    [
        ("quick.yaml",),
        ("demo", "https"),
        ("demo", "acme"),
        ("demo",),
        ("demo", "canary"),
        ("alerts",),
        ("discovery",),
        ("telemetry",),
        ("proxy-types",),
        ("routes",),
        ("clusters",),
        ("health",),
        ("tls",),
        ("rollout/1-places.yaml", "rollout/2-before.yaml"),
    ],
)
def test_valid(paths: tuple[str, ...]) -> None:
    assert validate(load(*paths)) == []


def test_canary_edits_an_object_of_the_demo() -> None:
    assert set(load("canary")) <= set(load("demo"))


def test_examples_show_every_kind() -> None:
    paths = [str(path.relative_to(EXAMPLES)) for path in EXAMPLES.rglob("*.yaml")]
    assert {key.kind for key in load(*paths)} == set(PUBLIC_KINDS)


def test_every_file_is_read() -> None:
    folders = {path.parent.name for path in EXAMPLES.rglob("*.yaml")}
    assert folders == {
        "examples",
        "demo",
        "canary",
        "rollout",
        "routes",
        "tutorial",
        "discovery",
        "proxy-types",
        "alerts",
        "clusters",
        "health",
        "tls",
        "https",
        "acme",
        "telemetry",
    }
