"""What is remembered is what would be made anew, and only new parts are made."""

from hypothesis import given
from hypothesis import strategies as st

from isthmus.emit.envoy.memory import Each, Joined


class Part:
    """Known by its identity, as the parts of an intent are. It makes resources of its own names."""

    def __init__(self, number: int, names: int, body: bytes) -> None:
        self.resources = {f"{number}-{index}": body for index in range(names)}


POOL = [Part(number, names, body) for number in range(6) for names in (0, 1, 2) for body in (b"a", b"b")]
PARTS = st.lists(st.sampled_from(range(6)), unique=True).flatmap(
    lambda numbers: st.tuples(*(st.sampled_from(POOL[number * 6 : number * 6 + 6]) for number in numbers))
)


@given(st.lists(PARTS))
def test_each_part_is_made_once_while_it_stays(rounds: list[tuple[Part, ...]]) -> None:
    made: list[Part] = []

    def make(part: Part) -> Part:
        made.append(part)
        return part

    each, before = Each(make), set[Part]()
    for parts in rounds:
        made.clear()
        assert each(parts) == list(parts)
        assert set(made) == set(parts) - before
        assert len(made) == len(set(made))
        before = set(parts)


@given(st.lists(PARTS))
def test_joined_resources_are_those_of_all_parts_in_order(rounds: list[tuple[Part, ...]]) -> None:
    joined = Joined[Part](lambda part: part.resources)
    for parts in rounds:
        found = joined(parts)
        assert list(found.items()) == [pair for part in parts for pair in part.resources.items()]
        assert joined(tuple(parts)) is found


def test_one_changed_part_of_many_makes_one() -> None:
    made: list[int] = []
    joined = Joined[Part](lambda part: made.append(id(part)) or part.resources)  # type: ignore[func-returns-value]
    parts = [Part(number, 1, b"a") for number in range(1000)]
    first = joined(tuple(parts))
    made.clear()
    parts[500] = Part(500, 1, b"b")
    assert joined(tuple(parts)) == {**first, "500-0": b"b"}
    assert made == [id(parts[500])]
    assert first["500-0"] == b"a"
