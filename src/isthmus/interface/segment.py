"""Segments of a path: which are values by their form alone, and which are words that may be either.

A value's form is told from the text and nothing else, so two who see the same segment say the same.
"""

import re
from dataclasses import dataclass
from functools import lru_cache
from itertools import pairwise

from isthmus.interface.vocabulary import is_known

VARIABLE = "{}"
"""The label of a variable segment; what stands beside the value in the same segment follows, as in `{}.json`."""
LONGEST = 80
"""Characters of a segment from which on it is taken for a value."""

_SHORTEST, _LONGEST_WORD = 4, 16
_UUID = re.compile(r"\{?[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}\}?", re.IGNORECASE)
_FORMS: tuple[tuple[str, re.Pattern[str]], ...] = (
    ("integer", re.compile(r"-?\d{1,20}")),
    ("uuid", _UUID),
    ("date", re.compile(r"(19|20)\d\d-(0[1-9]|1[0-2])-(0[1-9]|[12]\d|3[01])")),
    ("date-time", re.compile(r"\d{4}-\d\d-\d\dT\d\d:?\d\d.*")),
    ("ulid", re.compile(r"[0-7][0-9A-HJKMNP-TV-Z]{25}")),
    (
        "hash",
        re.compile(r"(?=[0-9a-f]*\d)(?=[0-9a-f]*[a-f])[0-9a-f]{7,}|(?=[0-9A-F]*\d)(?=[0-9A-F]*[A-F])[0-9A-F]{16,}"),
    ),
    ("hash", re.compile(r"sha\d{1,3}:[0-9a-f]{16,}")),
    ("email", re.compile(r"[^@/\s]+@[^@/\s]+\.[A-Za-z]{2,}")),
    ("address", re.compile(r"(\d{1,3}\.){3}\d{1,3}|[0-9a-f]*:[0-9a-f:]*:[0-9a-f.:]*", re.IGNORECASE)),
    ("version", re.compile(r"v?\d+(\.\d+)+([-+][0-9A-Za-z.]+)?")),
    ("locale", re.compile(r"[a-z]{2}[-_][A-Z]{2}")),
    ("decimal", re.compile(r"-?\d+\.\d+")),
)
_EXTENSION = re.compile(r"(.+)(\.[a-z][a-z0-9]{1,4})")
_ACTION = re.compile(r"(.+)(:[a-z][A-Za-z]+)")
_PLAIN = re.compile(r"[A-Za-z0-9._~@:!$+=()\-]+")
_NUMBERED = re.compile(r"v\d{1,2}((alpha|beta)\d{0,2})?|[a-z]{2,}\d", re.IGNORECASE)
_PIECE = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+|\d+")
_RUN = re.compile(r"[A-Za-z]+|\d+")
_SPLIT = re.compile(r"[-_.~:+=]+")


@dataclass(frozen=True, slots=True)
class Segment:
    """A segment as it was read.

    Attributes:
        label: the text itself of a word; VARIABLE and what stands around the value of a value.
        kind: form of the value; empty for a word.
        literalness: of a word, how much it looks like a name that a programmer gave: -2 (not at all) to 2.
    """

    label: str
    kind: str
    literalness: float


_LONG = Segment(VARIABLE, "text", -2.0)


def parse_segment(text: str) -> Segment:
    """The reading of one segment, still encoded as it was in the path."""
    if len(text) > LONGEST:  # before any pattern, as some take longer than the text is long, and kept nowhere
        return _LONG
    return _parse(text)


@lru_cache(65_536)
def _parse(text: str) -> Segment:
    if not text:  # what follows a slash at the end
        return Segment("", "", 2.0)
    for pattern in (_EXTENSION, _ACTION):
        match = pattern.fullmatch(text)
        if match and (kind := _form_of(match[1])):
            return Segment(VARIABLE + match[2], kind, -2.0)
    kind = _form_of(text)
    if kind:
        return Segment(VARIABLE, kind, -2.0)
    if not _PLAIN.fullmatch(text):
        return Segment(VARIABLE, "text", -2.0)
    return Segment(text, "", _literalness(text))


def _form_of(text: str) -> str:
    if text.isascii() and text.isalpha() and text.islower():
        return ""  # most words: no form is of small letters alone
    for kind, pattern in _FORMS:
        if pattern.fullmatch(text):
            return kind
    return "token" if _is_token(text) else ""


def _is_token(text: str) -> bool:
    """Whether a text looks drawn, not written: letters and digits, or cases, alternate in a way that no word does."""
    for part in _SPLIT.split(text):
        digits = sum(each.isdigit() for each in part)
        letters = len(part) - digits
        runs = len(_RUN.findall(part))
        if len(part) >= 8 and digits >= 2 and letters >= 2 and runs >= 4:
            return True
        if len(part) >= 12 and letters >= 2 and 4 * _changes(part) >= len(part) and _known_share(part) < 0.3:
            return True
        if len(part) >= 12 and digits >= 4 and letters >= 2 and text.isupper():
            return True
    return False


def _changes(text: str) -> int:
    """How often upper case follows lower case, or the other way round."""
    return sum(a.isupper() != b.isupper() for a, b in pairwise(text))


def _literalness(text: str) -> float:
    """From what the word is made of: pieces that names of endpoints are made of, digits, other pieces."""
    if _NUMBERED.fullmatch(text):
        return 2.0 if text[0] in "vV" and text[1].isdigit() else 0.5
    if not any(each.isalpha() for each in text):
        return -1.5
    score = 3.0 * _known_share(text) - 1.0
    if any(each.isdigit() for each in text):
        score -= 1.5
    if "." in text:
        score -= 0.5
    if text[0] in ".~$@" or "@" in text:
        score -= 1.0
    return max(-2.0, min(2.0, score))


def _known_share(text: str) -> float:
    """The share of a text's letters that are in words that names are made of."""
    words = [piece for piece in _PIECE.findall(text) if not piece.isdigit()]
    letters = sum(map(len, words))
    return sum(_known_letters(word.lower()) for word in words) / letters if letters else 0.0


def _known_letters(word: str) -> float:
    """How many letters of a word are known: all, or those of known words that it is put together from, as in
    `accesstokens`, which count a little less."""
    if is_known(word):
        return len(word)
    if len(word) < 2 * _SHORTEST:
        return 0.0
    best = [0] * (len(word) + 1)
    for end in range(_SHORTEST, len(word) + 1):
        best[end] = best[end - 1]
        for start in range(end - _SHORTEST, max(-1, end - _LONGEST_WORD), -1):
            if best[start] + end - start > best[end] and is_known(word[start:end]):
                best[end] = best[start] + end - start
    return 0.9 * best[-1]
