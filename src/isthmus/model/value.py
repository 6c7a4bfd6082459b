"""Checked values that several kinds use: durations, addresses, ports, regular expressions, domains."""

import ipaddress
import re
from typing import Annotated

import re2
from pydantic import AfterValidator, BeforeValidator, Field

_DURATION = re.compile(r"(\d+(?:\.\d{1,3})?)(ms|s|m|h)")
_RE2_OPTIONS = re2.Options()
_RE2_OPTIONS.log_errors = False
_LARGEST_PROGRAM = 10_000
"""Sites' Envoys refuse larger ones (`re2.max_program_size.error_level`)."""
_LONGEST = 366 * 24 * 3_600_000
_CONTROL = re.compile(r"[\x00-\x1f\x7f]")
_UNIT = {"ms": 1, "s": 1000, "m": 60_000, "h": 3_600_000}
_DOMAIN_LABEL = re.compile(r"[a-z0-9_]([-a-z0-9_]{0,61}[a-z0-9_])?", re.IGNORECASE)


def milliseconds(duration: str) -> int:
    """The length of a duration such as `250ms`, `1.5s`, `2m` or `1h`, in milliseconds.

    Raises:
        ValueError: the text is not a duration.
    """
    found = _DURATION.fullmatch(duration)
    if not found:
        raise ValueError(f"{duration!r} is not a duration: write a number and a unit, for example 250ms, 15s or 2m")
    return round(float(found[1]) * _UNIT[found[2]])


def count_set(part: object, names: tuple[str, ...]) -> int:
    """How many of these attributes are not None."""
    return sum(getattr(part, name) is not None for name in names)


def _refuse_number(value: object) -> object:
    if isinstance(value, int | float):
        raise ValueError(f"{value} has no unit: write for example {value}ms or {value}s")
    return value


def _check_duration(value: str) -> str:
    if milliseconds(value) > _LONGEST:
        raise ValueError("must be at most a year (8784h)")
    return value


def _check_positive_duration(value: str) -> str:
    if milliseconds(_check_duration(value)) <= 0:
        raise ValueError("must be longer than 0")
    return value


def _check_address(value: str) -> str:
    try:
        address = ipaddress.ip_address(value)
    except ValueError:
        raise ValueError(f"{value!r} is not an IPv4 or IPv6 address") from None
    if isinstance(address, ipaddress.IPv6Address) and address.scope_id:
        raise ValueError(f"{value!r} has a scope, which other sites do not know; leave out the part after '%'")
    return str(address)


def _check_regex(value: str) -> str:
    check_program(value)
    return value


def check_program(pattern: str, times: int = 1) -> None:
    """See that a regular expression is one of RE2, and small enough to stand so many times in one.

    Raises:
        ValueError: it is not.
    """
    try:
        size = re2.compile(pattern, options=_RE2_OPTIONS).programsize
    except re2.error as error:
        reason = error.args[0]
        text = reason.decode() if isinstance(reason, bytes) else str(reason)
        raise ValueError(f"{pattern!r} is not an RE2 regular expression ({text}){_advise(text)}") from None
    most = _LARGEST_PROGRAM // times
    if size > most:
        raise ValueError(f"{pattern!r} compiles to {size} instructions, more than {most}; write it shorter")


def _advise(reason: str) -> str:
    """How to mend the commonest mistakes, which other engines allow or whose report is short."""
    if reason.startswith(("missing )", "missing ]", "unexpected )")):
        return "; close every bracket, or put a backslash before one that is meant as it is"
    if reason.startswith(("invalid perl operator", "invalid escape sequence")):
        return "; RE2 has no look-ahead, look-behind or back references"
    return ""


def check_substitution(pattern: str, substitution: str) -> None:
    """See that a substitution names only groups that the pattern has.

    Raises:
        ValueError: it names another, or a backslash stands before something else.
    """
    groups = re2.compile(pattern, options=_RE2_OPTIONS).groups
    for found in re.finditer(r"\\(.?)", substitution):
        if not found[1].isdigit() and found[1] != "\\":
            raise ValueError(f"{substitution!r}: after a backslash comes a group's number or another backslash")
        if found[1].isdigit() and int(found[1]) > groups:
            raise ValueError(f"{substitution!r} names the group {found[1]}; the pattern has {groups}")


def is_host_name(value: str) -> bool:
    """Whether this looks like a name of DNS, not like an address."""
    labels = value.rstrip(".").split(".")
    return not labels[-1].isdigit() and len(value) <= 253 and all(map(_DOMAIN_LABEL.fullmatch, labels))


def _check_domain(value: str) -> str:
    """Lower-case; exact (`a.example`), wildcard (`*.example`), any (`*`), each with an optional `:port`."""
    if "://" in value:
        raise ValueError(f"{value!r} is a URL: write the name alone, with an optional :port")
    host, separator, port = value.partition(":")
    if separator and not (port.isdigit() and 0 < int(port) < 65536):
        raise ValueError(f"{value!r}: the part after ':' is not a port")
    rest = "" if host == "*" else host.removeprefix("*.")
    if host != "*" and (len(host) > 253 or not all(_DOMAIN_LABEL.fullmatch(label) for label in rest.split("."))):
        raise ValueError(f"{value!r} is not a domain: write shop.example, *.shop.example or *, with an optional :port")
    return value.lower()


def _check_header(value: str) -> str:
    if not re.fullmatch(r"[-!#$%&'*+.^_`|~0-9A-Za-z]+", value):
        raise ValueError(f"{value!r} is not a header name (RFC 9110 token)")
    if value.lower().startswith("x-isthmus-"):
        raise ValueError("headers that start with x-isthmus- are reserved")
    return value.lower()


def check_cookie_name(value: str) -> str:
    """The name of a cookie (RFC 6265, 4.1.1).

    Raises:
        ValueError: it is none.
    """
    if not re.fullmatch(r"[-!#$%&'*+.^_`|~0-9A-Za-z]+", value):
        raise ValueError(f"{value!r} is not a cookie name (RFC 6265 token)")
    return value


def _check_path(value: str) -> str:
    if not value.startswith("/"):
        raise ValueError(f"{value!r} must start with '/'")
    return check_text(value)


def check_text(value: str) -> str:
    """The text.

    Raises:
        ValueError: it has a control character.
    """
    if _CONTROL.search(value):
        raise ValueError(f"{value!r} has a control character")
    return value


Duration = Annotated[str, BeforeValidator(_refuse_number), AfterValidator(_check_duration)]
PositiveDuration = Annotated[str, BeforeValidator(_refuse_number), AfterValidator(_check_positive_duration)]
Address = Annotated[str, AfterValidator(_check_address)]
Port = Annotated[int, Field(ge=1, le=65535)]
Regex = Annotated[str, AfterValidator(_check_regex)]
Domain = Annotated[str, AfterValidator(_check_domain)]
HeaderName = Annotated[str, AfterValidator(_check_header)]
CookieName = Annotated[str, AfterValidator(check_cookie_name)]
Path = Annotated[str, AfterValidator(_check_path)]
Percent = Annotated[float, Field(ge=0, le=100)]
"""A share of requests. Envoy counts in millionths, so more than four digits after the point make no difference."""
HeaderValue = Annotated[str, Field(min_length=1), AfterValidator(check_text)]
