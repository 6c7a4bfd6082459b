"""When a canary is worse than the stable version."""

import pytest

from isthmus.rollout import Limits, Sample, Verdicts, judge

STABLE = Sample(1900, 19, 20.0, 50.0)


@pytest.mark.parametrize(
    ("canary", "stable", "verdict"),
    [
        (Sample(100, 1, 20.0, 50.0), STABLE, Verdicts.GOOD),
        (Sample(100, 0, 24.0, 60.0), STABLE, Verdicts.GOOD),
        (Sample(49, 0, 20.0, 50.0), STABLE, Verdicts.UNKNOWN),
        (Sample(0, 0), STABLE, Verdicts.UNKNOWN),
        (Sample(12, 12), STABLE, Verdicts.BAD),
        (Sample(9, 9), STABLE, Verdicts.UNKNOWN),
        (Sample(100, 20, 20.0, 50.0), STABLE, Verdicts.BAD),
        (Sample(1000, 1000), Sample(0, 0), Verdicts.BAD),
        (Sample(1000, 0, 20.0, 50.0), Sample(0, 0), Verdicts.GOOD),
        (Sample(100, 0, 40.0, 50.0), STABLE, Verdicts.BAD),
        (Sample(100, 0, 20.0, 90.0), STABLE, Verdicts.BAD),
        (Sample(100, 0, 4.0, 6.0), Sample(1900, 0, 1.0, 2.0), Verdicts.GOOD),
    ],
)
def test_judgement(canary: Sample, stable: Sample, verdict: Verdicts) -> None:
    assert judge(canary, stable, Limits()).verdict is verdict


def test_one_failure_more_among_few_requests_is_chance() -> None:
    assert judge(Sample(50, 2), Sample(950, 9), Limits()).verdict is Verdicts.GOOD
    assert judge(Sample(5000, 200), Sample(95_000, 900), Limits()).verdict is Verdicts.BAD


def test_the_reason_names_both_versions() -> None:
    verdict = judge(Sample(100, 20), STABLE, Limits())
    assert verdict.reason == "20.0% of 100 requests failed, 1.0% of the stable version's 1900"
