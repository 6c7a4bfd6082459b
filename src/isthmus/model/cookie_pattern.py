"""Regular expressions on the value of one cookie.

Envoy sees a request's cookies as one header, so an expression on one of them becomes a part of an expression on all. It
must then neither run on into the next cookie nor look at its surroundings.
"""

import re

import re2

FOREIGN = ';," \\'
"""Characters that no cookie's value has (RFC 6265, 4.1.1), nor may an expression match."""
_FOREIGN_CLASS = r'\s;,"\\'
"""The same inside of a character class, with all white space."""
_NEGATED = {"D": r"\d", "W": r"\w", "S": ""}
_PARTS = re.compile(
    r"(?P<escape>\\.)|(?P<repeat>\{\d+(?:,\d*)?\})|(?P<class>\[(?P<not>\^?)(?P<in>\]?(?:\[:\^?\w+:\]|\\.|[^\]\\])*)\])"
    r"|(?P<flags>\(\?[^):<P]*[):])|(?P<any>\.)|(?P<anchor>[\^$])|(?P<plain>.)",
    re.DOTALL,
)
_CLEAR = re.compile(r"\\[^0-9A-Za-z]|\\[dw]")


def confine_pattern(pattern: str) -> str:
    """The expression (a valid one of RE2) with all that means "any other character" kept within a cookie's value.

    Raises:
        ValueError: it has something that cannot be kept there.
    """
    return "".join(_confined(pattern, found) for found in _PARTS.finditer(pattern))


def _confined(pattern: str, found: re.Match[str]) -> str:
    text = found[0]
    if found["any"]:
        return f"[^{_FOREIGN_CLASS}]"
    if found["anchor"]:
        raise ValueError(f"{pattern!r} matches the whole value anyway; leave out '{text}'")
    if found["class"]:
        return _class(pattern, found)
    if found["escape"]:
        return _escape(pattern, text)
    if found["plain"] and text in FOREIGN:
        raise _foreign(pattern, text)
    return text


def _class(pattern: str, found: re.Match[str]) -> str:
    inside = found["in"]
    for part in re.findall(r"\[:\^?\w+:\]|\\.", inside):
        if part[0] == "[" or not _CLEAR.fullmatch(part) or part[1] in FOREIGN:
            raise _unclear(pattern, part)
    if found["not"]:
        return f"[^{inside}{_FOREIGN_CLASS}]"
    for character in FOREIGN:
        if re2.fullmatch(found[0], character) is not None:
            raise _foreign(pattern, character)
    return found[0]


def _escape(pattern: str, text: str) -> str:
    if text[1] in _NEGATED:
        return f"[^{_NEGATED[text[1]]}{_FOREIGN_CLASS}]"
    if text[1] in FOREIGN:
        raise _foreign(pattern, text[1])
    if not _CLEAR.fullmatch(text):
        raise _unclear(pattern, text)
    return text


def _foreign(pattern: str, character: str) -> ValueError:
    return ValueError(f"{pattern!r} can match {character!r}, which no cookie's value has (RFC 6265)")


def _unclear(pattern: str, part: str) -> ValueError:
    return ValueError(f"{pattern!r}: {part} is not for cookies; write the characters themselves, \\d, \\w or a class")
