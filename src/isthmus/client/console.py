"""Requests to the console's API, over one connection that is kept open."""

import http.client
import json
import ssl
from collections.abc import Mapping, Sequence
from typing import Any, Self
from urllib.parse import quote, urlencode, urlsplit

from isthmus.client.error import Conflict, ConsoleError, Failed, NotAuthorised, NotFound, Refused, Unreachable
from isthmus.client.trust import Trust, TrustError

_BY_STATUS: Mapping[int, type[ConsoleError]] = {
    401: NotAuthorised,
    403: NotAuthorised,
    404: NotFound,
    409: Conflict,
    412: Conflict,
    502: Unreachable,
    503: Unreachable,
    504: Unreachable,
}


class Console:
    """The console at a URL. Not for use by two threads at once.

    Every method raises a ConsoleError: Unreachable, NotAuthorised, NotFound, Conflict, Refused or Failed.
    """

    def __init__(self, url: str, token: str, trust: Trust | None = None, timeout: float = 30.0) -> None:
        parts = urlsplit(url)
        if parts.scheme != "https" or not parts.hostname:
            raise Unreachable(f"{url!r} is not the address of a console; write https://HOST:PORT.")
        self.url = url.rstrip("/")
        self._base = parts.path.rstrip("/")
        self._host, self._port = parts.hostname, parts.port or 443
        self._token = token
        self._trust = trust or Trust()
        self._timeout = timeout
        self._connection: http.client.HTTPSConnection | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the connection; the next request opens one again."""
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def get(self, path: str, **query: str | int | None) -> Any:
        """The JSON at a path below `/api/v1`; parameters that are None are left out."""
        given = {name: value for name, value in query.items() if value is not None}
        return self.request("GET", path + (f"?{urlencode(given)}" if given else ""))

    def request(self, method: str, path: str, body: Any = None, headers: Mapping[str, str] | None = None) -> Any:
        """Send a request below `/api/v1` and return the JSON of the answer, or None when it is empty."""
        encoded = None if body is None else json.dumps(body).encode()
        sent = {"Authorization": f"Bearer {self._token}", "Accept": "application/json", **(headers or {})}
        if encoded is not None:
            sent["Content-Type"] = "application/json"
        status, text = self._exchange(method, f"{self._base}/api/v1{path}", encoded, sent)
        return _parse_answer(status, text)

    def apply(self, documents: Sequence[Any], *, dry_run: bool = False) -> dict[str, Any]:
        """Create or update a set of objects, all or nothing; with `dry_run` only say what would change."""
        answer: dict[str, Any] = self.request("POST", "/apply", {"documents": list(documents), "dryRun": dry_run})
        return answer

    def _exchange(self, method: str, target: str, body: bytes | None, headers: dict[str, str]) -> tuple[int, bytes]:
        """One request. An idle connection that the server closed is opened once more: nothing was answered on it."""
        for reused in (True, False):
            if self._connection is None:
                reused = False
                self._connection = self._open()
            try:
                self._connection.request(method, target, body, headers)
                response = self._connection.getresponse()
                return response.status, response.read()
            except (http.client.RemoteDisconnected, BrokenPipeError, ConnectionResetError, ssl.SSLEOFError) as error:
                self.close()
                if not reused:
                    raise Unreachable(f"The console at {self.url} closed the connection.") from error
            except (OSError, http.client.HTTPException) as error:
                self.close()
                raise Unreachable(f"The console at {self.url} does not answer: {_reason(error)}.") from error
        raise AssertionError("the second attempt returns or raises")

    def _open(self) -> http.client.HTTPSConnection:
        try:
            context = self._trust.context()
            connection = http.client.HTTPSConnection(self._host, self._port, timeout=self._timeout, context=context)
            connection.connect()
            self._trust.check(connection.sock.getpeercert())
        except TrustError as error:
            raise Unreachable(f"{self.url} cannot be trusted. {error}") from None
        except ssl.SSLCertVerificationError as error:
            raise Unreachable(
                f"{self.url} cannot be trusted: {error.verify_message}. Name the deployment's CA by ISTHMUS_CA or in "
                "the context."
            ) from None
        except OSError as error:
            raise Unreachable(f"Cannot reach the console at {self.url}: {_reason(error)}.") from None
        return connection


def object_path(plural: str, namespace: str, name: str = "") -> str:
    """The path of an object, or of a list of objects, below `/api/v1`. An empty namespace is a tenant-wide kind's."""
    parts = (["namespaces", namespace] if namespace else []) + [plural] + ([name] if name else [])
    return "/" + "/".join(quote(part, safe="") for part in parts)


def _reason(error: BaseException) -> str:
    if isinstance(error, TimeoutError):
        return "no answer in time"
    text = str(getattr(error, "strerror", None) or error or type(error).__name__)
    return text[:1].lower() + text[1:].rstrip(".")


def _parse_answer(status: int, text: bytes) -> Any:
    try:
        document = json.loads(text) if text.strip() else None
    except ValueError:
        raise Failed(f"The console answered {status} with something that is not JSON.") from None
    if status < 300:
        return document
    answer = document if isinstance(document, dict) else {}
    given = answer.get("error")
    error = given if isinstance(given, dict) else {}
    message = str(error.get("message") or f"The console answered {status}.")
    diagnostics = answer.get("diagnostics") or ()
    cause = _BY_STATUS.get(status, Failed if status >= 500 else Refused)
    raise cause(message, diagnostics)
