"""Dialogues between a server session and client sessions, message by message, without IO."""

from collections.abc import Callable
from dataclasses import dataclass, field
from hashlib import sha256
from typing import Any

import pytest

from isthmus.generated import stream_pb2 as wire
from isthmus.identity import Identity, RenewalRequest, Role, Signer, TrustList, parse_signing_keys
from isthmus.protocol import (
    Adopted,
    AppliedReport,
    Asked,
    ClientSession,
    Holdings,
    MemoryBodies,
    PeerRefused,
    PresenceReport,
    ProtocolError,
    Publisher,
    Refused,
    Rejection,
    RenewalAnswered,
    Reports,
    ServerSession,
    StatusReport,
    TrustReceived,
    Version,
    Welcomed,
    make_trust,
)
from isthmus.protocol.server_session import Answered, Opened, RenewalAsked

FRA, NYC, EU = "default/site/fra", "default/site/nyc", "default/region/eu"


@dataclass
class Console:
    """A publisher with its objects, and one server session per peer."""

    signer: Signer = field(default_factory=Signer.create)
    bodies: dict[str, bytes] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.shelf = Publisher(self.signer, self.bodies.get)

    def publish(self, subject: str, revision: int, epoch: int = 1, **objects: str) -> None:
        entries = {}
        for name, text in objects.items():
            entries[f"default/Cluster/shop/{name}"] = sha256(text.encode()).hexdigest()
            self.bodies[sha256(text.encode()).hexdigest()] = text.encode()
        self.shelf.publish(subject, Version(epoch, revision), entries, regions=["eu"])

    def session(self, subject: str) -> ServerSession:
        tenant, role, name = subject.split("/")
        return ServerSession(Identity("example.net", Role(role), tenant, name), self.shelf, None, "1.0")


class Peer:
    """The lower end: holdings, reports, and as many sessions as it has streams."""

    def __init__(self, console: Console, subject: str = FRA, accepts: Callable[[str], bool] | None = None) -> None:
        self.subject = subject
        self.holdings = Holdings(MemoryBodies())
        self.reports = Reports()
        self.keys = parse_signing_keys([console.signer.public_pem])
        self.trust_version = 1
        self.accepts = accepts

    def session(self) -> ClientSession:
        return ClientSession(
            self.subject,
            self.holdings,
            self.reports,
            lambda: self.keys,
            lambda: self.trust_version,
            "1.0",
            self.accepts,
        )

    def contents(self, subject: str = FRA) -> dict[str, str]:
        state = self.holdings.state(subject)
        assert state is not None
        return {key.rsplit("/", 1)[1]: body.decode() for key, body in self.holdings.objects(state).items()}


@dataclass
class Wire:
    """Carries messages until both ends are silent, and notes them. `tamper` stands for a relay that changes them."""

    server: ServerSession
    client: ClientSession
    tamper: Callable[[Any], None] = lambda down: None
    ups: list[Any] = field(default_factory=list)
    downs: list[Any] = field(default_factory=list)

    def run(self) -> list[Any]:
        events: list[Any] = []
        for _ in range(20):
            up, down = self.client.next_message(), None
            if up is not None:
                self.ups.append(up)
                events += self.server.receive(wire.Up.FromString(up.SerializeToString()))
            down = self.server.next_message()
            if down is not None:
                down = wire.Down.FromString(down.SerializeToString())
                self.tamper(down)
                self.downs.append(down)
                events += self.client.receive(down)
            if up is None and down is None:
                return events
        raise AssertionError("the two ends never fall silent")


def connect(console: Console, peer: Peer, tamper: Callable[[Any], None] = lambda down: None) -> tuple[Wire, list[Any]]:
    line = Wire(console.session(peer.subject), peer.session(), tamper)
    return line, line.run()


def test_a_new_site_gets_its_manifest_asks_for_the_objects_and_adopts_them() -> None:
    console = Console()
    console.publish(FRA, 4, web="a", api="b")
    site = Peer(console)
    line, events = connect(console, site)
    assert events == [Opened("1.0"), Welcomed(1, "1.0"), Adopted(frozenset({FRA}))]
    assert site.contents() == {"web": "a", "api": "b"}
    assert [bool(down.objects) for down in line.downs] == [False, True]
    assert len(line.ups[1].wants[0].hashes) == 2


def test_a_change_is_one_message_that_brings_its_object_along() -> None:
    console = Console()
    console.publish(FRA, 4, web="a", api="b")
    site = Peer(console)
    line, _ = connect(console, site)
    console.publish(FRA, 5, web="A", api="b")
    line.server.mark(FRA)
    down = line.server.next_message()
    assert down is not None
    assert [each.body for each in down.objects] == [b"A"]
    assert line.client.receive(down) == [Adopted(frozenset({FRA}))]
    assert site.contents() == {"web": "A", "api": "b"}
    assert line.client.next_message() is None


