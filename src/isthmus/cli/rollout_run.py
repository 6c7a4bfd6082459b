"""The work of `isthmus rollout start`: edits the route through the API, asks what requests did, and decides."""

import json
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

from isthmus.client import ConsoleError
from isthmus.client.console import object_path
from isthmus.rollout import (
    Decision,
    Limits,
    Move,
    Sample,
    Schedule,
    Share,
    Verdict,
    Verdicts,
    decide,
    find_share,
    judge,
    list_shares,
    set_share,
)

ANNOTATION = "isthmus/rollout"
"""Annotation of the route in which a rollout keeps its state, as JSON, for `status` and for others to end it."""
_APPLY_SECONDS = 60.0
_LEAST_WINDOW = 5


class Api(Protocol):
    """What of the console is needed. Raises ConsoleError."""

    def get(self, path: str, **query: str | int | None) -> Any: ...

    def request(self, method: str, path: str, body: Any = None) -> Any: ...


@dataclass(frozen=True, slots=True)
class Target:
    """The route and the canary among its clusters."""

    namespace: str
    route: str
    canary: Share

    @property
    def path(self) -> str:
        """The route's path in the API."""
        return object_path("routes", self.namespace, self.route)


@dataclass(slots=True)
class Outcome:
    """How it ended. `steps`: each percentage with what the canary and the stable version answered meanwhile."""

    state: str = "running"
    percent: float = 0.0
    reason: str = ""
    steps: list[dict[str, Any]] = field(default_factory=list)


def rollout_state(route: Mapping[str, Any]) -> dict[str, Any]:
    """What the annotation says; empty when there is none."""
    text = (route.get("metadata") or {}).get("annotations", {}).get(ANNOTATION, "")
    try:
        state = json.loads(text) if text else {}
    except ValueError:
        return {}
    return state if isinstance(state, dict) else {}


def put_share(api: Api, target: Target, percent: float | None, state: str, reason: str = "") -> None:
    """Set the canary's share (None: leave it) and the state. The route must not have changed since it is read here.

    Raises ConsoleError, or ShareError when the route cannot have the share.
    """
    route = api.get(target.path)
    before = find_share(route, target.canary)
    edited = dict(route) if percent is None else set_share(route, target.canary, percent)
    edited.pop("status", None)
    note = {"canary": str(target.canary), "state": state, "percent": before if percent is None else percent}
    if reason:
        note["reason"] = reason
    annotations = {**edited["metadata"].get("annotations", {}), ANNOTATION: json.dumps(note)}
    edited["metadata"] = {**edited["metadata"], "annotations": annotations}
    api.request("PUT", target.path, edited)


def measure(api: Api, target: Target, route: Mapping[str, Any], seconds: float) -> tuple[Sample, Sample]:
    """What the canary, and all other clusters of the route, answered in the last seconds. Raises ConsoleError."""
    window = max(_LEAST_WINDOW, int(seconds))  # in whole seconds, and none before them
    samples = [_sample(api, target, share, window) for share in list_shares(route) if share != target.canary]
    busiest = max(samples, key=lambda sample: sample.requests)
    stable = Sample(
        sum(sample.requests for sample in samples),
        sum(sample.failed for sample in samples),
        busiest.p50,
        busiest.p90,
    )
    return _sample(api, target, target.canary, window), stable


def _sample(api: Api, target: Target, share: Share, window: int) -> Sample:
    answer = api.get(
        "/telemetry/rollout",
        route=f"{target.namespace}/{target.route}",
        cluster=f"{share.namespace or target.namespace}/{share.cluster}",
        subset=share.subset or "",
        seconds=window,
    )
    latency = answer.get("latency") or {}
    return Sample(answer["requests"], answer["errors"], latency.get("p50"), latency.get("p90"))


