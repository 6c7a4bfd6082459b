"""The Kubernetes API as far as discovery needs it: read pages and streams of JSON, write objects.

The package `kubernetes_asyncio` was not taken: its loader runs programs and reads files that a kubeconfig names, its
watch knows no re-list after 410 Gone, and its models cost 40 MB and half a second.
"""

import json
from collections.abc import AsyncIterator, Mapping
from typing import Any

import httpx

from isthmus.discovery.error import RegistryError
from isthmus.discovery.http import make_client, short, transport_error
from isthmus.discovery.kubernetes.kubeconfig import Access

_LONGEST_LINE = 32 << 20
_MENDS = {
    401: "renew the token or the client certificate in the kubeconfig's secret",
    403: "grant the user of the kubeconfig the rights that the documentation lists",
    404: "check the cluster's version and the server's URL",
}

Json = dict[str, Any]


class ApiError(RegistryError):
    """The API server said no.

    Attributes:
        status: the HTTP status, or the `code` of a Status object.
        reason: of the Status object, such as `AlreadyExists`; empty when there was none.
    """

    def __init__(self, message: str, status: int, reason: str = "", retry_after: float = 0.0) -> None:
        super().__init__(message, retry_after)
        self.status = status
        self.reason = reason


class StreamLost(RegistryError):
    """A watch that had begun ended without its end."""


class Api:
    """One API server, as one user."""

    def __init__(self, access: Access) -> None:
        self.host = access.host
        self._secrets = (access.token, access.password)
        self._extensions = {"sni_hostname": access.server_name} if access.server_name else {}
        headers = {"authorization": f"Bearer {access.token}"} if access.token else {}
        auth = (access.user, access.password) if access.password and not access.token else None
        self._client = make_client(access.server, access.context, headers, auth=auth, proxy=access.proxy)

    async def close(self) -> None:
        """End all connections."""
        await self._client.aclose()

    async def request(
        self, method: str, path: str, parameters: Mapping[str, str] | None = None, body: Json | None = None
    ) -> Json:
        """One request; returns the object, the list or the Status that answers it.

        Raises:
            ApiError: the API server refused.
            RegistryError: it could not be asked, or its answer is not JSON.
        """
        try:
            response = await self._client.request(
                method, path, params=dict(parameters or {}), json=body, extensions=self._extensions
            )
        except httpx.HTTPError as error:
            raise transport_error(self.host, error) from None
        if not response.is_success:
            raise self._refused(response.status_code, response.content, response.headers, f"{method} {path}")
        return self._parse(response.content)

    async def stream(self, path: str, parameters: Mapping[str, str], seconds: float) -> AsyncIterator[Json | None]:
        """The events of a watch, until the API server ends it; first None, once the watch is accepted.

        Raises:
            ApiError: it was refused.
            StreamLost: it was cut, or silent for `seconds`.
            RegistryError: as `request`.
        """
        timeout = httpx.Timeout(15, read=seconds)
        request = self._client.build_request(
            "GET", path, params=dict(parameters), timeout=timeout, extensions={**self._extensions}
        )
        request.extensions["timeout"] = timeout.as_dict()
        begun = False
        try:
            response = await self._client.send(request, stream=True)
            try:
                if not response.is_success:
                    content = await response.aread()
                    raise self._refused(response.status_code, content, response.headers, f"watch of {path}")
                begun = True
                yield None
                async for line in _lines(response):
                    yield self._parse(line)
            finally:
                await response.aclose()
        except httpx.HTTPError as error:
            if begun:
                raise StreamLost(f"{self.host} cut the watch of {path}") from None
            raise transport_error(self.host, error) from None

    def _parse(self, content: bytes) -> Json:
        try:
            parsed = json.loads(content)
        except ValueError:
            raise RegistryError(
                f"{self.host} answers with something that is not JSON; check the server's URL"
            ) from None
        if not isinstance(parsed, dict):
            raise RegistryError(f"{self.host} answers with something that is no object; check the server's URL")
        return parsed

    def _refused(self, status: int, content: bytes, headers: httpx.Headers, what: str) -> ApiError:
        try:
            parsed = json.loads(content)
        except ValueError:
            parsed = None
        said = parsed if isinstance(parsed, dict) and parsed.get("kind") == "Status" else {}
        return self.refusal({"code": status, **said}, what, _seconds(headers.get("retry-after", "")))

    def refusal(self, status: Mapping[str, Any], what: str, retry_after: float = 0.0) -> ApiError:
        """The error that a Status object (or an ERROR event of a watch) speaks of."""
        code = status.get("code")
        code = code if isinstance(code, int) else 500
        reason, message = str(status.get("reason") or ""), str(status.get("message") or "")
        details = status.get("details")
        if isinstance(details, Mapping) and isinstance(details.get("retryAfterSeconds"), int):
            retry_after = max(retry_after, float(details["retryAfterSeconds"]))
        text = f"{self.host} answers {code}{f' {reason}' if reason else ''} to {what}"
        if message:
            text += f": {short(message, self._secrets)}"
        if code in _MENDS:
            text += f"; {_MENDS[code]}"
        return ApiError(text, code, reason, min(retry_after, 300.0))


async def _lines(response: httpx.Response) -> AsyncIterator[bytes]:
    rest = b""
    async for chunk in response.aiter_bytes():
        *lines, rest = (rest + chunk).split(b"\n")
        for line in lines:
            if line.strip():
                yield line
        if len(rest) > _LONGEST_LINE:
            raise RegistryError("an event of a watch is larger than any object can be")
    if rest.strip():
        yield rest


def _seconds(text: str) -> float:
    return float(text) if text.isdigit() else 0.0
