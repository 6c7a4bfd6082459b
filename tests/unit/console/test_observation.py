"""What is remembered of what regions and sites say."""

from isthmus.console.observation import Observation
from isthmus.protocol import AppliedReport, PresenceReport, Rejection, StatusReport, Version

FRA = "default/site/fra"
V1, V2 = Version(1, 1), Version(1, 2)


def test_lag_runs_from_the_first_version_that_is_not_used() -> None:
    seen = Observation()
    seen.published(FRA, 10)
    seen.published(FRA, 20)
    assert seen.of(FRA).behind_since == 10
    seen.applied(AppliedReport(FRA, V1), V2, 30)
    assert seen.of(FRA).behind_since == 10
    seen.applied(AppliedReport(FRA, V2), V2, 40)
    assert seen.of(FRA).behind_since is None
    assert seen.of(FRA).applied_at == 40


def test_a_site_that_says_an_old_version_after_a_restart_of_the_console_is_behind() -> None:
    seen = Observation()
    seen.applied(AppliedReport(FRA, V1), V2, 30)
    assert seen.of(FRA).behind_since == 30


def test_late_reports_change_nothing() -> None:
    seen = Observation()
    rejection = Rejection("default/Route/default/all", "x", "", "no")
    seen.applied(AppliedReport(FRA, V2, (rejection,)), V2, 1)
    seen.applied(AppliedReport(FRA, V1), V2, 2)
    assert (seen.of(FRA).applied, seen.of(FRA).rejections) == (V2, (rejection,))
    seen.status(StatusReport(FRA, b"new", 5))
    seen.status(StatusReport(FRA, b"old", 4))
    assert seen.of(FRA).status == b"new"


def test_a_site_is_connected_while_one_region_reaches_it() -> None:
    seen = Observation()
    assert not seen.of(FRA).connected
    seen.presence("default/region/eu", PresenceReport(FRA, True, 1))
    seen.presence("default/region/us", PresenceReport(FRA, True, 2))
    seen.presence("default/region/eu", PresenceReport(FRA, False, 3))
    assert seen.of(FRA).via == {"default/region/us": 2}
    seen.presence("default/region/us", PresenceReport(FRA, False, 4))
    assert not seen.of(FRA).connected
    seen.forget(FRA)
    assert seen.of(FRA).via == {}
