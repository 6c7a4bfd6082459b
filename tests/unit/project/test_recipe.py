"""The recipes on documentation pages are objects of the examples, which other tests run."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
import yaml

ROOT = Path(__file__).parents[3]


def documents(text: str) -> list[Any]:
    return [document for document in yaml.safe_load_all(text) if document is not None]


@pytest.mark.parametrize(
    ("page", "folder"), [("routes.md", "routes"), ("rollout.md", "rollout"), ("clusters.md", "clusters")]
)
def test_recipes_are_objects_of_the_examples(page: str, folder: str) -> None:
    blocks = re.findall(r"^```yaml\n(.*?)^```$", (ROOT / "docs" / page).read_text(), re.DOTALL | re.MULTILINE)
    recipes = [document for block in blocks for document in documents(block)]
    examples = [
        each for path in sorted((ROOT / "examples" / folder).rglob("*.yaml")) for each in documents(path.read_text())
    ]
    assert recipes
    for recipe in recipes:
        assert recipe in examples, recipe["metadata"]
