"""Which site a request goes to."""

from dataclasses import replace
from typing import Any

from isthmus.health.choice import (
    MAX_PRIORITY,
    Selection,
    SiteInfo,
    SiteState,
    choose,
    choose_subsets,
    distance,
    next_change,
)
from isthmus.health.route import EndpointRoute
from isthmus.health.table import Entry

AMS = SiteInfo("ams", 1, (52.37, 4.90))
FRA = SiteInfo("fra", 2, (50.11, 8.68))
NYC = SiteInfo("nyc", 3, (40.71, -74.01))
LAB = SiteInfo("lab", 4)
SITES = (AMS, FRA, NYC, LAB)


def entry(site: SiteInfo, weight: int = 1, stale_since: float | None = None, endpoint: int = 1, **more: Any) -> Entry:
    route = EndpointRoute(site.number, endpoint, 10, weight, 0, **more)
    return Entry(route, 0, stale_since, ("eu",))


def brief(choices: tuple[object, ...]) -> list[tuple[object, ...]]:
    return [(c.site, c.priority, c.weight, c.state) for c in choices]  # type: ignore[attr-defined]


H, D, X = SiteState.HEALTHY, SiteState.DEGRADED, SiteState.DRAINING


def test_distance_is_that_of_the_map() -> None:
    assert 360 < distance((52.37, 4.90), (50.11, 8.68)) < 370
    assert 5800 < distance((52.37, 4.90), (40.71, -74.01)) < 5900
    assert distance((0, 0), (0, 180)) > 20000
    assert distance((1, 1), (1, 1)) == 0


def test_local_only() -> None:
    entries = [entry(FRA), entry(NYC)]
    assert choose(AMS, Selection.LOCAL_ONLY, SITES, entries, 0) == ()
    assert brief(choose(AMS, Selection.LOCAL_ONLY, SITES, entries, 0, local_weight=3)) == [("ams", 0, 3, H)]


def test_local_preferred_spills_by_distance() -> None:
    entries = [entry(LAB), entry(NYC), entry(FRA, 2), entry(FRA, 3, endpoint=2)]
    chosen = choose(AMS, Selection.LOCAL_PREFERRED, SITES, entries, 0, local_weight=1)
    assert brief(chosen) == [("ams", 0, 1, H), ("fra", 1, 5, H), ("nyc", 2, 1, H), ("lab", 3, 1, H)]
    assert [c.endpoints for c in chosen] == [None, 2, 1, 1]
    assert chosen[1].reason == "2 healthy endpoints, 364 km away"
    # Without an own endpoint the nearest comes first: priorities have no gaps.
    first = choose(AMS, Selection.LOCAL_PREFERRED, SITES, entries, 0)[0]
    assert (first.site, first.priority) == ("fra", 0)


def test_names_break_ties() -> None:
    twins = [SiteInfo(name, number, (0, 0)) for name, number in (("b", 5), ("a", 6), ("c", 7))]
    chosen = choose(AMS, Selection.LOCAL_PREFERRED, twins, [entry(twin) for twin in twins], 0)
    assert [c.site for c in chosen] == ["a", "b", "c"]


def test_a_site_without_a_place_prefers_by_name() -> None:
    chosen = choose(LAB, Selection.LOCAL_PREFERRED, SITES, [entry(NYC), entry(FRA)], 0)
    assert [c.site for c in chosen] == ["fra", "nyc"]


def test_distributed_weighs_healthy_endpoints() -> None:
    entries = [entry(FRA, 2), entry(FRA, 3, endpoint=2), entry(NYC, 7)]
    chosen = choose(AMS, Selection.DISTRIBUTED, SITES, entries, 0, local_weight=4)
    assert brief(chosen) == [("ams", 0, 4, H), ("fra", 0, 5, H), ("nyc", 0, 7, H)]


def test_routes_of_sites_that_the_cluster_does_not_name_are_ignored() -> None:
    chosen = choose(AMS, Selection.DISTRIBUTED, (AMS, FRA), [entry(FRA), entry(NYC), entry(AMS)], 0)
    assert [c.site for c in chosen] == ["fra"]


def test_a_stale_site_is_degraded_after_a_while() -> None:
    entries = [entry(FRA, stale_since=100), entry(NYC)]
    assert next_change(entries, 100) == 110
    assert choose(AMS, Selection.LOCAL_PREFERRED, SITES, entries, 109)[0].state is H
    chosen = choose(AMS, Selection.LOCAL_PREFERRED, SITES, entries, 160)
    assert brief(chosen) == [("fra", 0, 1, D), ("nyc", 1, 1, H)]
    assert chosen[0].reason == "not confirmed for 60 s, 364 km away"
    assert next_change(entries, 160) is None


