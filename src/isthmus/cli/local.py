"""A site's own answers, through the Unix socket in its state directory: for when it is cut off from everything else."""

import http.client
import json
import socket
from pathlib import Path
from typing import Any

from isthmus.cli.error import CommandError, Exit


class _SocketConnection(http.client.HTTPConnection):
    def __init__(self, path: Path, timeout: float) -> None:
        super().__init__("localhost", timeout=timeout)
        self._path = str(path)

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(self.timeout)
        self.sock.connect(self._path)


def ask_site(state: Path, method: str, path: str, body: Any = None, timeout: float = 10.0) -> Any:
    """One request to the agent of the site that keeps its state in a directory."""
    connection = _SocketConnection(state / "site.sock", timeout)
    try:
        encoded = None if body is None else json.dumps(body)
        connection.request(method, path, encoded, {"Content-Type": "application/json"})
        response = connection.getresponse()
        text = response.read()
    except PermissionError:
        raise CommandError(f"Only the owner of {state} may ask the site's agent.", Exit.NOT_AUTHORISED) from None
    except (OSError, http.client.HTTPException) as error:
        why = getattr(error, "strerror", None) or error
        raise CommandError(f"No site agent answers in {state}: {why}.", Exit.UNREACHABLE) from None
    finally:
        connection.close()
    try:
        answer = json.loads(text)
    except ValueError:
        raise CommandError(f"The site's agent answered {response.status} without JSON.", Exit.INTERNAL) from None
    if response.status >= 300:
        given = answer.get("error", {}) if isinstance(answer, dict) else {}
        raise CommandError(str(given.get("message", f"The site's agent answered {response.status}.")))
    return answer
