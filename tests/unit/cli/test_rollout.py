"""`isthmus rollout` against a console that keeps one route and says what requests did."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

import pytest

from isthmus.cli.rollout_run import ANNOTATION, RolloutRun, Target, put_share, rollout_state
from isthmus.client import ConsoleError, Unreachable
from isthmus.rollout import Limits, Schedule, Share, ShareError, find_share

from .conftest import Run

CANARY = Share("web", "v2")
TARGET = Target("shop", "pages", CANARY)
Counts = tuple[int, int, float]


class FakeConsole:
    """One route; `canary` and `stable` say (requests, errors, latency in ms) of the time since the last step."""

    def __init__(self, canary: Callable[[float], Counts], stable: Callable[[float], Counts]) -> None:
        self.time = 0.0
        self.canary, self.stable = canary, stable
        self.failing: ConsoleError | None = None
        self.revision = 1
        self.document: dict[str, Any] = {
            "apiVersion": "isthmus/v1",
            "kind": "Route",
            "metadata": {"namespace": "shop", "name": "pages", "annotations": {"team": "web"}, "revision": 1},
            "spec": {"forward": {"clusters": [{"cluster": {"name": "web"}, "subset": "v1", "weight": 1}]}},
        }
        self.percents: list[float] = []

    def get(self, path: str, **query: str | int | None) -> Any:
        if self.failing is not None:
            raise self.failing
        if path == "/telemetry/rollout":
            assert (query["route"], query["cluster"]) == ("shop/pages", "shop/web")
            requests, errors, latency = (self.canary if query["subset"] == "v2" else self.stable)(
                float(query["seconds"] or 0)
            )
            times = {"p50": latency, "p90": latency * 2} if requests else None
            return {"requests": requests, "errors": errors, "latency": times}
        assert path == "/namespaces/shop/routes/pages"
        return {**copy.deepcopy(self.document), "status": {"sites": [{"site": "ams", "applied": True}]}}

    def request(self, method: str, path: str, body: Any = None) -> Any:
        assert (method, path) == ("PUT", "/namespaces/shop/routes/pages")
        assert body["metadata"]["revision"] == self.revision, "an edit is of what was read"
        assert "status" not in body
        self.revision += 1
        self.document = copy.deepcopy(body)
        self.document["metadata"]["revision"] = self.revision
        self.percents.append(find_share(body, CANARY))

    def sleep(self, seconds: float) -> None:
        self.time += seconds


def run_of(console: FakeConsole, said: list[str] | None = None) -> RolloutRun:
    schedule = Schedule((5, 50, 100), hold=60, patience=300)
    tell = (said if said is not None else []).append
    return RolloutRun(console, TARGET, schedule, Limits(), tell, clock=lambda: console.time, sleep=console.sleep)


def good(seconds: float) -> Counts:
    return int(seconds * 10), 0, 20.0


def test_a_good_canary_takes_every_step() -> None:
    console = FakeConsole(good, good)
    said: list[str] = []
    outcome = run_of(console, said).run()
    assert (outcome.state, outcome.percent) == ("done", 100)
    assert [step["percent"] for step in outcome.steps] == [5, 50, 100]
    assert outcome.steps[0]["canary"]["requests"] > 0
    assert console.percents == [5, 50, 100, 100]
    assert console.document["metadata"]["annotations"]["team"] == "web"
    assert rollout_state(console.document)["state"] == "done"
    assert said[0] == "5 % to web:v2"


@pytest.mark.parametrize("bad", [lambda s: (int(s * 10), int(s), 20.0), lambda s: (int(s * 10), 0, 60.0)])
def test_a_worse_canary_is_taken_back_before_its_time_is_over(bad: Callable[[float], Counts]) -> None:
    console = FakeConsole(bad, good)
    outcome = run_of(console).run()
    assert (outcome.state, outcome.percent) == ("undone", 0)
    assert console.time < 60
    assert console.percents == [5, 0]
    assert find_share(console.document, Share("web", "v1")) == 100


def test_what_was_before_a_step_does_not_count_for_it() -> None:
    """The API looks back at least five seconds: a canary is not judged before it has had them."""
    windows: list[float] = []
    console = FakeConsole(lambda seconds: windows.append(console.time - seconds) or good(seconds), good)  # type: ignore[func-returns-value]
    schedule = Schedule((50, 100), hold=3, patience=300)
    run = RolloutRun(
        console, TARGET, schedule, Limits(), lambda text: None, clock=lambda: console.time, sleep=console.sleep
    )
    assert run.run().state == "done"
    assert min(windows) >= 0
    assert console.time >= 10


def test_too_few_requests_halt_it_where_it_is() -> None:
    console = FakeConsole(lambda seconds: (3, 0, 20.0), good)
    outcome = run_of(console).run()
    assert (outcome.state, outcome.percent) == ("halted", 5)
    assert console.time >= 300
    assert find_share(console.document, CANARY) == 5


def test_a_console_that_is_away_is_waited_for() -> None:
    console = FakeConsole(good, good)
    said: list[str] = []
    run = run_of(console, said)
    real = console.sleep

    def sleep(seconds: float) -> None:
        real(seconds)
        console.failing = Unreachable("The console is away.") if 20 < console.time < 120 else None

    run._sleep = sleep  # the clock of this test is also what breaks things
    assert run.run().state == "done"
    assert "waiting: The console is away." in said


@pytest.mark.parametrize(
    ("disturb", "state"),
    [
        (lambda console: put_share(console, TARGET, None, "halted", "halted by hand"), "halted"),
        (lambda console: put_share(console, TARGET, 0.0, "undone"), "undone"),
        (lambda console: put_share(console, TARGET, 30.0, "running"), "ended"),
    ],
)
def test_others_can_end_it(disturb: Callable[[FakeConsole], None], state: str) -> None:
    console = FakeConsole(good, good)
    run = run_of(console)
    real, done = console.sleep, []

    def sleep(seconds: float) -> None:
        real(seconds)
        if console.time > 20 and not done:
            done.append(1)
            disturb(console)

    run._sleep = sleep
    assert run.run().state == state


def test_it_goes_on_from_where_it_was() -> None:
    console = FakeConsole(good, good)
    put_share(console, TARGET, 50, "halted")
    console.percents.clear()
    assert run_of(console).run().state == "done"
    assert console.percents == [50, 100, 100]


def test_a_route_without_a_stable_version_is_refused() -> None:
    console = FakeConsole(good, good)
    console.document["spec"] = {"forward": {"clusters": [{"cluster": {"name": "web"}, "subset": "v2"}]}}
    with pytest.raises(ShareError, match="only cluster"):
        put_share(console, TARGET, 5, "running")


def test_an_annotation_of_somebody_else_s_is_no_state() -> None:
    assert rollout_state({"metadata": {"annotations": {ANNOTATION: "mine"}}}) == {}
    assert rollout_state({"metadata": {}}) == {}


@pytest.mark.parametrize("steps", ["", "5,5", "50,5", "0,5", "5,101", "a"])
def test_steps_that_do_not_rise_are_refused(isthmus: Run, steps: str) -> None:
    outcome = isthmus("rollout", "start", "pages", "--canary", "web:v2", "--steps", steps)
    assert outcome.code == 2
    assert "--steps: write rising percentages" in outcome.err