def test_a_slow_peer_gets_many_changes_in_one_message() -> None:
    console = Console()
    console.publish(FRA, 1, web="a", far="z")
    site = Peer(console)
    line, _ = connect(console, site)
    for revision in range(2, 12):
        console.publish(FRA, revision, web=f"a{revision}", far="z")
        line.server.mark(FRA)
    sent = len(line.downs)
    assert line.run() == [Adopted(frozenset({FRA}))]
    assert len(line.downs) == sent + 1
    assert [each.body for each in line.downs[-1].objects] == [b"a11"]
    assert site.contents() == {"web": "a11", "far": "z"}


def test_who_comes_back_with_everything_gets_nothing_again() -> None:
    console = Console()
    console.publish(FRA, 4, web="a")
    site = Peer(console)
    connect(console, site)
    line, events = connect(console, site)
    assert events == [Opened("1.0"), Welcomed(1, "1.0")]
    assert not any(down.updates or down.objects for down in line.downs)


def test_a_server_that_holds_nothing_removes_nothing() -> None:
    console = Console()
    console.publish(FRA, 4, web="a")
    site = Peer(console)
    connect(console, site)
    connect(Console(console.signer), site)
    assert site.contents() == {"web": "a"}


def test_a_server_that_is_behind_changes_nothing() -> None:
    behind, ahead = Console(), None
    behind.publish(FRA, 4, web="old")
    ahead = Console(behind.signer)
    ahead.publish(FRA, 6, web="new")
    site = Peer(behind)
    connect(ahead, site)
    _, events = connect(behind, site)
    assert not any(isinstance(event, Adopted | Refused) for event in events)
    assert site.contents() == {"web": "new"}


def test_a_restored_console_wins_by_its_epoch() -> None:
    console = Console()
    console.publish(FRA, 900, web="lost")
    site = Peer(console)
    connect(console, site)
    restored = Console(console.signer)
    restored.publish(FRA, 12, epoch=2, web="restored")
    connect(restored, site)
    assert site.contents() == {"web": "restored"}


def test_a_removal_takes_a_manifest() -> None:
    console = Console()
    console.publish(FRA, 4, web="a", api="b", far="z")
    site = Peer(console)
    line, _ = connect(console, site)
    console.publish(FRA, 5, web="a", far="z")
    line.server.mark(FRA)
    line.run()
    assert site.contents() == {"web": "a", "far": "z"}


def test_a_tampered_manifest_is_refused_and_reported() -> None:
    console = Console()
    console.publish(FRA, 4, web="a")
    site = Peer(console)

    def rename(down: Any) -> None:
        for update in down.updates:
            update.manifest = update.manifest.replace(b"shop/web", b"shop/wob")

    _, events = connect(console, site, rename)
    (refused,) = [event for event in events if isinstance(event, Refused)]
    assert (refused.subject, refused.code) == (FRA, "signature")
    assert site.holdings.state(FRA) is None


def test_a_tampered_object_is_refused_and_the_last_good_version_stays() -> None:
    console = Console()
    console.publish(FRA, 4, web="a", far="z")
    site = Peer(console)

    def rewrite(down: Any) -> None:
        for each in down.objects:
            each.body = each.body.replace(b"new", b"bad")

    line, _ = connect(console, site, rewrite)
    console.publish(FRA, 5, web="new", far="z")
    line.server.mark(FRA)
    assert "object" in [event.code for event in line.run() if isinstance(event, Refused)]
    assert site.contents() == {"web": "a", "far": "z"}


def test_a_second_region_completes_what_the_first_one_spoiled() -> None:
    console = Console()
    console.publish(FRA, 4, web="a", far="z")
    site = Peer(console)

    def rewrite(down: Any) -> None:
        for each in down.objects:
            each.body = each.body.replace(b"new", b"bad")

    (bad, _), (good, _) = connect(console, site, rewrite), connect(console, site)
    console.publish(FRA, 5, web="new", far="z")
    for line in (bad, good):
        line.server.mark(FRA)
        line.run()
    assert site.contents() == {"web": "new", "far": "z"}


def test_two_regions_bring_a_change_once() -> None:
    console = Console()
    console.publish(FRA, 4, web="a", far="z")
    site = Peer(console)
    (one, _), (other, _) = connect(console, site), connect(console, site)
    console.publish(FRA, 5, web="new", far="z")
    events = []
    for line in (one, other):
        line.server.mark(FRA)
        events += line.run()
    assert events == [Adopted(frozenset({FRA}))]


