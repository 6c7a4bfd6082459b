"""What to do next in a rollout: wait, take the next step, finish, stop, or take the canary back."""

from dataclasses import dataclass
from enum import StrEnum
from typing import NamedTuple

from isthmus.rollout.judgement import Verdict, Verdicts


class Move(StrEnum):
    """What to do."""

    WAIT = "wait"
    STEP = "step"
    FINISH = "finish"
    HALT = "halt"
    UNDO = "undo"


class Decision(NamedTuple):
    """What to do, why, and for STEP the percentage to go to."""

    move: Move
    reason: str
    percent: float = 0.0


@dataclass(frozen=True, slots=True)
class Schedule:
    """`steps`: rising percentages; `hold`: seconds at each; `patience`: seconds to wait for enough requests."""

    steps: tuple[float, ...]
    hold: float
    patience: float

    def next_step(self, percent: float) -> float | None:
        """The first step above a percentage; None after the last."""
        return next((step for step in self.steps if step > percent + 0.005), None)


def decide(schedule: Schedule, percent: float, held: float, verdict: Verdict) -> Decision:
    """The next move, with the canary at `percent` for `held` seconds. A canary that is worse is not waited for."""
    if verdict.verdict is Verdicts.BAD:
        return Decision(Move.UNDO, verdict.reason)
    if held < schedule.hold:
        return Decision(Move.WAIT, verdict.reason)
    if verdict.verdict is Verdicts.UNKNOWN:
        if held < schedule.patience:
            return Decision(Move.WAIT, verdict.reason)
        return Decision(Move.HALT, f"still only {verdict.reason} after {held:.0f} s")
    following = schedule.next_step(percent)
    if following is None:
        return Decision(Move.FINISH, verdict.reason)
    return Decision(Move.STEP, verdict.reason, following)
