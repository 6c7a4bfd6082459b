"""Moving a canary step by step: how a route is edited, when the canary is worse than what it replaces, and what to do
next. Pure."""

from isthmus.rollout.judgement import Limits, Sample, Verdict, Verdicts, judge
from isthmus.rollout.schedule import Decision, Move, Schedule, decide
from isthmus.rollout.share import Share, ShareError, find_share, list_shares, parse_share, set_share

__all__ = [
    "Decision",
    "Limits",
    "Move",
    "Sample",
    "Schedule",
    "Share",
    "ShareError",
    "Verdict",
    "Verdicts",
    "decide",
    "find_share",
    "judge",
    "list_shares",
    "parse_share",
    "set_share",
]
