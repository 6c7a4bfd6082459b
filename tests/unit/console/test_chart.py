"""Charts and the service graph, as drawings: values in, paths out."""

import json
import time

import pytest

from isthmus.console.api.telemetry_answer import (
    EdgeAnswer,
    NodeAnswer,
    PointAnswer,
    SeriesAnswer,
    SignalAnswer,
    SignalsAnswer,
    SplitAnswer,
)
from isthmus.console.web.chart import Series, ceiling, plot, significant
from isthmus.console.web.graph import draw
from isthmus.console.web.timeline import lay_out, percent
from isthmus.console.web.traffic import Range, draw_closely


@pytest.mark.parametrize(
    ("value", "top"), [(0, 1), (0.7, 1), (1, 1), (1.2, 2), (2.3, 2.5), (48, 50), (51, 100), (900, 1000)]
)
def test_axes_end_at_round_numbers(value: float, top: float) -> None:
    assert ceiling(value) == top


@pytest.mark.parametrize(
    ("value", "text"),
    [(0, "0"), (0.25, "0.25"), (12.5, "12.5"), (12.345, "12.3"), (1250, "1\u202f250"), (1e-4, "1.0e-04")],
)
def test_numbers_have_three_digits(value: float, text: str) -> None:
    assert significant(value) == text


def test_a_gap_breaks_the_line_and_a_lonely_point_is_seen() -> None:
    chart = plot("Latency", "ms", 0, 50, 10, [Series("p50", "accent", [1.0, 2.0, None, 4.0, None])])
    assert chart.lines[0].path == "M60.0 80.0L180.0 60.0M420.0 20.0h.1"
    assert chart.ticks == ("5", "3.75", "2.5", "1.25", "0")
    assert json.loads(chart.data)["series"] == [["1", "2", None, "4", None]]
    assert chart.lines[0].last == "4 ms"


def test_nothing_measured_is_drawn_as_nothing() -> None:
    chart = plot("Requests", "/s", 0, 30, 10, [Series("requests", "accent", [])])
    assert chart.empty
    assert chart.lines[0].path == ""


def edge(source: str, target: str, kind: str, rate: float, failed: float = 0.0) -> EdgeAnswer:
    signal = SignalAnswer(
        requests=int(rate * 60),
        rate=rate,
        errors=0,
        error_rate=failed,
        client_errors=0,
        errors_by_class={},
        codes={},
        retries=0,
        received=0,
        sent=0,
        latency=SplitAnswer(),
    )
    return EdgeAnswer(source=source, target=target, kind=kind, signal=signal)


def node(kind: str, name: str) -> NodeAnswer:
    return NodeAnswer(id=f"{kind}:{name}", kind=kind, name=name)


def test_the_graph_stands_in_columns() -> None:
    nodes = [
        node("client", "external"),
        node("virtual-host", "shop/shop"),
        node("cluster", "shop/web"),
        node("site", "fra"),
    ]
    edges = [
        edge("client:external", "virtual-host:shop/shop", "request", 10),
        edge("virtual-host:shop/shop", "cluster:shop/web", "route", 10, 0.2),
        edge("cluster:shop/web", "site:fra", "endpoint", 10),
        edge("site:fra", "site:nyc", "fabric", 3),
    ]
    drawing = draw(nodes, edges)
    assert [box.name for box in sorted(drawing.boxes, key=lambda box: box.x)] == [
        "external",
        "shop/shop",
        "shop/web",
        "fra",
    ]
    assert [arc.level for arc in drawing.arcs] == ["good", "bad", "good"]
    assert {box.name: box.href for box in drawing.boxes}["shop/shop"] == "/virtualhosts/shop/shop"
    assert {box.rate for box in drawing.boxes} == {10}


def test_a_graph_of_many_keeps_the_busiest() -> None:
    nodes = [node("client", "external"), *(node("virtual-host", f"shop/h{index}") for index in range(100))]
    edges = [edge("client:external", f"virtual-host:shop/h{index}", "request", 1 + index) for index in range(100)]
    drawing = draw(nodes, edges)
    assert drawing.left_out == 60
    assert "shop/h99" in {box.name for box in drawing.boxes}
    assert "shop/h0" not in {box.name for box in drawing.boxes}


@pytest.mark.parametrize(("share", "text"), [(100, "100"), (0, "0"), (99.999, "99.99"), (98.25, "98.25"), (50, "50")])
def test_nearly_all_is_not_all(share: float, text: str) -> None:
    assert percent(share) == text


def test_a_lane_of_which_nothing_was_told_is_empty() -> None:
    [lane] = lay_out(0, 40, 10, [("Envoy", [None] * 4)]).lanes
    assert (lane.pieces, lane.words, lane.summary) == ((), "–", "nothing was told")


def test_a_time_is_held_and_moved_by_half_of_its_length() -> None:
    window = Range("1000", "1600")
    assert window.held == {"since": "1000", "until": "1600"}
    assert window.earlier == {"since": "700", "until": "1300"}
    assert window.later == {"since": "1300", "until": "1900"}
    assert window.words == "1970-01-01 00:16:40 to 00:26:40 UTC"


def test_a_time_that_would_end_after_now_ends_now() -> None:
    now = time.time()
    assert Range(f"{now - 700:.0f}", f"{now - 100:.0f}").later == {"since": "-600s", "until": ""}
    since = float(Range("-10m", "now").held["since"])
    assert now - 601 <= since <= time.time() - 599


def test_why_requests_failed_and_how_much_went_through() -> None:
    signal = edge("a", "b", "request", 10).signal.model_dump()
    signal |= {"errors_by_class": {"reset": 6, "unreachable": 3, "client-error": 4}, "retries": 30, "sent": 2500.0}
    group = SeriesAnswer(labels={}, total=SignalAnswer(**signal), points=[PointAnswer(at=0, **signal)])
    throughput, reasons = draw_closely(SignalsAnswer(since=0, until=60, step=30, groups=[group]), group)
    assert (throughput.title, throughput.unit) == ("Throughput", "kB/s")
    assert json.loads(throughput.data)["series"] == [["2.5", "0"], ["0", "0"]]
    assert [line.name for line in reasons.lines] == ["retries", "connection"]
    assert json.loads(reasons.data)["series"] == [["1", "0"], ["0.3", "0"]]