class RolloutRun:
    """One run. `tell` gets a line for people whenever something happened; `clock` and `sleep` are in seconds."""

    def __init__(
        self,
        api: Api,
        target: Target,
        schedule: Schedule,
        limits: Limits,
        tell: Callable[[str], None],
        *,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self._api = api
        self._target = target
        self._schedule = schedule
        self._limits = limits
        self._tell = tell
        self._clock = clock
        self._sleep = sleep
        self._since = 0.0
        self.outcome = Outcome()

    def run(self) -> Outcome:
        """Until it is finished, halted, undone or ended by others. Raises ConsoleError and ShareError at the start."""
        percent = find_share(self._api.get(self._target.path), self._target.canary)
        first = self._schedule.next_step(0.0) or 0.0
        if percent < first:
            self._go(first)
        else:
            self.outcome.percent = percent
            self._tell(f"{self._target.canary} has {percent:g} % already; going on from there")
            put_share(self._api, self._target, None, "running")
            self._since = self._clock()
        pause = min(10.0, self._schedule.hold / 6)
        while self.outcome.state == "running":
            self._sleep(pause)
            try:
                self._turn()
            except ConsoleError as error:
                self._tell(f"waiting: {error}")
        return self.outcome

    def _turn(self) -> None:
        route = self._api.get(self._target.path)
        now, noted = find_share(route, self._target.canary), rollout_state(route)
        if noted.get("state") != "running":
            return self._end(str(noted.get("state") or "ended"), "somebody else ended it")
        if abs(now - self.outcome.percent) > 0.01:
            return self._end("ended", f"somebody else gave {self._target.canary} {now:g} %")
        held = self._clock() - self._since
        verdict, samples = self._judge(route, held)
        decision = decide(self._schedule, self.outcome.percent, held, verdict)
        if decision.move is Move.WAIT:
            return None
        self.outcome.steps.append({"percent": self.outcome.percent, "seconds": round(held), **samples})
        return self._make(decision)

    def _judge(self, route: Mapping[str, Any], held: float) -> tuple[Verdict, dict[str, Any]]:
        if held < _LEAST_WINDOW:  # a window that reaches back before the step would hold what was there before
            return Verdict(Verdicts.UNKNOWN, f"only {held:.0f} s of requests"), {}
        try:
            canary, stable = measure(self._api, self._target, route, held)
        except ConsoleError as error:
            return Verdict(Verdicts.UNKNOWN, f"no measurements ({error})"), {}
        verdict = judge(canary, stable, self._limits)
        return verdict, {"canary": _plain(canary), "stable": _plain(stable)}

    def _make(self, decision: Decision) -> None:
        at = f"{self.outcome.percent:g} %"
        if decision.move is Move.STEP:
            self._tell(f"{at}: good ({decision.reason})")
            self._go(decision.percent)
        elif decision.move is Move.FINISH:
            self._tell(f"{at}: good ({decision.reason})")
            put_share(self._api, self._target, None, "done")
            self._end("done", decision.reason)
        elif decision.move is Move.HALT:
            put_share(self._api, self._target, None, "halted", decision.reason)
            self._end("halted", decision.reason)
        else:
            self._tell(f"{at}: worse ({decision.reason})")
            put_share(self._api, self._target, 0.0, "undone", decision.reason)
            self.outcome.percent = 0.0
            self._end("undone", decision.reason)

    def _end(self, state: str, reason: str) -> None:
        self.outcome.state, self.outcome.reason = state, reason

    def _go(self, percent: float) -> None:
        put_share(self._api, self._target, percent, "running")
        self.outcome.percent = percent
        deadline = self._clock() + _APPLY_SECONDS
        while (waiting := self._behind()) and self._clock() < deadline:
            self._sleep(0.2)
        self._since = self._clock()
        late = f"; not applied yet at {', '.join(waiting)}" if waiting else ""
        self._tell(f"{percent:g} % to {self._target.canary}{late}")

    def _behind(self) -> list[str]:
        """The sites that do not use the route as it is now."""
        sites = self._api.get(self._target.path)["status"].get("sites", ())
        return [site["site"] for site in sites if not site["applied"]]


def _plain(sample: Sample) -> dict[str, Any]:
    return {"requests": sample.requests, "failed": sample.failed, "p50": sample.p50, "p90": sample.p90}
