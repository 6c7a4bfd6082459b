"""The map of very many sites: a bounded number of circles and lines, which stand for all of them."""

from types import SimpleNamespace
from typing import Any

from isthmus.console.web.geometry import HEIGHT, WIDTH, project
from isthmus.console.web.reach import reach_of, reach_regions
from isthmus.console.web.world import WHOLE, View, describe_sites, link_marks, place_marks

SITES = 10_000


def place(number: int, level: str = "good", *via: str) -> Any:
    location = SimpleNamespace(latitude=-55.0 + number * 7 % 125, longitude=-170.0 + number * 37 % 340)
    record = SimpleNamespace(object=SimpleNamespace(spec=SimpleNamespace(location=location)))
    brief = SimpleNamespace(sessions={"eu": "live", "us": "down" if number % 100 == 1 else "live"})
    return SimpleNamespace(
        name=f"s{number}", key=number, record=record, level=level, word="healthy", via=via, brief=brief
    )


def world() -> list[Any]:
    return [place(number, "bad" if number == 7 else "good", "eu", "us") for number in range(SITES)]


def test_many_sites_are_few_circles_that_stand_for_all_of_them() -> None:
    for view in (WHOLE, View(400, 150, 250), View(400, 150, 60)):
        marks = place_marks(world(), "site", view)
        assert len(marks) < 1200, view
        around = [
            each
            for each in world()
            for x, _ in [project(each.record.object.spec.location.longitude, each.record.object.spec.location.latitude)]
            if view.x - view.width <= x <= view.x + 2 * view.width
        ]
        assert sum(len(mark.places) for mark in marks) == len(around)
    assert sum(mark.level == "bad" for mark in place_marks(world(), "site", WHOLE)) == 1, "what is wrong is seen"


def test_what_is_in_sight_is_told_apart_and_what_is_not_is_put_together() -> None:
    view = View(WIDTH / 4, HEIGHT / 4, WIDTH / 2)
    marks = place_marks(world(), "site", view)
    seen = [
        mark for mark in marks if view.x <= mark.x <= view.x + view.width and view.y <= mark.y <= view.y + view.height
    ]
    far = [mark for mark in marks if mark not in seen]
    assert max(len(mark.places) for mark in seen) < max(len(mark.places) for mark in far)
    assert len(far) < len(seen) / 2


def test_lines_count_every_stream() -> None:
    marks = place_marks(world(), "site", WHOLE)
    regions = [place(number, "good") for number in (1, 2)]
    regions[0].name, regions[1].name = "eu", "us"
    gates = place_marks(regions, "region", WHOLE)
    links = link_marks(lambda key: ("eu", "us", "unknown"), marks, gates)
    assert len(links) == 400, "the worst of them, so many as can be told apart"
    assert {link.level for link in links} >= {"warn"}
    assert not [link for link in links if link.level == "bad"]
    lost = [place(3, "good", "eu"), place(4, "idle")]
    (down, up) = reversed(link_marks(lambda key: ("eu", "us"), place_marks(lost, "site", WHOLE), gates))
    assert (down.level, down.text) == ("bad", "s3 – us: 0 of 1 streams up, 0 of 1 BGP sessions live")
    assert (up.level, up.text) == ("good", "s3 – eu: 1 of 1 streams up, 1 of 1 BGP sessions live")


def test_every_site_and_region_says_how_many_of_its_streams_and_sessions_are_up() -> None:
    lost, unsure, waiting = place(3, "bad", "eu"), place(101, "warn", "eu", "us"), place(4, "idle")

    def both(_: object) -> tuple[str, str]:
        return "eu", "us"

    assert reach_of(both, lost).words == "1 of 2 streams up, 1 of 2 BGP sessions live"
    assert reach_of(both, unsure).words == "2 of 2 streams up, 1 of 2 BGP sessions live"
    assert [reach_of(both, each).level for each in (lost, unsure, waiting)] == ["bad", "warn", "idle"]
    [mark] = place_marks([waiting], "site", WHOLE)
    assert describe_sites(mark, both) == "Site s4: healthy", "of a site that has not joined no stream is missed"
    regions = reach_regions(both, [*world(), waiting])
    assert regions["eu"].words == "10\u202f000 of 10\u202f000 streams up, 10\u202f000 of 10\u202f000 BGP sessions live"
    assert (regions["us"].sessions, regions["us"].level) == ("9\u202f900 of 10\u202f000", "warn")
