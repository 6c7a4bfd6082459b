"""Discovery in Consul, against the stand-in agent."""

from __future__ import annotations

import json
import logging
from typing import Any

import pytest

from isthmus.discovery.found import Found
from isthmus.discovery.query import ConsulQuery

from .conftest import StartConsul
from .consul_server import ConsulServer
from .material import Certificates, Ear, by_address, until

WEB = ConsulQuery("web")


def instance(address: str, **more: Any) -> dict[str, Any]:
    return {"ID": f"web-{address}", "Name": "web", "Address": address, "Port": 8080, **more}


def asked(consul: ConsulServer) -> list[str]:
    return [each for each in consul.requests if "/health/service/web" in each]


async def test_instances_are_found_and_followed_without_polling(
    consul: ConsulServer, look: StartConsul, ear: Ear
) -> None:
    consul.put(instance("10.1.0.1"))
    await look(WEB)
    answer = await ear.addresses(WEB, "10.1.0.1:8080")
    assert answer.found == (Found("10.1.0.1", 8080),)
    consul.put(instance("10.1.0.2"))
    await ear.addresses(WEB, "10.1.0.1:8080", "10.1.0.2:8080")
    consul.remove("web-10.1.0.1")
    await ear.addresses(WEB, "10.1.0.2:8080")
    consul.remove("web-10.1.0.2")
    assert (await ear.addresses(WEB)).found == ()
    await until(lambda: consul.blocked == 1)
    assert len(asked(consul)) == 5
    assert all("wait=300s" in each for each in asked(consul)[1:])


async def test_an_unknown_service_has_no_servers(look: StartConsul, ear: Ear) -> None:
    await look(WEB)
    assert (await ear.until(WEB, lambda answer: answer.found == ())).error == ""


async def test_checks_decide_who_is_healthy_and_what_it_weighs(
    consul: ConsulServer, look: StartConsul, ear: Ear
) -> None:
    consul.put(instance("10.1.0.1", Weights={"Passing": 10, "Warning": 2}))
    consul.put(instance("10.1.0.2", Weights={"Passing": 10, "Warning": 0}))
    await look(WEB)
    answer = await ear.addresses(WEB, "10.1.0.1:8080", "10.1.0.2:8080")
    assert by_address(answer)["10.1.0.1"].weight == 10
    consul.set_status("web-10.1.0.1", "warning")
    answer = await ear.until(WEB, lambda answer: by_address(answer)["10.1.0.1"].weight == 2)
    assert by_address(answer)["10.1.0.1"].healthy
    consul.set_status("web-10.1.0.2", "warning")
    await ear.addresses(WEB, "10.1.0.1:8080")
    consul.set_status("web-10.1.0.1", "critical", "_service_maintenance:web-10.1.0.1")
    answer = await ear.addresses(WEB)
    assert len(answer.found or ()) == 2


async def test_tags_metadata_and_locality_become_labels(consul: ConsulServer, look: StartConsul, ear: Ear) -> None:
    consul.put(
        instance(
            "10.1.0.1",
            Tags=["canary", "version=11", "color=red", "traefik.http.routers.x.rule=Host(`a`)"],
            Meta={"color": "blue", "note": "not a label"},
            Locality={"Region": "eu", "Zone": "eu-1"},
        )
    )
    await look(WEB)
    answer = await ear.addresses(WEB, "10.1.0.1:8080")
    assert dict(by_address(answer)["10.1.0.1"].labels) == {
        "canary": "true",
        "version": "11",
        "color": "blue",
        "topology.kubernetes.io/region": "eu",
        "topology.kubernetes.io/zone": "eu-1",
    }


async def test_only_instances_with_all_tags(consul: ConsulServer, look: StartConsul, ear: Ear) -> None:
    query = ConsulQuery("web", ("blue", "v2"))
    consul.put(instance("10.1.0.1", Tags=["v2"]))
    consul.put(instance("10.1.0.2", Tags=["v2", "blue"]))
    await look(query)
    await ear.addresses(query, "10.1.0.2:8080")


async def test_an_instance_without_address_is_at_its_node(consul: ConsulServer, look: StartConsul, ear: Ear) -> None:
    consul.put({"Name": "web", "Port": 8080})
    await look(WEB)
    await ear.addresses(WEB, "10.9.0.1:8080")


async def test_what_is_no_address_and_port_is_left_out_and_said(
    consul: ConsulServer, look: StartConsul, ear: Ear
) -> None:
    consul.put(instance("web.example"))
    await look(WEB)
    await ear.error(WEB, "1 of 1 instances have no IP address and port")
    consul.put(instance("10.1.0.1"))
    answer = await ear.addresses(WEB, "10.1.0.1:8080")
    assert "1 of 2 instances have no IP address and port" in answer.error


async def test_an_index_that_goes_backwards_starts_anew(consul: ConsulServer, look: StartConsul, ear: Ear) -> None:
    consul.put(instance("10.1.0.1"))
    await look(WEB)
    await ear.addresses(WEB, "10.1.0.1:8080")
    await until(lambda: consul.blocked == 1)
    seen = len(asked(consul))
    consul.restore(3)
    await until(lambda: len(asked(consul)) >= seen + 2 and consul.blocked == 1)
    assert "index=" not in asked(consul)[seen]
    assert "index=3" in asked(consul)[seen + 1]
    consul.put(instance("10.1.0.2"))
    await ear.addresses(WEB, "10.1.0.1:8080", "10.1.0.2:8080")


async def test_an_index_of_0_does_not_make_a_busy_loop(consul: ConsulServer, look: StartConsul, ear: Ear) -> None:
    consul.put(instance("10.1.0.1"))
    consul.restore(0)
    await look(WEB)
    await ear.addresses(WEB, "10.1.0.1:8080")
    await until(lambda: len(asked(consul)) >= 2)
    assert "index=1&" in asked(consul)[1]


