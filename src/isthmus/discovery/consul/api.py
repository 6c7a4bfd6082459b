"""Consul's HTTP API as far as discovery needs it."""

import ipaddress
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

import httpx

from isthmus.discovery.error import CredentialError, RegistryError, SettingError
from isthmus.discovery.http import make_client, short, transport_error
from isthmus.discovery.setting import ConsulSettings
from isthmus.discovery.tls import make_context
from isthmus.model.header_text import find_unsendable

_MENDS = {
    400: "check datacenter, namespace and partition",
    401: "check the ACL token",
    403: "check the ACL token and the rights of its policies",
    404: "check the URL, and whether this Consul knows namespaces and partitions",
}

Parameters = Sequence[tuple[str, str]]


class ApiError(RegistryError):
    """Consul said no.

    Attributes:
        status: the HTTP status.
    """

    def __init__(self, message: str, status: int, retry_after: float = 0.0) -> None:
        super().__init__(message, retry_after)
        self.status = status


@dataclass(frozen=True, slots=True)
class Reading:
    """An answer. `index` is its X-Consul-Index, 0 when it has none; `filtered`: ACLs have hidden a part of it."""

    content: Any
    index: int
    filtered: bool


class Api:
    """One Consul agent, with one token.

    Raises SettingError when the settings or secrets cannot work.
    """

    def __init__(self, settings: ConsulSettings, token: str = "", client_key: str = "") -> None:
        parts = urlsplit(settings.url)
        if parts.scheme not in ("http", "https") or not parts.hostname or "@" in parts.netloc:
            raise SettingError("the URL must be http:// or https://, without a user")
        if parts.scheme == "http" and token and not _is_local(parts.hostname):
            raise SettingError("the ACL token could be read on its way over plain http://; use https://")
        if bool(settings.client_certificate) != bool(client_key):
            raise SettingError("set both the client's certificate and its key, or neither")
        context = None
        if parts.scheme == "https":
            certificate, key = settings.client_certificate.encode(), client_key.encode()
            context = make_context(settings.trusted_ca.encode(), certificate, key)
        self.host = parts.netloc
        self._secret = token.strip()
        place = find_unsendable(self._secret)
        if place is not None:
            raise CredentialError(f"no header of HTTP can hold character {place} of the ACL token; give it as issued")
        headers = {"x-consul-token": self._secret} if self._secret else {}
        self._client = make_client(settings.url.rstrip("/"), context, headers)

    async def close(self) -> None:
        """End all connections."""
        await self._client.aclose()

    async def get(self, path: str, parameters: Parameters = (), seconds: float = 30.0) -> Reading:
        """Read; `seconds` is the longest that the agent may be silent.

        Raises:
            ApiError: Consul refused.
            RegistryError: it could not be asked, or its answer is not JSON.
        """
        response = await self._send("GET", path, parameters, None, seconds)
        try:
            content = json.loads(response.content)
        except ValueError:
            raise RegistryError(f"{self.host} answers with something that is not JSON; check its URL") from None
        index = response.headers.get("x-consul-index", "")
        filtered = response.headers.get("x-consul-results-filtered-by-acls", "") == "true"
        return Reading(content, int(index) if index.isdigit() else 0, filtered)

    async def put(self, path: str, parameters: Parameters = (), body: Mapping[str, Any] | None = None) -> None:
        """Write. Raises as `get`."""
        await self._send("PUT", path, parameters, body, 30.0)

    async def _send(
        self, method: str, path: str, parameters: Parameters, body: Mapping[str, Any] | None, seconds: float
    ) -> httpx.Response:
        timeout = httpx.Timeout(15, read=seconds)
        try:
            response = await self._client.request(method, path, params=list(parameters), json=body, timeout=timeout)
        except httpx.HTTPError as error:
            raise transport_error(self.host, error) from None
        if not response.is_success:
            raise self._refused(response, f"{method} {path}")
        return response

    def _refused(self, response: httpx.Response, what: str) -> ApiError:
        status = response.status_code
        text = f"{self.host} answers {status} to {what}"
        if response.text.strip():
            text += f": {short(response.text, (self._secret,))}"
        if status in _MENDS:
            text += f"; {_MENDS[status]}"
        after = response.headers.get("retry-after", "")
        return ApiError(text, status, min(float(after), 300.0) if after.isdigit() else 0.0)


def _is_local(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
