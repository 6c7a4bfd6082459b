"""Bodies by HTTP: OTLP, NDJSON and JSON."""

import httpx

from isthmus.discovery.http import make_client, short, transport_error
from isthmus.discovery.tls import make_context
from isthmus.exporter.delivery import GZIP, BodyRefused, SecretHeaders, Unsent, rejected_items, unspoken
from isthmus.telemetry.setting import HttpSettings

_HOPELESS = frozenset((400, 405, 411, 413, 414, 415, 422, 501))
"""Statuses that say that this body will never be taken. Others may end: a wrong token, a path that is yet to come."""
_TYPES = {"NDJSON": "application/x-ndjson", "JSON": "application/json"}
OTLP_PATHS = {b"L": "/v1/logs", b"M": "/v1/metrics", b"T": "/v1/traces"}
"""First byte of an OTLP body on the spool, and where the rest goes."""


class HttpSender:
    """Posts bodies."""

    def __init__(self, settings: HttpSettings, secrets: SecretHeaders) -> None:
        self._settings = settings
        self._secrets = secrets
        secure = settings.url.startswith("https://")
        context = make_context(settings.trusted_ca.encode()) if secure else None
        self._client = make_client("", context, dict(settings.headers))
        self._host = httpx.URL(settings.url).host

    async def send(self, body: bytes) -> int:
        """See Sender."""
        settings, kind = self._settings, b""
        url = settings.url
        secrets = self._secrets()
        headers = {"content-type": _TYPES.get(settings.form, "application/x-protobuf"), **secrets}
        if settings.form == "OTLP":
            kind, body = body[:1], body[1:]
            url += OTLP_PATHS[kind]
        if body.startswith(GZIP):
            headers["content-encoding"] = "gzip"
        try:
            response = await self._client.post(url, content=body, headers=headers, timeout=settings.timeout / 1000)
        except (httpx.HTTPError, OSError) as error:
            raise Unsent(str(transport_error(self._host, error))) from error
        if response.is_success:
            return rejected_items(response.content) if kind else 0
        told = short(response.text, unspoken(secrets, settings.headers))
        text = f"{self._host} answered {response.status_code}: {told}"
        raise BodyRefused(text) if response.status_code in _HOPELESS else Unsent(text)

    async def close(self) -> None:
        """End connections."""
        await self._client.aclose()
