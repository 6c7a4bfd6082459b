"""What happens to a request on its way, beside the choice of a cluster: in the order in which it happens."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from urllib.parse import urlsplit

import re2

from isthmus.compile.condition import Match
from isthmus.compile.intent import VirtualHost
from isthmus.compile.option import Compression, Cors, Csrf, Fault, HeaderEdit, TextMatch
from isthmus.compile.rule import DirectResponse, Forward, HashKey, Redirect, RegexRewrite, Retry, Rule
from isthmus.explain.condition import header_holds, matches_fully
from isthmus.explain.request import Request

_CHANGING = ("POST", "PUT", "DELETE", "PATCH")


@dataclass(frozen=True, slots=True)
class Way:
    """What happens to a request.

    Attributes:
        status: of a filter's answer before the route's action; None when the request gets that far.
        answer: why a filter answers.
    """

    steps: tuple[str, ...]
    status: int | None = None
    answer: str = ""


def explain_way(request: Request, virtual_host: VirtualHost, rule: Rule, match: Match) -> Way:
    """The filters in their order, then what the route does to the request, then to the response."""
    own, shared = rule.options, virtual_host.options
    cors, csrf, fault = own.cors or shared.cors, own.csrf or shared.csrf, own.fault or shared.fault
    steps: list[str] = []
    for step, status in (*_cors(cors, request), *_csrf(csrf, request), *_fault(fault, request)):
        steps.append(step)
        if status is not None:
            return Way((*steps, *_edits("response", shared.response_headers, own.response_headers)), status, step)
    if own.grpc_web if own.grpc_web is not None else shared.grpc_web:
        steps.append("gRPC-web is translated to gRPC")
    limit = own.max_request_bytes if own.max_request_bytes is not None else shared.max_request_bytes
    if limit:
        steps.append(f"a body of more than {limit} bytes is refused with 413")
    if isinstance(rule.action, Forward):
        steps.extend(_forward(rule.action, request, match))
    steps.extend(_edits("request", shared.request_headers, own.request_headers))
    steps.extend(_edits("response", shared.response_headers, own.response_headers))
    steps.extend(_answers(own.compression or shared.compression))
    declared = isinstance(rule.action, DirectResponse) and not rule.action.nowhere
    pages = [*own.error_pages, *(() if declared and not own.error_pages else shared.error_pages)]
    steps.extend(
        f"errors {', '.join(page.statuses)} {'of anyone' if page.applications else 'of Envoy'} get a page"
        for page in pages
    )
    return Way(tuple(steps))


def _cors(cors: Cors | None, request: Request) -> Iterator[tuple[str, int | None]]:
    """A request without an Origin header is none of CORS's business."""
    origin = request.headers.get("origin")
    if cors is None or not cors.enabled or not origin:
        return
    allowed = _any(cors.origins, origin)
    if request.method == "OPTIONS" and request.headers.get("access-control-request-method"):
        yield f"CORS answers this preflight request of {origin} {'with' if allowed else 'without'} permission", 200
    else:
        yield f"CORS {'shows the answer to' if allowed else 'hides the answer from'} scripts of {origin}", None


def _csrf(csrf: Csrf | None, request: Request) -> Iterator[tuple[str, int | None]]:
    if csrf is None or not csrf.enabled or request.method not in _CHANGING:
        return
    source = _host_of(request.headers.get("origin", "")) or _host_of(request.headers.get("referer", ""))
    if not source:
        yield "CSRF refuses a change without an Origin or Referer header", 403
    elif source == request.host or _any(csrf.additional_origins, source):
        yield f"CSRF allows changes from {source}", None
    else:
        yield f"CSRF refuses a change from {source}", 403


def _host_of(url: str) -> str:
    return urlsplit(url).netloc or url if "://" in url else url