async def test_a_dropped_query_is_asked_again(consul: ConsulServer, look: StartConsul, ear: Ear) -> None:
    consul.put(instance("10.1.0.1"))
    await look(WEB)
    await ear.addresses(WEB, "10.1.0.1:8080")
    await until(lambda: consul.blocked == 1)
    consul.put(instance("10.1.0.2"))
    consul.drop()
    await ear.addresses(WEB, "10.1.0.1:8080", "10.1.0.2:8080")


async def test_an_agent_that_fails_leaves_the_last_answer(consul: ConsulServer, look: StartConsul, ear: Ear) -> None:
    consul.put(instance("10.1.0.1"))
    await look(WEB)
    await ear.addresses(WEB, "10.1.0.1:8080")
    await until(lambda: consul.blocked == 1)
    consul.refuse = lambda method, path: (500, "No cluster leader")
    consul.drop()
    await ear.error(WEB, "answers 500 to GET /v1/health/service/web: No cluster leader")
    await consul.stop()
    await ear.error(WEB, "cannot be reached")
    consul.refuse = None
    await consul.start()
    await ear.addresses(WEB, "10.1.0.1:8080")


async def test_a_token_that_may_see_nothing_is_an_error_not_an_empty_answer(
    consul: ConsulServer, look: StartConsul, ear: Ear, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    consul.put(instance("10.1.0.1"))
    consul.tokens = {"s3cret": frozenset(("web",)), "bl1nd": frozenset()}
    blind = await look(WEB, token="bl1nd")
    await ear.error(WEB, "hides web from this ACL token; grant it service:read and node:read")
    await blind.stop()
    source = await look(WEB, token="s3cret")
    await ear.addresses(WEB, "10.1.0.1:8080")
    await until(lambda: consul.blocked == 1)
    del consul.tokens["s3cret"]
    consul.drop()
    await ear.error(WEB, "answers 403 to GET /v1/health/service/web: ACL not found; check the ACL token")
    await source.stop()
    said = caplog.text + json.dumps([each.error for each in ear.answers[WEB]])
    assert "s3cret" not in said
    assert "bl1nd" not in said


async def test_what_an_agent_echoes_of_a_token_is_hidden(consul: ConsulServer, look: StartConsul, ear: Ear) -> None:
    consul.refuse = lambda method, path: (403, "token s3cret is no good")
    await look(WEB, token="s3cret")
    await ear.error(WEB, "token *** is no good")


async def test_tls_with_a_client_certificate(look: StartConsul, ear: Ear, certificates: Certificates) -> None:
    server = ConsulServer(context=certificates.server_context(), client_certificate=True)
    await server.start()
    server.put(instance("10.1.0.1"))
    certificate, key = certificates.issue("site-ams")
    settings = {"url": server.url, "trusted_ca": certificates.ca.decode()}
    without = await look(WEB, **settings)
    await ear.error(WEB, "answers 401")
    await without.stop()
    await look(WEB, client_key=key.decode(), client_certificate=certificate.decode(), **settings)
    await ear.addresses(WEB, "10.1.0.1:8080")
    await look(ConsulQuery("api"), url=server.url, trusted_ca=Certificates().ca.decode())
    await ear.error(ConsulQuery("api"), "shows a certificate that is not trusted")
    await server.stop()


async def test_datacenter_namespace_and_partition_are_asked_for(look: StartConsul, ear: Ear) -> None:
    server = ConsulServer(enterprise=True)
    await server.start()
    query = ConsulQuery("web", datacenter="dc1", namespace="team")
    await look(query, ConsulQuery("web", datacenter="dc9"), url=server.url, partition="west", namespace="base")
    await ear.until(query, lambda answer: answer.found == ())
    assert any("dc=dc1&ns=team&partition=west" in each for each in asked(server))
    await ear.error(ConsulQuery("web", datacenter="dc9"), "No path to datacenter")
    assert any("ns=base" in each for each in asked(server))
    await server.stop()


@pytest.mark.parametrize(
    ("settings", "secrets", "message"),
    [
        ({"url": "consul:8500"}, {}, "the URL must be http:// or https://"),
        ({"url": "http://consul.example:8500"}, {"token": "s"}, "could be read on its way over plain http://"),
        ({"url": "https://c", "trusted_ca": "no"}, {}, "the trusted CA is not a certificate in PEM"),
        ({"url": "https://c", "client_certificate": "no"}, {}, "set both the client's certificate and its key"),
        ({"url": "https://c", "client_certificate": "no"}, {"client_key": "no"}, "are not PEM"),
    ],
)
async def test_settings_that_cannot_work(
    look: StartConsul, ear: Ear, settings: dict[str, Any], secrets: dict[str, str], message: str
) -> None:
    await look(WEB, **secrets, **settings)
    await ear.error(WEB, message)


async def test_queries_come_and_go(consul: ConsulServer, look: StartConsul, ear: Ear) -> None:
    consul.put(instance("10.1.0.1"))
    source = await look(WEB)
    await ear.addresses(WEB, "10.1.0.1:8080")
    source.watch(frozenset({ConsulQuery("api")}))
    await ear.until(ConsulQuery("api"), lambda answer: answer.found == ())
    heard = len(ear.answers[WEB])
    consul.put(instance("10.1.0.2"))
    consul.put({"Name": "api", "Address": "10.1.0.9", "Port": 80})
    await ear.addresses(ConsulQuery("api"), "10.1.0.9:80")
    assert len(ear.answers[WEB]) == heard
    await source.stop()
    await until(lambda: consul.blocked == 0)
