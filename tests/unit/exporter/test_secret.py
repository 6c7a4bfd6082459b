"""What of a process's secrets stays out of what is shown and told."""

from __future__ import annotations

from typing import Any

import grpc
import httpx
import pytest

from isthmus.exporter.delivery import Unsent, unspoken
from isthmus.exporter.export import Exporter
from isthmus.exporter.grpc_sender import METHODS, GrpcSender
from isthmus.exporter.http_sender import HttpSender
from isthmus.exporter.setting import OtlpSettings
from isthmus.telemetry.otlp import process_resource
from isthmus.telemetry.setting import HttpSettings

SECRETS = {"authorization": "Bearer t0ken", "x-key": "k3y"}
STATIC = (("x-team", "st4tic"), ("x-org", "1"))
ECHO = "invalid token t0ken (Bearer t0ken), key k3y, team st4tic, 1 of 1"
SHOWN = "invalid token *** (***), key ***, team ***, 1 of 1"


async def test_an_answer_over_http_that_repeats_secrets_is_told_without(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[httpx.Request] = []

    def answer(request: httpx.Request) -> httpx.Response:
        seen.append(request)
        return httpx.Response(401, text=ECHO)

    def client(_url: str, _context: Any, headers: dict[str, str]) -> httpx.AsyncClient:
        return httpx.AsyncClient(transport=httpx.MockTransport(answer), headers=headers)

    monkeypatch.setattr("isthmus.exporter.http_sender.make_client", client)
    sender = HttpSender(HttpSettings("http://c.example", "OTLP", headers=STATIC), lambda: SECRETS)
    with pytest.raises(Unsent) as raised:
        await sender.send(b"Lbody")
    await sender.close()
    assert str(raised.value) == f"c.example answered 401: {SHOWN}"
    sent = {name: seen[0].headers[name] for name in ("authorization", "x-key", "x-team", "content-type")}
    assert sent == {**SECRETS, "x-team": "st4tic", "content-type": "application/x-protobuf"}


async def test_an_answer_over_grpc_that_repeats_secrets_is_told_without() -> None:
    async def fail(*_: Any, **__: Any) -> bytes:
        raise grpc.aio.AioRpcError(
            grpc.StatusCode.UNAUTHENTICATED, grpc.aio.Metadata(), grpc.aio.Metadata(), details=ECHO
        )

    settings = HttpSettings("http://c.example", "OTLP", headers=STATIC, protocol="GRPC")
    sender = GrpcSender(settings, lambda: SECRETS)
    sender._calls = dict.fromkeys(METHODS, fail)
    with pytest.raises(Unsent) as raised:
        await sender.send(b"Lbody")
    await sender.close()
    assert str(raised.value) == f"c.example answered UNAUTHENTICATED: {SHOWN}"


def test_the_longest_is_masked_first() -> None:
    assert unspoken({"a": "Bearer abc", "b": "abcdef", "c": ""}) == ["Bearer abc", "abcdef", "abc"]


@pytest.mark.parametrize(("protocol", "words"), [("HTTP", "OTLP"), ("GRPC", "OTLP over gRPC")])
def test_where_a_process_sends_is_shown_without_the_path(protocol: str, words: str) -> None:
    async def nothing() -> bytes:
        return b""

    http = HttpSettings("https://[2001:db8::1]:4318/ingest/k3y", "OTLP", protocol=protocol)
    exporter = Exporter(OtlpSettings(http), process_resource("console", "one", "1.2.3"), nothing, None)
    assert exporter.target == f"{words} https://[2001:db8::1]:4318"
    assert "k3y" not in str(exporter.status())