def test_a_gap_is_closed_by_asking_for_the_whole_manifest() -> None:
    console = Console()
    console.publish(FRA, 4, web="a", far="z")
    site = Peer(console)
    line, _ = connect(console, site)
    site.holdings.drop(FRA)
    console.publish(FRA, 5, web="b", far="z")
    line.server.mark(FRA)
    line.run()
    assert site.contents() == {"web": "b", "far": "z"}


def test_a_pending_manifest_leaves_the_complete_one_in_effect() -> None:
    console = Console()
    console.publish(FRA, 4, web="a", far="z")
    site = Peer(console)
    line, _ = connect(console, site)
    console.publish(FRA, 5, web="b", far="z")
    gone = console.bodies.pop(sha256(b"b").hexdigest())
    line.server.mark(FRA)
    line.run()
    assert site.contents() == {"web": "a", "far": "z"}
    console.publish(FRA, 6, web="c", far="z")
    line.server.mark(FRA)
    line.run()
    assert site.contents() == {"web": "c", "far": "z"}
    assert gone == b"b"


def test_a_site_gets_nothing_but_its_own() -> None:
    console = Console()
    console.publish(FRA, 4, web="a")
    console.publish(NYC, 4, web="secret")
    line, _ = connect(console, Peer(console))
    digest = sha256(b"secret").digest()
    ask = wire.Up(
        wants=[wire.Want(subject=NYC, hashes=[digest], manifest=True), wire.Want(subject=FRA, hashes=[digest])]
    )
    line.server.receive(ask)
    assert line.server.next_message() is None


def test_a_site_that_asks_for_another_subject_is_refused() -> None:
    hello = wire.Up(hello=wire.Hello(version_min=1, version_max=1, subject=NYC))
    with pytest.raises(PeerRefused, match="may not have"):
        Console().session(FRA).receive(hello)


def test_a_site_takes_no_manifest_of_another_subject() -> None:
    console = Console()
    console.publish(NYC, 4, web="a")
    region, site = console.session(NYC), Peer(console).session()
    region.receive(wire.Up(hello=wire.Hello(version_min=1, version_max=1, subject=NYC)))
    down = region.next_message()
    assert down is not None
    assert [event.code for event in site.receive(down) if isinstance(event, Refused)] == ["wrong_subject"]


def test_a_region_gets_the_sites_that_name_it_and_shared_objects_once() -> None:
    console = Console()
    console.publish(EU, 1, eu="region")
    for subject in (FRA, NYC):
        console.publish(subject, 1, web="a", far="z")
    region = Peer(console, EU, lambda subject: True)
    line, _ = connect(console, region)
    assert set(region.holdings.subjects) == {EU, FRA, NYC}
    for subject in (FRA, NYC):
        console.publish(subject, 2, web="new", far="z")
        line.server.mark(subject)
    line.run()
    assert [each.body for each in line.downs[-1].objects] == [b"new"]
    assert region.contents(NYC) == {"web": "new", "far": "z"}


def test_reports_go_up_once_and_again_after_a_reconnect() -> None:
    console = Console()
    console.publish(FRA, 4, web="a")
    site = Peer(console)
    line, _ = connect(console, site)
    applied = AppliedReport(FRA, Version(1, 4), (Rejection("default/Route/shop/r", "regex_invalid", "spec", "No."),))
    site.reports.put_applied(applied)
    for at in (1.0, 2.0):
        site.reports.put_status(StatusReport(FRA, b"{}", at))
    assert line.run() == [applied, StatusReport(FRA, b"{}", 2.0)]
    assert line.run() == []
    _, events = connect(console, site)
    assert events[2:] == [applied, StatusReport(FRA, b"{}", 2.0)]


def test_an_older_report_does_not_replace_a_newer_one() -> None:
    reports = Reports()
    reports.put_applied(AppliedReport(FRA, Version(1, 4)))
    reports.put_applied(AppliedReport(FRA, Version(1, 3)))
    reports.put_status(StatusReport(FRA, b"new", 2.0))
    reports.put_status(StatusReport(FRA, b"old", 1.0))
    assert reports.applied[FRA].version == Version(1, 4)
    assert reports.statuses[FRA].body == b"new"


def test_a_closed_session_is_told_nothing_more() -> None:
    console = Console()
    site = Peer(console)
    line, _ = connect(console, site)
    line.client.close()
    site.reports.put_status(StatusReport(FRA, b"{}", 1.0))
    assert line.client.next_message() is None
    assert site.reports.watchers == []


