"""Label expressions: every production of the grammar, and every way to get it wrong."""

import pytest

from isthmus.model.label import check_label_key, check_label_value, matches, parse_expression

LABELS = {"tier": "edge", "country": "de", "empty": "", "acme.example/Zone_1": "a.b-C"}


@pytest.mark.parametrize(
    ("expression", "expected"),
    [
        ("", True),
        ("  ", True),
        ("tier", True),
        ("missing", False),
        ("!tier", False),
        ("!missing", True),
        ("! missing", True),
        ("tier=edge", True),
        ("tier==edge", True),
        ("tier = core", False),
        ("tier!=core", True),
        ("tier!=edge", False),
        ("missing!=edge", True),
        ("missing=edge", False),
        ("country in (de,fr)", True),
        ("country in ( fr , be )", False),
        ("country in (de)", True),
        ("country notin (de,fr)", False),
        ("country notin (fr)", True),
        ("missing notin (fr)", True),
        ("missing in (fr)", False),
        ("empty=", True),
        ("empty", True),
        ("empty in ()", True),
        ("tier=", False),
        ("tier in (,edge)", True),
        ("tier=edge,country=de", True),
        ("tier=edge,country=fr", False),
        ("tier=edge, !missing ,country in (de,fr),acme.example/Zone_1=a.b-C", True),
        ("empty=,tier=edge", True),
    ],
)
def test_expression(expression: str, expected: bool) -> None:
    assert matches([expression], LABELS) is expected


def test_words_of_the_grammar_are_labels_too() -> None:
    assert matches(["in in (in,notin)"], {"in": "notin"})
    assert matches(["notin"], {"notin": ""})


def test_entries_are_alternatives() -> None:
    assert matches(["tier=core", "country=de"], LABELS)
    assert not matches(["tier=core", "country=fr"], LABELS)


def test_empty_matches_all_and_null_none() -> None:
    assert matches([], LABELS)
    assert matches([], {})
    assert matches([""], {})
    assert not matches(None, LABELS)
    assert not matches(None, {})


@pytest.mark.parametrize(
    ("expression", "reason"),
    [
        (",", "is not a label key"),
        ("tier,", "nothing follows"),
        ("tier country", "expected '=', '!=', 'in' or 'notin' after 'tier', found 'country'"),
        ("tier in", "expected '('"),
        ("tier in edge", "expected '('"),
        ("tier in (edge", "not closed"),
        ("tier in (edge,", "not closed"),
        ("tier in (edge core)", "expected ',' or ')'"),
        ("tier=edge=core", "expected ','"),
        ("tier=(", "is not a label value"),
        ("!", "expected a label key at the end"),
        ("!!tier", "is not a label key"),
        ("!tier=edge", "expected ','"),
        ("=edge", "is not a label key"),
        ("tier>1", "'>' is not part of a label expression"),
        ("tier=a/b", "is not a label value"),
        ("-tier", "is not a label key"),
        ("UPPER.example/x", "is not a label key"),
        ("tier=" + "a" * 64, "is not a label value"),
    ],
)
def test_refused_with_the_place(expression: str, reason: str) -> None:
    with pytest.raises(ValueError) as caught:
        parse_expression(expression)
    assert reason in str(caught.value)


@pytest.mark.parametrize("key", ["a", "A-b_c.d", "x.example/a", "a" * 63])
def test_label_keys(key: str) -> None:
    assert check_label_key(key) == key


@pytest.mark.parametrize("key", ["", "a" * 64, "/a", "x/", "a b", "é", "x/y/z"])
def test_refused_label_keys(key: str) -> None:
    with pytest.raises(ValueError, match="is not a label key"):
        check_label_key(key)


@pytest.mark.parametrize("value", ["", "a", "a" * 63, "1.2_3-4"])
def test_label_values(value: str) -> None:
    assert check_label_value(value) == value


@pytest.mark.parametrize("value", ["-a", "a.", "a b", "a" * 64, "a,b"])
def test_refused_label_values(value: str) -> None:
    with pytest.raises(ValueError, match="is not a label value"):
        check_label_value(value)
