"""A request as Envoy sees it when it routes: normalised, in the way that the ingress listeners are set to."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from urllib.parse import urlsplit

_UNRESERVED = re.compile(r"%([46][1-9A-Fa-f]|[57][0-9Aa]|3[0-9]|2[dDeE]|5[fF]|7[eE])")


@dataclass(frozen=True, slots=True)
class Request:
    """A request.

    Attributes:
        host: the Host header, lower case, with its port if the client sends one.
        port: the TCP port that the client dials; None when the URL names none.
        path: normalised, without the query.
        query: without the question mark.
        headers: names in lower case; of a repeated header the values, joined with commas.
        secure: the client speaks TLS, and asks for the host's name there too.
    """

    method: str
    host: str
    port: int | None
    path: str
    query: str
    headers: Mapping[str, str]
    secure: bool = False

    @property
    def scheme(self) -> str:
        """`http` or `https`."""
        return "https" if self.secure else "http"

    @property
    def target(self) -> str:
        """Path and query."""
        return f"{self.path}?{self.query}" if self.query else self.path


@dataclass(frozen=True, slots=True)
class Refusal:
    """What Envoy answers before it looks for a route. `location`: where a redirect leads."""

    status: int
    reason: str
    location: str = ""


def parse_request(url: str, method: str = "GET", headers: Mapping[str, str] | None = None) -> Request | Refusal:
    """A URL and headers to the request that a client would send, after Envoy's normalisation.

    1. Header names with an underscore are refused.
    2. Slashes that are escaped in the path are unescaped, and the client is sent there.
    3. Backslashes become slashes, escaped unreserved characters themselves, `.` and `..` are resolved (RFC 3986).
    4. Repeated slashes become one. Headers that start with `x-isthmus-` are dropped, and so is the host's last dot.

    Raises:
        ValueError: the URL is not `http://host[:port]/path` or `https://…`.
    """
    parts = urlsplit(url if "://" in url else f"http://{url}")
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise ValueError(f"{url!r} is not a URL of the form http://host/path")
    try:
        port = parts.port
    except ValueError:
        raise ValueError(f"{url!r}: the part after ':' is not a port") from None
    sent = {name.lower(): value for name, value in (headers or {}).items()}
    given = sent.pop("host", None)
    authority = parts.netloc.rpartition("@")[2] if given is None else given
    for name in sent:
        if "_" in name:
            return Refusal(400, f"the header {name} has an underscore in its name")
    path, redirected = unescape_slashes(parts.path or "/")
    normal = normalise_path(path)
    if normal is None:
        return Refusal(400, "the path is not valid")
    if redirected:
        query = f"?{parts.query}" if parts.query else ""
        return Refusal(307, "the path has an escaped slash", normal + query)
    kept = {name: value for name, value in sent.items() if not name.startswith("x-isthmus-")}
    secure = parts.scheme == "https"
    return Request(method.upper(), trim_host(authority), port, normal, parts.query, kept, secure)


def trim_host(host: str) -> str:
    """Lower case, without the dot that may end the name."""
    name, separator, port = host.lower().rpartition(":")
    if separator and port.isdigit() and "]" not in port:
        return f"{name.removesuffix('.')}:{port}"
    return host.lower().removesuffix(".")


def unescape_slashes(path: str) -> tuple[str, bool]:
    """The path with %2F and %5C unescaped, and whether there was any."""
    found = re.sub("%2[fF]", "/", path)
    found = re.sub("%5[cC]", r"\\", found)
    return found, found != path


def normalise_path(path: str) -> str | None:
    """The path after Envoy's normalisation; None when Envoy refuses it."""
    if not path.startswith("/") or "%00" in path:
        return None
    path = path.replace("\\", "/")
    path = _UNRESERVED.sub(lambda found: chr(int(found[1], 16)), path)
    output: list[str] = []
    segments = path.split("/")[1:]
    for index, segment in enumerate(segments):
        last = index == len(segments) - 1
        if segment == "..":
            if output:
                output.pop()
            if last:
                output.append("")
        elif segment == ".":
            if last:
                output.append("")
        else:
            output.append(segment)
    return re.sub("/+", "/", "/" + "/".join(output))
