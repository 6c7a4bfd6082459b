"""What a rollout does next."""

import pytest

from isthmus.rollout import Move, Schedule, Verdict, Verdicts, decide

SCHEDULE = Schedule((5, 25, 100), hold=60, patience=600)


@pytest.mark.parametrize(
    ("percent", "held", "verdict", "move", "to"),
    [
        (5, 0, Verdicts.UNKNOWN, Move.WAIT, 0),
        (5, 59, Verdicts.GOOD, Move.WAIT, 0),
        (5, 60, Verdicts.GOOD, Move.STEP, 25),
        (10, 60, Verdicts.GOOD, Move.STEP, 25),
        (25, 60, Verdicts.GOOD, Move.STEP, 100),
        (100, 60, Verdicts.GOOD, Move.FINISH, 0),
        (5, 1, Verdicts.BAD, Move.UNDO, 0),
        (100, 1, Verdicts.BAD, Move.UNDO, 0),
        (5, 599, Verdicts.UNKNOWN, Move.WAIT, 0),
        (5, 600, Verdicts.UNKNOWN, Move.HALT, 0),
    ],
)
def test_next_move(percent: float, held: float, verdict: Verdicts, move: Move, to: float) -> None:
    decision = decide(SCHEDULE, percent, held, Verdict(verdict, "because"))
    assert (decision.move, decision.percent) == (move, to)
    assert "because" in decision.reason
