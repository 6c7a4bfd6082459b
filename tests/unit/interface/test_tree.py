"""Which endpoints are learned, what is not, and what is known of each."""

import random
from sys import getrefcount

import pytest

from isthmus.interface.endpoint import list_endpoints
from isthmus.interface.tree import MOST_NODES, Tree
from isthmus.interface.usage import MOST_CODES, MOST_NAMES, MOST_PEERS, OTHER

from .request import call, learned, only, shapes

PEOPLE = [f"{first}-{last}" for first in ("ann", "bob", "eve", "kim", "lee") for last in ("wu", "roy", "katz", "otto")]


def test_values_with_a_form_are_variables_and_words_beside_them_stay() -> None:
    paths = [f"/v1/users/{number}" for number in range(1, 30)] + ["/v1/users/me"] * 3 + ["/v1/users/search"] * 2
    tree = learned(call(path) for path in paths)
    assert shapes(tree) == {"GET /v1/users/{}", "GET /v1/users/me", "GET /v1/users/search"}
    endpoint = only(tree, "/v1/users/{userId}")
    assert endpoint.usage.tally.requests == 29
    assert [(each.name, each.kind) for each in endpoint.variables] == [("userId", "integer")]


def test_words_that_keep_coming_are_values() -> None:
    tree = learned(call(f"/teams/{name}") for name in PEOPLE)
    assert shapes(tree) == {"GET /teams/{}"}


def test_words_that_share_what_is_below_them_are_values() -> None:
    paths = [f"/repos/{name}/{part}" for name in PEOPLE[:6] for part in ("issues", "pulls", "hooks")]
    tree = learned(call(path) for path in [*paths, "/repos/search/code", "/repos/search/topics"] * 4)
    assert shapes(tree) == {
        "GET /repos/{}/issues", "GET /repos/{}/pulls", "GET /repos/{}/hooks",
        "GET /repos/search/code", "GET /repos/search/topics",
    }  # fmt: skip


def test_words_that_return_are_names_though_nobody_knows_them() -> None:
    paths = ["/frobnicate", "/quuxify", "/zorp"] * 40
    assert shapes(learned(call(path) for path in paths)) == {"GET /frobnicate", "GET /quuxify", "GET /zorp"}


def test_the_only_value_that_ever_comes_is_no_variable() -> None:
    paths = [f"/2010-04-01/calls/{number}.json" for number in range(50)]
    assert shapes(learned(call(path) for path in paths)) == {"GET /2010-04-01/calls/{}.json"}


def test_scans_teach_nothing() -> None:
    scans = [
        call(f"/{word}.php", code=code) for word in ("wp-login", "admin", "x") for code in (404, 405, 401, 301, 503)
    ]
    tree = learned([call("/users/1"), call("/users/2"), *scans])
    assert shapes(tree) == {"GET /users/{}"}
    assert tree.unmatched == {"4xx": 9.0, "3xx": 3.0, "5xx": 3.0}


def test_failures_of_a_known_endpoint_count_there() -> None:
    calls = [call(f"/users/{number}") for number in range(9)]
    tree = learned([*calls, call("/users/999", code=404), call("/users/3", code=500), call("/users/3", code=0)])
    tally = only(tree, "/users/{userId}").usage.tally
    assert tally.codes == {200: 9.0, 404: 1.0, 500: 1.0, 0: 1.0}
    assert (tally.errors, tally.refusals) == (2.0, 1.0)


def test_what_is_known_of_an_endpoint() -> None:
    tree = learned(
        [
            call("/a?x=1&y=secret", at=50.0, credential="header", client="spiffe://d/one"),
            call("/a?x=2", at=90.0, weight=3.0, cluster="shop/other"),
        ]
    )
    usage = only(tree, "/a").usage
    assert (usage.first, usage.last) == (50.0, 90.0)
    assert usage.query == {"x": 4.0, "y": 1.0}
    assert usage.credentials == {"header": 1.0, "none": 3.0}
    assert {name: tally.requests for name, tally in usage.clients.items()} == {"spiffe://d/one": 1.0, "external": 3.0}
    assert {name: tally.requests for name, tally in usage.clusters.items()} == {"shop/web": 1.0, "shop/other": 3.0}
    assert usage.tally.latency.quantile(0.5) == pytest.approx(10_000, rel=0.05)
    assert usage.sent.quantile(0.99) == pytest.approx(2_000, rel=0.05)


def test_one_endpoint_is_of_bounded_size() -> None:
    draw = random.Random(1)
    calls = (
        call(
            f"/a?p{number}=1",
            code=200 + number % 400,
            client=f"c{number}",
            cluster=f"k{number}",
            latency=draw.randrange(300),
        )
        for number in range(3_000)
    )
    usage = only(learned(calls), "/a").usage
    assert len(usage.query) == MOST_NAMES
    assert len(usage.tally.codes) <= MOST_CODES + 6
    assert len(usage.clients) == len(usage.clusters) == MOST_PEERS + 1
    assert usage.clients[OTHER].requests == 3_000 - MOST_PEERS
    assert len(usage.tally.latency.cells) <= 301


def test_a_tree_is_of_bounded_size_whatever_is_asked() -> None:
    draw = random.Random(1)
    tree = Tree()
    words = ["".join(draw.choices("abcdefghijklmnop", k=7)) for _ in range(3_000)]
    for number in range(12_000):
        tree.learn(call("/" + "/".join(draw.choices(words, k=draw.randrange(1, 7))), at=float(number)))
        assert tree.nodes <= MOST_NODES + 30
    assert tree.nodes == tree.root.size()


def test_what_nobody_asks_for_is_forgotten() -> None:
    tree = learned([call("/old", at=10.0), call("/new", at=100.0), call("/old/deep/1", at=20.0)])
    tree.expire(50.0)
    assert shapes(tree) == {"GET /new"}
    assert tree.nodes == 2
    tree.learn(call("/old", at=200.0))
    assert only(tree, "/old").usage.first == 200.0


def test_to_show_endpoints_changes_nothing() -> None:
    tree = learned(call(f"/teams/{name}") for name in PEOPLE[:3])
    before = list_endpoints(tree)
    assert [each.path for each in list_endpoints(tree)] == [each.path for each in before]
    assert set(tree.root.words["teams"].words) == set(PEOPLE[:3])


def test_a_long_path_counts_and_is_kept_nowhere() -> None:
    tree, path = Tree(), bytearray(b"/orders/" + b"7x" * 500).decode()
    held = getrefcount(path)
    for _ in range(2):
        tree.learn(call(path))
    [endpoint] = list_endpoints(tree)
    assert (endpoint.shape, endpoint.usage.tally.requests) == ("/orders/{}", 2)
    assert getrefcount(path) == held
