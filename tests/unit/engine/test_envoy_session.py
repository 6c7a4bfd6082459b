"""The delta discovery session as a dialogue, without IO."""

from __future__ import annotations

from collections.abc import Iterable

from envoy.service.discovery.v3 import discovery_pb2

from isthmus.engine.envoy.resource import CLUSTER, ENDPOINT, LISTENER, ROUTE, SECRET, Nack, Resource, parse_resource
from isthmus.engine.envoy.session import GATE, Session

Sent = tuple[str, list[str], list[str]]


class Dialogue:
    """Envoy's side, and the store."""

    def __init__(self) -> None:
        self.store: dict[str, dict[str, Resource]] = {}
        self.settled: list[tuple[str, str, str | None, Nack | None]] = []
        self.session = Session(self.store, lambda *answer: self.settled.append(answer))
        self.open: dict[str, list[str]] = {}

    def put(self, type_url: str, **bodies: bytes | None) -> None:
        for name, body in bodies.items():
            if body is None:
                del self.store[type_url][name]
            else:
                self.store.setdefault(type_url, {})[name] = parse_resource(name, body)
        self.session.change(type_url, bodies)

    def version(self, type_url: str, name: str) -> str:
        return self.store[type_url][name].version

    def ask(self, type_url: str, *names: str, held: dict[str, str] | None = None, drop: Iterable[str] = ()) -> None:
        self.session.receive(
            discovery_pb2.DeltaDiscoveryRequest(
                type_url=type_url,
                resource_names_subscribe=names,
                resource_names_unsubscribe=drop,
                initial_resource_versions=held,
            )
        )

    def answer(self, type_url: str, error: str = "") -> None:
        request = discovery_pb2.DeltaDiscoveryRequest(type_url=type_url, response_nonce=self.open[type_url].pop(0))
        if error:
            request.error_detail.message = error
        self.session.receive(request)

    def flush(self, now: float = 0.0) -> list[Sent]:
        out = []
        for body in self.session.flush(now):
            response = discovery_pb2.DeltaDiscoveryResponse.FromString(body)
            self.open.setdefault(response.type_url, []).append(response.nonce)
            for resource in response.resources:
                assert resource.resource.type_url == response.type_url
                assert resource.resource.value == self.store[response.type_url][resource.name].body
                assert resource.version == self.version(response.type_url, resource.name)
            names = sorted(resource.name for resource in response.resources)
            out.append((response.type_url, names, sorted(response.removed_resources)))
        return out


def connected() -> Dialogue:
    """Cluster a with endpoints, listener l and route r, all sent and answered."""
    dialogue = Dialogue()
    dialogue.put(CLUSTER, a=b"1")
    dialogue.put(ENDPOINT, a=b"1")
    dialogue.put(LISTENER, l=b"1")
    dialogue.put(ROUTE, r=b"1")
    for type_url, names in ((CLUSTER, ()), (ENDPOINT, ("a",)), (LISTENER, ()), (ROUTE, ("r",))):
        dialogue.ask(type_url, *names)
        assert [sent[0] for sent in dialogue.flush()] == [type_url]
        dialogue.answer(type_url)
    assert dialogue.flush() == []
    return dialogue


def test_reconnect_with_equal_versions_is_sent_nothing() -> None:
    dialogue = Dialogue()
    dialogue.put(CLUSTER, a=b"1", b=b"2")
    dialogue.put(ENDPOINT, a=b"1")
    dialogue.ask(CLUSTER, held={"a": dialogue.version(CLUSTER, "a"), "b": dialogue.version(CLUSTER, "b")})
    dialogue.ask(ENDPOINT, "a", held={"a": dialogue.version(ENDPOINT, "a")})
    assert dialogue.flush() == []
    assert {answer[:2] for answer in dialogue.settled} == {(CLUSTER, "a"), (CLUSTER, "b"), (ENDPOINT, "a")}


def test_reconnect_is_sent_the_difference_only() -> None:
    dialogue = Dialogue()
    dialogue.put(CLUSTER, a=b"1", b=b"2")
    dialogue.ask(CLUSTER, "*", held={"a": dialogue.version(CLUSTER, "a"), "b": "old", "gone": "x"})
    assert dialogue.flush() == [(CLUSTER, ["b"], [])]
    dialogue.answer(CLUSTER)
    assert dialogue.flush() == [(CLUSTER, [], ["gone"])]


def test_first_wildcard_request_is_answered_even_when_there_is_nothing() -> None:
    dialogue = Dialogue()
    dialogue.ask(CLUSTER)
    assert dialogue.flush() == [(CLUSTER, [], [])]


def test_routes_wait_for_clusters_and_removals_for_all() -> None:
    dialogue = connected()
    dialogue.put(CLUSTER, a=None, b=b"2")
    dialogue.put(ROUTE, r=b"2")
    assert dialogue.flush() == [(CLUSTER, ["b"], [])]
    assert dialogue.flush() == []
    dialogue.answer(CLUSTER)
    assert dialogue.flush() == [(ROUTE, ["r"], [])]
    dialogue.answer(ROUTE)
    assert dialogue.flush() == [(CLUSTER, [], ["a"])]