def _fault(fault: Fault | None, request: Request) -> Iterator[tuple[str, int | None]]:
    if fault is None or not fault.enabled or not all(header_holds(each, request) for each in fault.headers):
        return
    if fault.delay and fault.delay_percent:
        yield f"a fault holds {fault.delay_percent:g} % of these requests back for {fault.delay} ms", None
    if fault.abort and fault.abort_percent:
        # With a limit on the faults at one time, even all of the requests are not certainly refused.
        certain = fault.abort_percent == 100 and fault.max_active is None
        yield (
            f"a fault answers {fault.abort_percent:g} % of these requests with {fault.abort}",
            (fault.abort if certain else None),
        )


def _any(matches: Iterable[TextMatch], text: str) -> bool:
    return any(_fits(match, text) for match in matches)


def _fits(match: TextMatch, text: str) -> bool:
    if match.kind == "exact":
        return match.text in (text, "*")
    return text.startswith(match.text) if match.kind == "prefix" else matches_fully(match.text, text)


def _forward(action: Forward, request: Request, match: Match) -> Iterator[str]:
    path = rewritten_path(action, request.path, match)
    if path != request.path:
        yield f"the path becomes {path}"
    host = action.host_rewrite
    if host is not None and host.kind == "literal":
        yield f"the host becomes {host.text}"
    elif host is not None and request.headers.get(host.text):
        yield f"the host becomes {request.headers[host.text]}, from the header {host.text}"
    if action.hash_keys:
        yield f"the endpoint is chosen by {', then '.join(_key(key) for key in action.hash_keys)}"
    if not action.websocket and request.headers.get("upgrade", "").lower() == "websocket":
        yield "a switch to WebSocket is refused with 403"
    for mirror in action.mirrors:
        subset = f", subset {mirror.subset}" if mirror.subset else ""
        yield f"{mirror.percent:g} % of the requests are copied to {mirror.cluster.path}{subset}"
    if action.retry is not None:
        yield _retry(action.retry)
    limits = [f"{action.timeout} ms in all" if action.timeout else "no limit in all"]
    if action.idle_timeout is not None:
        limits.append(f"{action.idle_timeout} ms idle" if action.idle_timeout else "no limit idle")
    yield f"timeouts: {', '.join(limits)}"


def rewritten_path(action: Forward | Redirect, path: str, match: Match) -> str:
    """The path after the action's rewrites, without the query."""
    regex = action.regex_rewrite if isinstance(action, Forward) else action.regex
    prefix = action.prefix_rewrite if isinstance(action, Forward) else action.prefix
    if regex is not None:
        return _substitute(regex, path)
    if prefix is None:
        return path
    return prefix + path[len(match.path.text if match.path else "/") :]


def _substitute(rewrite: RegexRewrite, path: str) -> str:
    changed: str = re2.sub(rewrite.pattern, rewrite.substitution.replace("\\0", "\\g<0>"), path)
    return changed


def _key(key: HashKey) -> str:
    text = {"header": "header", "cookie": "cookie", "query": "query parameter", "source": "the client's address"}
    found = f"{text[key.kind]} {key.name}".strip()
    if key.ttl is not None:
        found += " (made for clients without it)"
    return found + (" alone if it is there" if key.terminal else "")


def _retry(retry: Retry) -> str:
    conditions = [*retry.on, *(str(code) for code in retry.status_codes)]
    where = "elsewhere" if retry.elsewhere else "anywhere"
    return f"tried up to {retry.attempts} more times {where} on {', '.join(conditions) or 'nothing else'}"


_PAST = {"remove": "removed", "set": "set", "append": "appended", "add": "added if missing"}


def _edits(what: str, shared: tuple[HeaderEdit, ...], own: tuple[HeaderEdit, ...]) -> Iterator[str]:
    for by, edits in (("virtual host", shared), ("route", own)):
        if edits:
            done = (f"{edit.name} {_PAST[edit.action]}" for edit in edits)
            yield f"{what} headers, by the {by}: {', '.join(done)}"


def _answers(compression: Compression | None) -> Iterator[str]:
    if compression is not None and compression.enabled:
        yield f"answers from {compression.min_size} bytes on are compressed with {' or '.join(compression.algorithms)}"