def test_one_fresh_endpoint_keeps_a_site_healthy_with_its_whole_weight() -> None:
    entries = [entry(FRA, 2, stale_since=0), entry(FRA, 3, endpoint=2)]
    assert brief(choose(AMS, Selection.DISTRIBUTED, SITES, entries, 10**6)) == [("fra", 0, 5, H)]


def test_draining_endpoints_and_sites_take_no_new_requests() -> None:
    drained = SiteInfo("nyc", 3, (40.71, -74.01), drained=True)
    entries = [
        entry(FRA, 2, draining=True),
        entry(FRA, 3, endpoint=2),
        entry(drained, 4),
        entry(LAB, 5, draining=True),
    ]
    chosen = choose(AMS, Selection.DISTRIBUTED, (FRA, drained, LAB), entries, 0)
    assert brief(chosen) == [("fra", 0, 3, H), ("nyc", 0, 4, X), ("lab", 0, 5, X)]
    own = SiteInfo("ams", 1, drained=True)
    assert brief(choose(own, Selection.LOCAL_ONLY, (), (), 0, local_weight=1)) == [("ams", 0, 1, X)]


def test_endpoints_of_no_weight_take_no_requests() -> None:
    assert choose(AMS, Selection.DISTRIBUTED, SITES, [entry(FRA, 0)], 0) == ()


def test_priorities_stay_within_what_envoy_knows() -> None:
    sites = [SiteInfo(f"s{number:04}", number) for number in range(10, 1010)]
    chosen = choose(AMS, Selection.LOCAL_PREFERRED, sites, [entry(site) for site in sites], 0)
    assert [c.priority for c in chosen[:3]] == [0, 1, 2]
    assert max(c.priority for c in chosen) == MAX_PRIORITY


def test_subsets_are_chosen_by_their_own_endpoints() -> None:
    entries = [
        entry(FRA, 2, subsets=frozenset({1})),
        entry(FRA, 3, endpoint=2, subsets=frozenset({1, 2})),
        entry(NYC, 4),
        entry(LAB, 5, draining=True, subsets=frozenset({3})),
    ]
    weights = {"": 9, "one": 7, "two": 0, "three": 0, "none": 0}

    def chosen(fallback: str | None) -> dict[str, list[tuple[object, ...]]]:
        marks = {"one": 1, "two": 2, "three": 3, "none": 4}
        found = choose_subsets(
            AMS, Selection.DISTRIBUTED, SITES, entries, 0, marks, local_weight=weights.__getitem__, fallback=fallback
        )
        assert {c.subset for c in found["one"]} == {"one"}
        return {name: brief(choices) for name, choices in found.items()}

    own = chosen(None)
    assert own["one"] == [("ams", 0, 7, H), ("fra", 0, 5, H)]
    assert own["two"] == [("fra", 0, 3, H)]
    assert own["three"] == [("lab", 0, 5, X)]
    assert own["none"] == []
    assert own[""][0] == ("ams", 0, 9, H)
    assert chosen("") == {**own, "three": own[""], "none": own[""]}
    assert chosen("two") == {**own, "three": own["two"], "none": own["two"]}
    assert chosen("none")["three"] == []


def test_preferences_come_before_nearness() -> None:
    nyc, fra = replace(NYC, rank=0), replace(FRA, rank=1)
    lab, own = replace(LAB, rank=1), replace(AMS, rank=2)
    entries = [entry(FRA, 2), entry(NYC, 3), entry(LAB, 4)]
    near = choose(own, Selection.LOCAL_PREFERRED, (own, fra, nyc, lab), entries, 0, local_weight=1)
    assert [(c.site, c.priority) for c in near] == [("ams", 0), ("nyc", 1), ("fra", 2), ("lab", 3)]
    spread = choose(own, Selection.DISTRIBUTED, (own, fra, nyc, lab), entries, 0, local_weight=1)
    assert [(c.site, c.priority) for c in spread] == [("nyc", 0), ("fra", 1), ("lab", 1), ("ams", 2)]
    # Ranks of which no site is there leave no gap.
    left = choose(own, Selection.DISTRIBUTED, (own, fra, nyc, lab), entries[:1], 0, local_weight=1)
    assert [(c.site, c.priority) for c in left] == [("fra", 0), ("ams", 1)]


def test_round_trip_time_comes_before_distance() -> None:
    nyc, fra = replace(NYC, round_trip=8.0), replace(FRA, round_trip=12.5)
    chosen = choose(AMS, Selection.LOCAL_PREFERRED, (fra, nyc, LAB), [entry(FRA), entry(NYC), entry(LAB)], 0)
    assert [(c.site, c.round_trip) for c in chosen] == [("nyc", 8.0), ("fra", 12.5), ("lab", None)]
    assert chosen[1].reason == "1 healthy endpoint, 364 km away, 12.5 ms there and back"
