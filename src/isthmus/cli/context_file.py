"""The deployments that a person uses: URL, token and authority of each, in a file that only its owner can read."""

import json
import os
import tempfile
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path

from isthmus.cli.error import CommandError, Exit


@dataclass(frozen=True, slots=True)
class Context:
    """How to reach one deployment.

    Attributes:
        url: https address of a console.
        token: bearer token.
        ca: PEM certificates of the deployment's authority; empty for the system's authorities.
    """

    url: str
    token: str = ""
    ca: str = ""


@dataclass(frozen=True, slots=True)
class Contexts:
    """All contexts by name, and the name of the one in use (empty: none)."""

    current: str = ""
    known: Mapping[str, Context] = field(default_factory=dict)


def context_path() -> Path:
    """`$XDG_CONFIG_HOME/isthmus/contexts.json`, below `~/.config` when the variable is unset."""
    base = os.environ.get("XDG_CONFIG_HOME")
    return (Path(base) if base else Path.home() / ".config") / "isthmus" / "contexts.json"


def load_contexts(path: Path) -> Contexts:
    """What the file holds; nothing when there is none."""
    try:
        document = json.loads(path.read_text())
        return Contexts(
            str(document["current"]), {name: Context(**given) for name, given in document["contexts"].items()}
        )
    except FileNotFoundError:
        return Contexts()
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise CommandError(f"{path} cannot be read: {error}. Mend or remove it.", Exit.USAGE) from None


def save_contexts(path: Path, contexts: Contexts) -> None:
    """Replace the file in one step, mode 0600."""
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    document = {
        "current": contexts.current,
        "contexts": {name: asdict(context) for name, context in contexts.known.items()},
    }
    handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=".contexts.")  # created with mode 0600
    try:
        with os.fdopen(handle, "w") as file:
            json.dump(document, file, indent=2)
        Path(temporary).replace(path)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise
