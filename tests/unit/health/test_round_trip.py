"""Round-trip times change what is chosen only when the network does."""

from random import Random

from hypothesis import given
from hypothesis import strategies as st

from isthmus.health.round_trip import RoundTrips


def test_the_first_measurement_is_used() -> None:
    times = RoundTrips()
    assert times.used("fra") is None
    assert times.measure("fra", 12.0)
    assert times.used("fra") == 12.0
    times.retain(frozenset({"nyc"}))
    assert times.used("fra") is None


def test_noise_moves_nothing_and_a_change_of_the_path_does() -> None:
    times, random = RoundTrips(), Random(1)
    times.measure("fra", 20.0)
    assert not any(times.measure("fra", random.gauss(20, 3)) for _ in range(2000))
    assert not times.measure("fra", 220.0)  # a packet that was sent again
    assert not any(times.measure("fra", 20.0) for _ in range(20))
    changes = sum(times.measure("fra", 60.0) for _ in range(40))
    assert 1 <= changes <= 6
    assert 48 <= (times.used("fra") or 0) <= 60


@given(st.floats(0.05, 500), st.lists(st.floats(-1, 1), max_size=200))
def test_two_sites_do_not_change_places_within_the_slack(near: float, noise: list[float]) -> None:
    times = RoundTrips()
    times.measure("near", near)
    times.measure("far", near * 1.5 + 5)
    for each in noise:
        times.measure("near", near + each * min(near, 1.9) * 0.9)
        assert (times.used("near") or 0) < (times.used("far") or 0)