def test_nobody_reports_about_others() -> None:
    console = Console()
    console.publish(NYC, 1, web="a")
    line, _ = connect(console, Peer(console))
    ups = [
        wire.Up(applied=[wire.Applied(subject=NYC, epoch=1, revision=1)]),
        wire.Up(statuses=[wire.Status(subject=NYC, body=b"{}")]),
        wire.Up(presence=[wire.Presence(subject=FRA, connected=True)]),
        wire.Up(renewals=[wire.Renew(subject=NYC)]),
    ]
    assert [line.server.receive(up) for up in ups] == [[], [], [], []]


def test_a_region_reports_about_its_sites() -> None:
    console = Console()
    console.publish(FRA, 1, web="a")
    region = Peer(console, EU, lambda subject: True)
    line, _ = connect(console, region)
    region.reports.put_presence(PresenceReport(FRA, True, 1.0))
    region.reports.put_presence(PresenceReport("default/site/unknown", True, 1.0))
    region.reports.put_applied(AppliedReport(FRA, Version(1, 1)))
    assert line.run() == [AppliedReport(FRA, Version(1, 1)), PresenceReport(FRA, True, 1.0)]


def test_a_question_is_answered() -> None:
    console = Console()
    line, _ = connect(console, Peer(console))
    line.server.query(7, FRA, "explain", b'{"url":"x"}')
    assert line.run() == [Asked(7, FRA, "explain", b'{"url":"x"}')]
    line.client.answer(7, b"{}")
    line.client.answer(8, code="not_found", message="No.")
    assert line.run() == [Answered(7, b"{}", "", ""), Answered(8, b"", "not_found", "No.")]


def test_a_renewal_goes_up_and_its_answer_down() -> None:
    console = Console()
    line, _ = connect(console, Peer(console))
    request = RenewalRequest(b"certificate", b"csr", 5, b"signature")
    line.client.renew(FRA, request)
    assert line.run() == [RenewalAsked(FRA, request)]
    line.server.answer_renewal(FRA, b"chain")
    line.server.answer_renewal(FRA, error="No.")
    assert line.run() == [RenewalAnswered(FRA, b"chain", ""), RenewalAnswered(FRA, b"", "No.")]


def test_a_newer_trust_list_is_taken_and_an_older_one_is_not() -> None:
    console = Console()
    site = Peer(console)
    line, _ = connect(console, site)
    newer = TrustList(2, b"two authorities", (console.signer.public_pem, Signer.create().public_pem))
    line.server.set_trust(make_trust(console.signer, newer))
    assert line.run() == [TrustReceived(newer, make_trust(console.signer, newer))]
    site.trust_version = 2
    line.server.set_trust(make_trust(console.signer, TrustList(1, b"old", newer.signing_keys)))
    assert line.run() == []


def test_a_relay_cannot_add_its_own_signing_key() -> None:
    console, relay = Console(), Signer.create()
    line, _ = connect(console, Peer(console))
    line.server.set_trust(make_trust(relay, TrustList(9, b"mine", (relay.public_pem,))))
    (refused,) = line.run()
    assert isinstance(refused, Refused)
    assert refused.code == "signature"


@pytest.mark.parametrize(("lowest", "highest"), [(2, 3), (0, 0)])
def test_releases_without_a_common_version_say_so(lowest: int, highest: int) -> None:
    hello = wire.Up(hello=wire.Hello(version_min=lowest, version_max=highest, subject=FRA))
    with pytest.raises(PeerRefused, match="speaks versions"):
        Console().session(FRA).receive(hello)


def test_a_later_release_agrees_on_the_common_version() -> None:
    session = Console().session(FRA)
    session.receive(wire.Up(hello=wire.Hello(version_min=1, version_max=9, subject=FRA)))
    down = session.next_message()
    assert down is not None
    assert down.welcome.version == 1


def test_a_client_leaves_a_server_with_a_version_it_does_not_speak() -> None:
    with pytest.raises(ProtocolError, match="version 2"):
        Peer(Console()).session().receive(wire.Down(welcome=wire.Welcome(version=2)))


def test_a_stream_begins_with_hello_and_welcome() -> None:
    with pytest.raises(PeerRefused, match="hello"):
        Console().session(FRA).receive(wire.Up())
    with pytest.raises(ProtocolError, match="welcome"):
        Peer(Console()).session().receive(wire.Down())


def test_a_time_that_is_none_counts_as_long_ago() -> None:
    console = Console()
    console.publish(FRA, 1, a="a")
    server = console.session(EU)
    server.receive(wire.Up(hello=wire.Hello(version_min=1, version_max=1, subject=EU)))
    up = wire.Up(
        statuses=[wire.Status(subject=FRA, body=b"{}", at=float("nan"))],
        presence=[wire.Presence(subject=FRA, connected=True, at=float("inf"))],
    )
    assert server.receive(up) == [StatusReport(FRA, b"{}", 0.0), PresenceReport(FRA, True, 0.0)]
