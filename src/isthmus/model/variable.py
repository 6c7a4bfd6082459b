"""Variables in header values, as Envoy substitutes them (its "substitution formatter").

`%NAME%`, `%NAME(ARGUMENT)%`, and both with `:LENGTH` before the last `%` for at most that many characters; `%%` is one
percent sign. Not every command that Envoy knows is here: none that reads files, secrets, the environment or what other
filters keep for themselves.
"""

import re
from collections.abc import Callable

_CLIENT = """
REMOTE_ADDRESS REMOTE_ADDRESS_WITHOUT_PORT REMOTE_PORT
DIRECT_REMOTE_ADDRESS DIRECT_REMOTE_ADDRESS_WITHOUT_PORT DIRECT_REMOTE_PORT
LOCAL_ADDRESS LOCAL_ADDRESS_WITHOUT_PORT LOCAL_PORT
TLS_VERSION TLS_CIPHER TLS_SESSION_ID
PEER_SUBJECT PEER_ISSUER PEER_SERIAL PEER_FINGERPRINT_1 PEER_FINGERPRINT_256 PEER_CERT
PEER_URI_SAN PEER_DNS_SAN PEER_IP_SAN PEER_EMAIL_SAN
"""
_REQUEST = "CONNECTION_ID HOSTNAME PROTOCOL REQUESTED_SERVER_NAME ROUTE_NAME STREAM_ID TRACE_ID UNIQUE_ID"
_RESPONSE = """
BYTES_RECEIVED REQUEST_DURATION RESPONSE_CODE RESPONSE_CODE_DETAILS RESPONSE_DURATION RESPONSE_FLAGS
UPSTREAM_REQUEST_ATTEMPT_COUNT
"""
_PLAIN = frozenset((*(f"DOWNSTREAM_{name}" for name in _CLIENT.split()), *_REQUEST.split()))
_PLAIN_IN_RESPONSES = frozenset(_RESPONSE.split())
_TIMES = frozenset(("START_TIME", "DOWNSTREAM_PEER_CERT_V_START", "DOWNSTREAM_PEER_CERT_V_END"))
_HEADER = re.compile(r"[-!#$&'*+.^_`|~0-9A-Za-z]+")
_PSEUDO = frozenset((":authority", ":method", ":path", ":scheme"))
_VARIABLE = re.compile(r"%(?:%|([A-Z][A-Z0-9_]*)(?:\(([^()]*)\))?(?::([1-9][0-9]{0,4}))?%)")
_NOT_OURS = "x-isthmus-"


def known_variables(*, response: bool) -> tuple[str, ...]:
    """Names of the variables without an argument, sorted."""
    return tuple(sorted(_PLAIN | _TIMES | (_PLAIN_IN_RESPONSES if response else frozenset())))


def check_template(value: str, *, response: bool) -> str:
    """The value of a header of a request, or of a response, if Envoy can fill it.

    Raises:
        ValueError: a percent sign that starts no variable, or a variable that is unknown or misused.
    """
    position = value.find("%")
    while position >= 0:
        found = _VARIABLE.match(value, position)
        if found is None:
            raise ValueError(f"{value[position : position + 20]!r} is no variable; write %% for a percent sign")
        if found[1] is not None:
            _check_variable(found[1], found[2], response)
        position = value.find("%", found.end())
    return value


def _check_variable(name: str, argument: str | None, response: bool) -> None:
    takes = _ARGUMENTS.get(name)
    if name in _RESPONSE_ONLY and not response:
        raise ValueError(f"%{name}% is not known before there is a response")
    if takes is not None:
        takes(name, argument)
    elif name not in _PLAIN and name not in _PLAIN_IN_RESPONSES:
        raise ValueError(f"%{name}% is not a variable that a header can have")
    elif argument is not None:
        raise ValueError(f"%{name}% takes no argument")


def _check_names(name: str, argument: str | None) -> None:
    """One header, or two with a question mark between them: the second one stands in where the first is missing."""
    names = (argument or "").split("?")
    if len(names) > 2 or not all(_HEADER.fullmatch(each) or each.lower() in _PSEUDO for each in names):
        raise ValueError(f"%{name}({argument or ''})% must name a header, or two: %{name}(X-ONE?X-TWO)%")
    if any(each.lower().startswith(_NOT_OURS) for each in names):
        raise ValueError(f"%{name}({argument})%: headers that start with {_NOT_OURS} are internal")


def _check_parameter(name: str, argument: str | None) -> None:
    if not argument or not re.fullmatch(r"[-A-Za-z0-9_.~]+", argument):
        raise ValueError(f"%{name}({argument or ''})% must name a query parameter of letters, digits, '-', '_', '.'")


def _check_time(name: str, argument: str | None) -> None:
    if argument is not None and not re.fullmatch(r"(?:%[1-9]?[a-zA-Z]|[-/:., TZ+])+", argument):
        raise ValueError(f"%{name}({argument})%: a format consists of %Y, %m, %d, %H, %M, %S, %s, %f and separators")


_ARGUMENTS: dict[str, Callable[[str, str | None], None]] = {
    "REQ": _check_names,
    "RESP": _check_names,
    "QUERY_PARAM": _check_parameter,
    **dict.fromkeys(_TIMES, _check_time),
}
_RESPONSE_ONLY = _PLAIN_IN_RESPONSES | {"RESP"}
