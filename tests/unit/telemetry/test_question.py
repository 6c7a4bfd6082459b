"""Windows, questions and what is made of their answers."""

from __future__ import annotations

from typing import Any

import pytest

from isthmus.telemetry.bucket import bucket_of
from isthmus.telemetry.graph import Node, build_graph
from isthmus.telemetry.question import QuestionInvalid, Selection, ask_records, ask_signals
from isthmus.telemetry.signal import Counts, add_counts, split_latencies
from isthmus.telemetry.window import MOST_POINTS, Window, WindowInvalid, parse_moment, plan_window

NOW = 1_800_000_000.0
WINDOW = Window(0, 60, 60, "_1m")


@pytest.mark.parametrize(
    ("length", "step", "suffix"), [(300, 5, ""), (900, 10, ""), (86_400, 900, "_1m"), (30 * 86_400, 21_600, "_1h")]
)
def test_windows_are_answered_from_the_coarsest_rollup_that_will_do(length: int, step: int, suffix: str) -> None:
    window = plan_window(NOW - length, NOW, None, NOW)
    assert (window.step, window.suffix) == (step, suffix)
    assert window.since % step == 0
    assert window.until >= NOW


def test_windows_far_back_have_no_seconds() -> None:
    assert plan_window(NOW - 10 * 86_400, NOW - 10 * 86_400 + 60, None, NOW).suffix == "_1m"
    with pytest.raises(WindowInvalid, match="points"):
        plan_window(NOW - MOST_POINTS - 10, NOW, 1, NOW)
    with pytest.raises(WindowInvalid):
        plan_window(NOW, NOW, None, NOW)


def test_moments_are_relative_or_absolute() -> None:
    assert parse_moment("-15m", NOW) == NOW - 900
    assert parse_moment("now", NOW) == NOW
    assert parse_moment("12.5", NOW) == 12.5
    for text in ("yesterday", "-5y", "nan", "1e99"):
        with pytest.raises(WindowInvalid):
            parse_moment(text, NOW)


def test_values_never_enter_the_sql() -> None:
    evil = "x'; DROP TABLE signal; --"
    question = ask_signals(Selection("default", WINDOW, ("route",), {"route": [evil]}))
    assert evil not in question.sql
    assert question.parameters["w_route"] == [evil]
    found = ask_records("default", 0, 1, [f"path~{evil}", "code>=500", "total>250"], 10)
    assert evil not in found.sql
    assert found.parameters["c2"] == 250_000


@pytest.mark.parametrize(
    "condition", ["", "path", "nothing=1", "time=1", "code=abc", "code~5", "path>1", "tenant=other"]
)
def test_conditions_that_mean_nothing_are_refused(condition: str) -> None:
    with pytest.raises(QuestionInvalid):
        ask_records("default", 0, 1, [condition], 10)


def test_selections_know_their_dimensions() -> None:
    with pytest.raises(QuestionInvalid, match="Signals have no tenant"):
        Selection("default", WINDOW, ("tenant",))
    with pytest.raises(QuestionInvalid, match="no status code"):
        ask_signals(Selection("default", WINDOW, (), {"code": ["5xx"]}))


def row(**values: Any) -> dict[str, Any]:
    sums = dict.fromkeys(("requests", "retries", "received", "sent", "total_sum", "own_sum", "upstream_sum"), 0)
    return {"code": 200, "error": "", **sums, **values}


def test_counts_tell_the_services_failures_from_the_clients() -> None:
    counts = add_counts(
        [
            row(site="ams", requests=90),
            row(site="ams", code=404, error="client-error", requests=5),
            row(site="ams", code=503, error="unreachable", requests=4, retries=2),
            row(site="fra", code=0, error="reset", requests=1),
        ],
        ("site",),
    )
    ams = counts[0, ("ams",)]
    assert (ams.requests, ams.failed, ams.refused, ams.retries) == (99, 4, 5, 2)
    assert ams.codes == {"2xx": 90, "4xx": 5, "5xx": 4}
    assert counts[0, ("fra",)].codes == {"none": 1}


def bucket(part: str, microseconds: int, requests: int, **values: Any) -> dict[str, Any]:
    return {"part": part, "bucket": bucket_of(microseconds), "requests": requests, **values}


def test_the_time_of_a_request_is_told_by_place() -> None:
    """Half of the requests stay (2 ms), half cross the fabric: 0.5 ms ingress, 10 ms fabric, 1 ms egress, 20 ms app."""
    latencies = [
        bucket("total", 2_500, 100, local=1, route="r"),
        bucket("own", 500, 100, local=1, route="r"),
        bucket("upstream", 2_000, 100, local=1, route="r"),
        bucket("total", 31_500, 100, local=0, route="r"),
        bucket("own", 500, 100, local=0, route="r"),
        bucket("upstream", 31_000, 100, local=0, route="r"),
    ]
    way = {"to_cluster": "shop/web", "from_site": "ams", "to_site": "fra"}
    # the egress site saw twice as many: another route uses the cluster too
    egress = [
        bucket("total", 21_000, 200, **way),
        bucket("own", 1_000, 200, **way),
        bucket("upstream", 20_000, 200, **way),
    ]
    places = split_latencies(latencies, [{**way, "route": "r", "requests": 100}], egress, ("route",))[0, ("r",)]
    assert places["ingress"]["p50"] == pytest.approx(0.5, rel=0.03)
    assert places["fabric"]["p50"] == pytest.approx(10, rel=0.1)
    assert places["egress"]["p50"] == pytest.approx(1, rel=0.03)
    assert places["application"]["p50"] == pytest.approx(2, rel=0.03)
    assert places["application"]["p90"] == pytest.approx(20, rel=0.03)
    assert places["application"]["mean"] == pytest.approx(11, rel=0.03)


def test_the_graph_joins_clients_hosts_clusters_and_sites() -> None:
    some = (Counts(requests=10), {"p50": 1.0, "p90": 1.0, "p99": 1.0, "mean": 1.0})
    layers = {
        "request": {("external", "shop/site"): some, ("cluster:shop/cart", "shop/site"): some},
        "route": {("shop/site", "shop/web"): some, ("shop/site", ""): some},
        "endpoint": {("shop/web", "fra"): some, ("shop/web", ""): some},
        "fabric": {("ams", "fra"): some, ("ams", "ams"): some},
    }
    graph = build_graph(layers)
    assert [node.id for node in graph.nodes] == [
        "client:external", "cluster:shop/cart", "cluster:shop/web", "site:ams", "site:fra", "virtual-host:shop/site",
    ]  # fmt: skip
    assert len(graph.edges) == 5

    def group(node: Node) -> str:
        return "shop" if "/" in node.name else ""

    collapsed = build_graph(layers, group, collapse=True)
    assert [(edge.source, edge.target) for edge in collapsed.edges] == [
        ("client:external", "group:shop"),
        ("group:shop", "site:fra"),
        ("site:ams", "site:fra"),
    ]
