"""Which objects a client asks for, when manifests move on between question and answer."""

from hashlib import sha256

from isthmus.identity import Identity, Role, Signer, parse_signing_keys
from isthmus.protocol import ClientSession, Holdings, MemoryBodies, Publisher, Reports, ServerSession, Version

FRA, NYC, EU = "default/site/fra", "default/site/nyc", "default/region/eu"


def test_an_object_whose_first_asker_moved_on_is_asked_for_again() -> None:
    """fra and nyc both wait for `web`; it is asked for once, in fra's name; then fra needs it no more."""
    bodies: dict[str, bytes] = {}
    signer = Signer.create()
    publisher = Publisher(signer, bodies.get)

    def publish(subject: str, revision: int, *texts: str) -> None:
        for text in texts:
            bodies[sha256(text.encode()).hexdigest()] = text.encode()
        entries = {f"default/Cluster/shop/{text}": sha256(text.encode()).hexdigest() for text in texts}
        publisher.publish(subject, Version(1, revision), entries, regions=["eu"])

    publish(FRA, 1, "web", "own")
    publish(NYC, 1, "web")
    holdings = Holdings(MemoryBodies())
    keys = parse_signing_keys([signer.public_pem])
    client = ClientSession(EU, holdings, Reports(), lambda: keys, lambda: 1, "1.0", accepts=lambda subject: True)
    server = ServerSession(Identity("example.net", Role.REGION, "default", "eu"), publisher, None, "1.0")

    server.receive(client.next_message())
    client.receive(server.next_message())  # both manifests
    wants = client.next_message()
    assert [(want.subject, len(want.hashes)) for want in wants.wants] == [(FRA, 2)], "each object once"
    publish(FRA, 2, "own")
    server.mark(FRA)
    server.receive(wants)  # comes too late for `web`
    client.receive(server.next_message())
    for _ in range(4):
        up = client.next_message()
        if up is not None:
            server.receive(up)
        down = server.next_message()
        if down is not None:
            client.receive(down)
    assert holdings.state(FRA).version == (1, 2)  # type: ignore[union-attr]
    assert holdings.state(NYC).version == (1, 1)  # type: ignore[union-attr]
