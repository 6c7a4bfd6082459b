"""The objects of `examples/`, with the addresses of one deployment."""

from pathlib import Path
from typing import Any

from isthmus.demo.address import AddressPlan
from isthmus.model import Diagnostic
from isthmus.model.document import decode_yaml

_HERE = Path(__file__).resolve()


def example_directory() -> Path:
    """Where the examples lie: inside the installed package, or in the checkout."""
    installed = _HERE.parent / "examples"
    return installed if installed.is_dir() else _HERE.parents[3] / "examples"


def load_example(name: str, plan: AddressPlan) -> list[dict[str, Any]]:
    """The documents of a file or directory of the examples, in order of path.

    Raises FileNotFoundError when there is no such example, ValueError when it is not YAML.
    """
    path = example_directory() / name
    files = sorted(path.glob("*.yaml")) if path.is_dir() else [path]
    if not files:
        raise FileNotFoundError(f"{path} holds no example")
    documents: list[dict[str, Any]] = []
    for file in files:
        decoded = decode_yaml(file.read_text(), file.name)
        if isinstance(decoded, Diagnostic):
            raise ValueError(str(decoded))
        documents.extend(plan.resolve(document) for document in decoded)
    return documents
