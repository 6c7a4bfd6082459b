"""Thresholds of health checks that the agent does itself."""

from isthmus.health.verdict import Standing, judge


def verdicts(results: str, healthy: int = 2, unhealthy: int = 3) -> str:
    standing, found = Standing(), ""
    for result in results:
        standing = judge(standing, result == "+", healthy_threshold=healthy, unhealthy_threshold=unhealthy)
        found += "+" if standing.healthy else "-"
    return found


def test_the_first_result_decides() -> None:
    assert verdicts("+") == "+"
    assert verdicts("-") == "-"


def test_the_verdict_turns_after_as_many_in_a_row_as_its_threshold() -> None:
    assert verdicts("+---") == "+++-"
    assert verdicts("+--+--+") == "+++++++"
    assert verdicts("-+-++") == "----+"
    assert verdicts("+-", unhealthy=1) == "+-"
