"""Label expressions: the grammar by which objects select others (as Kubernetes' label selectors).

    expression  = "" | requirement *( "," requirement )            all must hold
    requirement = key | "!" key | key ("=" | "==" | "!=") value | key ("in" | "notin") "(" value *( "," value ) ")"

A selector is a list of expressions of which one must hold. An empty expression, or an empty list, matches everything;
null matches nothing. As in Kubernetes, `!=` and `notin` also match objects that lack the key.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Annotated, Literal

from pydantic import AfterValidator

_KEY = re.compile(r"(?:[a-z0-9](?:[-a-z0-9.]{0,251}[a-z0-9])?/)?[A-Za-z0-9](?:[-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?")
_VALUE = re.compile(r"(?:[A-Za-z0-9](?:[-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?)?")
_TOKEN = re.compile(r"\s*(?:(==|!=|=|!|\(|\)|,)|([-A-Za-z0-9_./]+)|(\S))")


def check_label_key(key: str) -> str:
    """Return the key if it is a valid label key; raise ValueError otherwise."""
    if not _KEY.fullmatch(key):
        raise ValueError(
            f"{key!r} is not a label key: use letters, digits, '-', '_' and '.', at most 63 characters, "
            "with an optional 'domain/' in front"
        )
    return key


def check_label_value(value: str) -> str:
    """Return the value if it is a valid label value; raise ValueError otherwise."""
    if not _VALUE.fullmatch(value):
        raise ValueError(
            f"{value!r} is not a label value: use letters, digits, '-', '_' and '.', at most 63 characters"
        )
    return value


@dataclass(frozen=True, slots=True)
class Requirement:
    """One condition on one label."""

    key: str
    operator: Literal["in", "notin", "exists", "absent"]
    values: frozenset[str] = frozenset()

    def matches(self, labels: Mapping[str, str]) -> bool:
        """Whether the labels meet this condition."""
        match self.operator:
            case "in":
                return labels.get(self.key) in self.values
            case "notin":
                return self.key not in labels or labels[self.key] not in self.values
            case "exists":
                return self.key in labels
            case "absent":
                return self.key not in labels


@lru_cache(maxsize=65536)
def parse_expression(text: str) -> tuple[Requirement, ...]:
    """Parse one label expression.

    Raises:
        ValueError: the text does not follow the grammar; the message names the place.
    """
    tokens = _tokens(text)
    requirements: list[Requirement] = []
    while tokens:
        requirements.append(_requirement(tokens, text))
        if tokens:
            if tokens.pop(0) != ",":
                raise ValueError(f"in {text!r}: expected ',' between conditions")
            if not tokens:
                raise ValueError(f"in {text!r}: nothing follows the last ','")
    return tuple(requirements)


def _tokens(text: str) -> list[str]:
    tokens = []
    for symbol, word, stray in _TOKEN.findall(text):
        if stray:
            raise ValueError(f"in {text!r}: {stray!r} is not part of a label expression")
        tokens.append(symbol or word)
    return tokens


def _requirement(tokens: list[str], text: str) -> Requirement:
    if tokens[0] == "!":
        tokens.pop(0)
        return Requirement(_word(tokens, text, "a label key"), "absent")
    key = _word(tokens, text, "a label key")
    if not tokens or tokens[0] == ",":
        return Requirement(key, "exists")
    operator = tokens.pop(0)
    if operator in ("=", "==", "!="):
        value = "" if not tokens or tokens[0] == "," else check_label_value(tokens.pop(0))
        return Requirement(key, "notin" if operator == "!=" else "in", frozenset((value,)))
    if operator == "in":
        return Requirement(key, "in", _values(tokens, text))
    if operator == "notin":
        return Requirement(key, "notin", _values(tokens, text))
    raise ValueError(f"in {text!r}: expected '=', '!=', 'in' or 'notin' after {key!r}, found {operator!r}")


def _word(tokens: list[str], text: str, what: str) -> str:
    if not tokens:
        raise ValueError(f"in {text!r}: expected {what} at the end")
    return check_label_key(tokens.pop(0))


def _values(tokens: list[str], text: str) -> frozenset[str]:
    if not tokens or tokens.pop(0) != "(":
        raise ValueError(f"in {text!r}: expected '(' and a list of values after 'in' or 'notin'")
    values: set[str] = set()
    while True:
        values.add("" if tokens and tokens[0] in (",", ")") else check_label_value(_take(tokens, text)))
        separator = _take(tokens, text)
        if separator == ")":
            return frozenset(values)
        if separator != ",":
            raise ValueError(f"in {text!r}: expected ',' or ')' in the list of values, found {separator!r}")


def _take(tokens: list[str], text: str) -> str:
    if not tokens:
        raise ValueError(f"in {text!r}: the list of values is not closed with ')'")
    return tokens.pop(0)


def matches(selector: Sequence[str] | None, labels: Mapping[str, str]) -> bool:
    """Whether a selector (a list of expressions, one of which must hold) matches the labels."""
    if selector is None:
        return False
    if not selector:
        return True
    return any(all(r.matches(labels) for r in parse_expression(text)) for text in selector)


def _check_expression(text: str) -> str:
    parse_expression(text)
    return text


Expression = Annotated[str, AfterValidator(_check_expression)]
"""A label expression, checked when the document is parsed."""
