"""Conditions of routes and domains of virtual hosts, as Envoy evaluates them."""

from collections.abc import Iterable

import re2

from isthmus.compile.condition import Match, PathMatch, ValueMatch
from isthmus.compile.intent import VirtualHost
from isthmus.explain.request import Request


def find_virtual_host(hosts: Iterable[VirtualHost], host: str, port: int) -> tuple[VirtualHost, str] | None:
    """The virtual host that takes a Host header on a listener's port, and which of its domains decided.

    1. A domain that is exactly the host. A domain without a port also means the host with the listener's port.
    2. The longest wildcard domain that the host ends with, and is longer than.
    3. `*`.
    """
    best: tuple[int, VirtualHost, str] | None = None
    for virtual_host in hosts:
        for domain in virtual_host.domains:
            rank = _rank(domain, host, port)
            if rank is not None and (best is None or rank > best[0]):
                best = (rank, virtual_host, domain)
    return None if best is None else best[1:]


_EXACT = 1 << 30


def _rank(domain: str, host: str, port: int) -> int | None:
    if domain == "*":
        return 0
    for pattern in (domain,) if ":" in domain else (domain, f"{domain}:{port}"):
        if pattern == host:
            return _EXACT
        if pattern.startswith("*") and host.endswith(pattern[1:]) and len(host) > len(pattern) - 1:
            return len(pattern)
    return None


def first_failure(match: Match, request: Request, port: int) -> str | None:
    """Why a request on a listener's port does not match, as a phrase for people; None when it does.

    Conditions are tried in this order: port, scheme, path, methods, headers, query parameters, cookies.
    """
    if match.ports and port not in match.ports:
        return f"the port {port} is not {' or '.join(map(str, match.ports))}"
    if match.scheme is not None and match.scheme != request.scheme:
        return f"the scheme is {request.scheme} and not {match.scheme}"
    if match.path is not None and not _path(match.path, request.path):
        return f"the path {request.path} {_PATH_PHRASES[match.path.kind]} {match.path.text}"
    if match.methods and request.method not in match.methods:
        return f"the method {request.method} is not {' or '.join(match.methods)}"
    for condition in match.headers:
        if not header_holds(condition, request):
            return _phrase("header", condition, request.headers.get(condition.name))
    parameters = parse_query(request.query)
    for condition in match.query_parameters:
        values = parameters.get(condition.name, [])
        if not _parameter(condition, values):
            return _phrase("query parameter", condition, values[0] if values else None)
    cookies = parse_cookies(request.headers.get("cookie", ""))
    for condition in match.cookies:
        values = cookies.get(condition.name, [])
        if not _cookie(condition, values):
            return _phrase("cookie", condition, values[0] if values else None)
    return None


_PATH_PHRASES = {"exact": "is not", "prefix": "does not start with", "regex": "does not match"}


def _path(match: PathMatch, path: str) -> bool:
    if match.kind == "exact":
        return path == match.text
    return path.startswith(match.text) if match.kind == "prefix" else matches_fully(match.text, path)


def matches_fully(pattern: str, text: str) -> bool:
    """Whether an RE2 regular expression matches the whole text."""
    return re2.fullmatch(pattern, text) is not None


def header_holds(condition: ValueMatch, request: Request) -> bool:
    """Whether a condition on a header holds. An inverted one takes a missing header for an empty one."""
    value = request.host if condition.name == "host" else request.headers.get(condition.name)
    if condition.invert:
        return not _holds(condition, value or "")
    return _holds(condition, value)


def _holds(condition: ValueMatch, value: str | None) -> bool:
    match condition.kind:
        case "present":
            return value is not None
        case "absent":
            return value is None
        case "exact":
            return value == condition.text
        case "prefix":
            return value is not None and value.startswith(condition.text)
        case "regex":
            return value is not None and matches_fully(condition.text, value)


def _parameter(condition: ValueMatch, values: list[str]) -> bool:
    """The first value counts; for an inverted condition, every value."""
    if condition.invert:
        return not any(_holds(condition, value) for value in values)
    return _holds(condition, values[0] if values else None)


def _cookie(condition: ValueMatch, values: list[str]) -> bool:
    """Of several cookies of one name, any counts."""
    if condition.kind in ("present", "absent"):
        return bool(values) == (condition.kind == "present")
    return any(_holds(condition, value) for value in values) != condition.invert


def parse_query(query: str) -> dict[str, list[str]]:
    """The values of every parameter, as they stand: nothing is unescaped."""
    found: dict[str, list[str]] = {}
    for part in query.split("&"):
        name, _, value = part.partition("=")
        if name:
            found.setdefault(name, []).append(value)
    return found


def parse_cookies(header: str) -> dict[str, list[str]]:
    """The values of every cookie, without quotation marks around them."""
    found: dict[str, list[str]] = {}
    for part in header.replace(",", ";").split(";"):
        name, separator, value = part.strip(" \t").partition("=")
        if separator:
            quoted = len(value) > 1 and value.startswith('"') and value.endswith('"')
            found.setdefault(name, []).append(value[1:-1] if quoted else value)
    return found


def _phrase(what: str, condition: ValueMatch, value: str | None) -> str:
    given = f"{what} {condition.name}" + (" is missing" if value is None else f" is {value!r}")
    if condition.kind in ("present", "absent"):
        return f"the {given}, and it must {'be there' if condition.kind == 'present' else 'not be there'}"
    verb = {"exact": "be", "prefix": "start with", "regex": "match"}[condition.kind]
    return f"the {given}, and it must {'not ' if condition.invert else ''}{verb} {condition.text!r}"
