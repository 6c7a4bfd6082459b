"""A canary's share of a route."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from isthmus.rollout import Share, ShareError, find_share, parse_share, set_share


def route(*clusters: dict[str, Any]) -> dict[str, Any]:
    return {"kind": "Route", "metadata": {"name": "pages"}, "spec": {"forward": {"clusters": list(clusters)}}}


def entry(name: str, weight: int | None = None, subset: str | None = None) -> dict[str, Any]:
    written: dict[str, Any] = {"cluster": {"name": name}}
    if weight is not None:
        written["weight"] = weight
    return written | ({"subset": subset} if subset else {})


@pytest.mark.parametrize(
    ("text", "share"),
    [
        ("web", Share("web")),
        ("web:v2", Share("web", "v2")),
        ("shared/web:v2", Share("web", "v2", "shared")),
    ],
)
def test_what_is_written_is_what_is_meant(text: str, share: Share) -> None:
    assert parse_share(text) == share
    assert str(share) == text


@pytest.mark.parametrize("text", ["", ":v2", "web:", "shared/"])
def test_what_is_no_cluster_is_refused(text: str) -> None:
    with pytest.raises(ShareError, match="write CLUSTER"):
        parse_share(text)


def test_a_new_canary_stands_beside_the_stable_version() -> None:
    before = route(entry("web", subset="v1"))
    edited = set_share(before, Share("web", "v2"), 5)
    assert edited["spec"]["forward"]["clusters"] == [entry("web", 9500, "v1"), entry("web", 500, "v2")]
    assert find_share(edited, Share("web", "v2")) == 5
    assert before == route(entry("web", subset="v1")), "the document that was given is not touched"


def test_a_finished_rollout_can_be_taken_back() -> None:
    finished = set_share(route(entry("a", 3), entry("b", 1), entry("next", 0)), Share("next"), 100)
    assert [each["weight"] for each in finished["spec"]["forward"]["clusters"]] == [0, 0, 10_000]
    back = set_share(finished, Share("next"), 0)
    assert find_share(back, Share("next")) == 0
    assert [each["weight"] for each in back["spec"]["forward"]["clusters"]] == [5000, 5000, 0]


def test_a_route_that_cannot_have_a_canary_says_why() -> None:
    with pytest.raises(ShareError, match="only cluster"):
        set_share(route(entry("web")), Share("web"), 5)
    with pytest.raises(ShareError, match="does not forward"):
        set_share({"spec": {"redirect": {"path": "/"}}}, Share("web"), 5)


@given(st.lists(st.integers(0, 1000), min_size=1, max_size=6), st.integers(0, 10_000))
def test_shares_add_up_and_the_others_keep_their_proportions(weights: list[int], hundredths: int) -> None:
    others = [entry(f"c{number}", weight) for number, weight in enumerate(weights)]
    edited = set_share(route(*others), Share("next"), hundredths / 100)
    written = [each["weight"] for each in edited["spec"]["forward"]["clusters"]]
    assert sum(written) == 10_000
    assert written[-1] == hundredths
    if sum(weights):
        for weight, part in zip(weights, written, strict=False):
            assert abs(part - (10_000 - hundredths) * weight / sum(weights)) <= 1
