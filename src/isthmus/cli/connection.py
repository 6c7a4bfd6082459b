"""From options, environment and contexts to a console that can be asked.

Each of URL, token and authority comes from the first that has it: the context named by `--context` (or
ISTHMUS_CONTEXT), the environment, the context in use.
"""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from isthmus.cli.context_file import Context, context_path, load_contexts
from isthmus.cli.error import CommandError, Exit

if TYPE_CHECKING:
    from isthmus.client import Console


def find_context(name: str | None) -> Context:
    """The deployment to use."""
    contexts = load_contexts(context_path())
    if name:
        if name not in contexts.known:
            known = ", ".join(sorted(contexts.known)) or "none"
            raise CommandError(f"There is no context {name!r}; known: {known}.", Exit.USAGE)
        return contexts.known[name]
    current = contexts.known.get(contexts.current, Context(""))
    url = os.environ.get("ISTHMUS_URL") or current.url
    if not url:
        raise CommandError(
            "No console is known. Run `isthmus context add NAME --url https://HOST:PORT`, or set ISTHMUS_URL, "
            "ISTHMUS_TOKEN_FILE and ISTHMUS_CA.",
            Exit.USAGE,
        )
    same = url == current.url  # a token is never sent to another address than its own
    token_file, ca = os.environ.get("ISTHMUS_TOKEN_FILE"), os.environ.get("ISTHMUS_CA")
    return Context(
        url,
        read_token(Path(token_file)) if token_file else (current.token if same else ""),
        read_authority(ca, url) if ca else (current.ca if same else ""),
    )


def read_token(path: Path) -> str:
    """The token in a file."""
    try:
        return path.read_text().strip()
    except (OSError, UnicodeDecodeError) as error:
        raise CommandError(f"The token file {path} cannot be read: {_why(error)}.", Exit.USAGE) from None


def read_authority(text: str, url: str) -> str:
    """The PEM that `text` names: a file, or `sha256:HEX` of the authority in the chain that the console shows."""
    from isthmus.client import TrustError, fetch_authority, parse_bundle

    try:
        if not text.startswith("sha256:"):
            return parse_bundle(Path(text).read_text())
        parts = urlsplit(url)
        return fetch_authority(parts.hostname or "", parts.port or 443, text.removeprefix("sha256:"))
    except TrustError as error:
        raise CommandError(str(error), Exit.UNREACHABLE) from None
    except (OSError, ValueError) as error:
        what = f"The authority of {url} cannot be fetched" if text.startswith("sha256:") else f"{text} cannot be read"
        raise CommandError(f"{what}: {_why(error)}.", Exit.UNREACHABLE) from None


def _why(error: Exception) -> str:
    return str(getattr(error, "strerror", None) or error).rstrip(".")


@contextmanager
def connect(name: str | None, timeout: float = 30.0) -> Iterator["Console"]:
    """The console of a context; its errors become errors of the command."""
    from isthmus.client import Conflict, Console, ConsoleError, Failed, NotAuthorised, Trust, Unreachable

    codes = {
        Unreachable: Exit.UNREACHABLE,
        NotAuthorised: Exit.NOT_AUTHORISED,
        Conflict: Exit.CONFLICT,
        Failed: Exit.INTERNAL,
    }
    context = find_context(name)
    try:
        with Console(context.url, context.token, Trust(context.ca), timeout) as console:
            yield console
    except ConsoleError as error:
        from isthmus.cli.output import diagnostic_text

        details = [diagnostic_text(each) for each in error.diagnostics]
        raise CommandError(str(error), codes.get(type(error), Exit.NEGATIVE), details) from None