def test_a_cluster_that_never_warms_holds_up_the_rest_for_a_bounded_time() -> None:
    dialogue = connected()
    dialogue.put(CLUSTER, b=b"2")
    dialogue.put(ROUTE, r=b"2")
    dialogue.flush(100.0)
    assert dialogue.session.deadline == 100.0 + GATE
    assert dialogue.flush(100.0 + GATE - 0.1) == []
    assert dialogue.flush(100.0 + GATE) == [(ROUTE, ["r"], [])]


def test_endpoints_pass_while_a_cluster_warms() -> None:
    dialogue = connected()
    dialogue.put(CLUSTER, b=b"2")
    dialogue.flush()
    dialogue.put(ENDPOINT, a=b"2")
    assert dialogue.flush() == [(ENDPOINT, ["a"], [])]


def test_a_changed_cluster_brings_its_endpoints_along() -> None:
    dialogue = connected()
    dialogue.put(CLUSTER, a=b"2")
    assert dialogue.flush() == [(CLUSTER, ["a"], []), (ENDPOINT, ["a"], [])]


def test_a_name_asked_for_again_is_sent_again() -> None:
    dialogue = connected()
    dialogue.ask(ENDPOINT, drop=["a"])
    dialogue.ask(ENDPOINT, "a")
    assert dialogue.flush() == [(ENDPOINT, ["a"], [])]


def test_a_missing_name_is_said_to_be_missing() -> None:
    dialogue = connected()
    dialogue.ask(ENDPOINT, "nothing")
    assert dialogue.flush() == [(ENDPOINT, [], ["nothing"])]


def test_refusal_is_bisected_to_the_resource() -> None:
    dialogue = connected()
    names = {name: name.encode() for name in "bcdefgh"}
    dialogue.put(CLUSTER, **names)
    dialogue.settled.clear()
    assert dialogue.flush() == [(CLUSTER, sorted(names), [])]
    dialogue.answer(CLUSTER, "bad e")
    for _ in range(10):
        sent = dialogue.flush()
        if not sent:
            break
        for _, group, _ in sent:
            dialogue.answer(CLUSTER, "bad e" if "e" in group else "")
    refused = [answer[3] for answer in dialogue.settled if answer[3] is not None]
    assert [(nack.name, nack.message) for nack in refused] == [("e", "bad e")]
    assert {answer[1] for answer in dialogue.settled if answer[3] is None} == set(names) - {"e"}


def test_refused_content_stays_refused_without_being_sent_again() -> None:
    dialogue = connected()
    dialogue.put(ROUTE, r=b"bad")
    dialogue.flush()
    dialogue.answer(ROUTE, "no")
    dialogue.settled.clear()
    dialogue.put(ROUTE, r=b"bad")
    assert dialogue.flush() == []
    assert [answer[3] is not None for answer in dialogue.settled] == [True]


def test_unsubscribed_resources_are_not_sent_and_count_as_settled() -> None:
    dialogue = connected()
    dialogue.settled.clear()
    dialogue.put(ENDPOINT, unused=b"1")
    assert dialogue.flush() == []
    assert [answer[:2] for answer in dialogue.settled] == [(ENDPOINT, "unused")]


def test_types_that_envoy_has_no_use_for_are_settled_once_clusters_and_listeners_are() -> None:
    dialogue = Dialogue()
    dialogue.put(SECRET, unused=b"1")
    dialogue.put(CLUSTER, a=b"1")
    dialogue.session = Session(dialogue.store, lambda *answer: dialogue.settled.append(answer))
    dialogue.ask(CLUSTER)
    dialogue.flush()
    dialogue.ask(LISTENER)
    dialogue.flush()
    assert dialogue.settled == []
    dialogue.answer(CLUSTER)
    assert dialogue.flush() == [(LISTENER, [], [])]
    dialogue.answer(LISTENER)
    dialogue.flush()
    assert (SECRET, "unused", dialogue.version(SECRET, "unused"), None) in dialogue.settled
    dialogue.settled.clear()
    dialogue.put(SECRET, unused=b"2")
    dialogue.flush()
    assert [answer[:2] for answer in dialogue.settled] == [(SECRET, "unused")]


def test_a_name_that_is_asked_for_late_is_not_settled_early() -> None:
    dialogue = connected()
    dialogue.settled.clear()
    dialogue.put(ROUTE, new=b"1")
    dialogue.put(LISTENER, new=b"1")
    assert dialogue.flush() == [(LISTENER, ["new"], [])]
    assert dialogue.settled == []
    dialogue.ask(ROUTE, "new")
    assert dialogue.flush() == [(ROUTE, ["new"], [])]
    dialogue.answer(LISTENER)
    dialogue.answer(ROUTE)
    dialogue.flush()
    assert {answer[:2] for answer in dialogue.settled} == {(LISTENER, "new"), (ROUTE, "new")}


def test_what_was_refused_is_sent_again_when_asked_to() -> None:
    """The cause may have been outside of it; without being asked, the same version is never sent twice."""
    dialogue = Dialogue()
    dialogue.put(LISTENER, taken=b"l")
    dialogue.ask(LISTENER, "*")
    assert dialogue.flush() == [(LISTENER, ["taken"], [])]
    dialogue.answer(LISTENER, "address in use")
    dialogue.session.change(LISTENER, ["taken"])
    assert dialogue.flush() == []
    dialogue.session.again(LISTENER, ["taken"])
    assert dialogue.flush() == [(LISTENER, ["taken"], [])]
    dialogue.answer(LISTENER)
    assert dialogue.settled[-1] == (LISTENER, "taken", dialogue.version(LISTENER, "taken"), None)
