"""Explanations agree with the real Envoy about virtual host, route and answer, whatever is asked."""

from __future__ import annotations

import asyncio
import contextlib
from random import Random

import pytest
from tests.property.strategy import DOMAINS, Maker

from isthmus.explain import Health, explain
from isthmus.model import Object, ObjectKey, System
from isthmus.model.document import parse_documents

from ...port import free_port
from .conftest import StartSite

HOSTS = (
    "a.example",
    "A.Example",
    "a.example.",
    "a.example:{port}",
    "a.example:81",
    "b.example",
    "c.b.example",
    "x.c.b.example:{port}",
    "d.b.example",
    "example",
    "other",
    "other:{port}",
    "z.example:81",
)
PATHS = (
    "/",
    "/a",
    "/A",
    "/a/",
    "/a/b",
    "/a/b/c",
    "/ab",
    "/b",
    "//a",
    "/a//b",
    "/a/./b",
    "/x/../a",
    "/../b",
    "/a/..",
    "/a/.",
    "/a/b/..",
    "/..//a",
    "/%61",
    "/a%2Fb",
    "/a%2fb%5Cc",
    "/a%5cb",
    "/a\\b",
    "/%2e%2E/a",
    "/a%20b",
    "/a;v=1",
    "/%7Ea",
    "/a%zz",
    "/a%",
    "/.../b",
)
QUERIES = ("", "?", "?p=1", "?p=one&q=o", "?p", "?q=&p=once", "?p=%6fne", "?p=1&p=one", "?x=1&", "?=&p=o")
COOKIE_HEADERS = ("c=1", "c=one; d=o", 'x=c=1;d="once"', "d=once;c=", "cd=1", " c=o ;d", "c=x;c=one")
HEADER_VALUES = ("", "1", "one", "o", "once", "x")


def documents(maker: Maker, port: int) -> list[dict[str, object]]:
    """Three virtual hosts with routes of their own; every route answers with its name."""
    found: list[dict[str, object]] = [
        {"kind": "Site", "metadata": {"name": "ams"}, "spec": {}},
        {
            "kind": "AdvertisePolicy",
            "metadata": {"name": "here"},
            "spec": {"where": {"site": "ams"}, "address": "127.0.0.1", "port": port},
        },
    ]
    for host in ("h1", "h2", "h3"):
        names = [f"{host}-{index}" for index in range(maker.random.randint(1, 4))]
        for name in names:
            spec = {
                "match": [maker.match() for _ in range(maker.one(1, 1, 2))],
                **action(maker, name),
                **options(maker),
            }
            found.append({"kind": "Route", "metadata": {"name": name}, "spec": spec})
        domains = [domain.replace(":80", f":{port}") for domain in maker.some(DOMAINS, 1, 4)]
        spec = {"domains": domains, "routes": [{"name": name} for name in names]}
        found.append(
            {
                "kind": "VirtualHost",
                "metadata": {"name": host},
                "spec": spec | {"advertisePolicies": [{"name": "here"}]},
            }
        )
    return [{"apiVersion": "isthmus/v1", **each} for each in found]


def action(maker: Maker, name: str) -> dict[str, object]:
    if maker.maybe(0.2):
        return {"redirect": {"path": f"/{name}", "code": maker.one(301, 302, 303, 307, 308)}}
    return {"directResponse": {"status": 200, "body": name}}


def objects(maker: Maker, port: int) -> dict[ObjectKey, Object]:
    parsed = parse_documents(documents(maker, port))
    assert parsed.diagnostics == ()
    return {obj.key: obj.with_system(System(created=index)) for index, obj in enumerate(parsed.objects, 1)}


def options(maker: Maker) -> dict[str, object]:
    """What does not depend on chance."""
    return {key: option for key, option in maker.http_options().items() if key != "fault"}


async def answer(port: int, method: str, target: str, headers: dict[str, str]) -> tuple[int, str]:
    """Status, and the name of the route that answered: the bytes go out as they are."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    lines = [f"{method} {target} HTTP/1.1", *(f"{key}: {value}" for key, value in headers.items())]
    writer.write(("\r\n".join([*lines, "connection: close", "content-length: 0"]) + "\r\n\r\n").encode())
    head = (await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), 60)).decode()
    status, *fields = head.split("\r\n")
    length = next((int(line.split(": ")[1]) for line in fields if line.lower().startswith("content-length: ")), 0)
    body = await reader.readexactly(length)
    writer.close()
    location = next((line.split(": ", 1)[1] for line in fields if line.lower().startswith("location: ")), "")
    return int(status.split(" ")[1]), location.partition("?")[0].rpartition("/")[2] if location else body.decode()


async def until_listening(port: int) -> None:
    async with asyncio.timeout(60):
        while True:
            with contextlib.suppress(ConnectionError):
                await answer(port, "GET", "/", {"host": "none.invalid"})
                return


@pytest.mark.parametrize("seed", range(25))
async def test_explanation_equals_envoys_answer(start_site: StartSite, seed: int) -> None:
    maker = Maker(Random(seed))
    port = free_port()
    node = await start_site("ams")
    for _ in range(5):
        await node.apply(objects(maker, port))
        await until_listening(port)
        for _ in range(40):
            method = maker.one("GET", "GET", "POST", "PUT", "OPTIONS")
            target = maker.one(*PATHS) + (maker.one(*QUERIES) if maker.maybe(0.6) else "")
            headers = {"host": maker.one(*HOSTS).format(port=port)}
            for name in ("x-one", "x-two", "x_one", "x-isthmus-cluster"):
                if maker.maybe(0.05 if "_" in name else 0.3):
                    headers[name] = maker.one(*HEADER_VALUES)
            if maker.maybe(0.4):
                headers["cookie"] = maker.one(*COOKIE_HEADERS)
            if maker.maybe(0.3):
                headers["origin"] = maker.one("https://a.example", "http://a.example", "https://b.example")
            if maker.maybe(0.2):
                headers["access-control-request-method"] = maker.one("GET", "PUT")
            said = explain(f"http://127.0.0.1:{port}{target}", method, headers, node.intent, Health({}, {}))
            status, route = await answer(port, method, target, headers)
            expected = said.trials[-1].route.name if said.trials and said.trials[-1].matched else None
            context = f"{method} {target} {headers}\n{said}"
            assert said.status == status, context
            if expected is not None and not said.outcome.startswith(("Envoy answers 200: CORS", "Envoy answers 403: ")):
                assert route == expected, context
