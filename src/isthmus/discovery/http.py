"""HTTP towards registries: connections that notice a dead peer, and errors for people."""

import asyncio
import socket
import ssl
from collections.abc import Collection

import httpx

from isthmus.discovery.error import RegistryError

KEEPALIVE = (
    (socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1),
    (socket.IPPROTO_TCP, socket.TCP_KEEPIDLE, 15),
    (socket.IPPROTO_TCP, socket.TCP_KEEPINTVL, 5),
    (socket.IPPROTO_TCP, socket.TCP_KEEPCNT, 3),
    (socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, 30_000),
)
"""A watch may be silent for minutes: the kernel asks whether the peer is alive, and ends the connection within 30 s."""
_LONGEST_TEXT = 300


def make_client(
    base_url: str,
    context: ssl.SSLContext | None,
    headers: dict[str, str],
    *,
    auth: tuple[str, str] | None = None,
    proxy: str = "",
) -> httpx.AsyncClient:
    """A client of one registry. Proxies and credentials of the environment are not used; redirects are not followed."""
    transport = httpx.AsyncHTTPTransport(
        verify=context if context is not None else ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT),
        trust_env=False,
        proxy=httpx.Proxy(proxy) if proxy else None,
        limits=httpx.Limits(max_connections=None, max_keepalive_connections=4, keepalive_expiry=60),
        socket_options=KEEPALIVE,
    )
    return httpx.AsyncClient(
        base_url=base_url,
        transport=transport,
        headers={"user-agent": "isthmus", "accept": "application/json", **headers},
        auth=httpx.BasicAuth(*auth) if auth else None,
        timeout=httpx.Timeout(15, read=30),
        trust_env=False,
    )


def transport_error(host: str, error: httpx.HTTPError | ssl.SSLError | OSError | asyncio.TimeoutError) -> RegistryError:
    """What a failed connection means."""
    if isinstance(error, httpx.LocalProtocolError):  # its text shows what cannot be sent, a token among others
        return RegistryError(f"{host} is not asked: a header or token holds what HTTP cannot carry, as a line break")
    text = str(error)
    if "CERTIFICATE_VERIFY_FAILED" in text:
        reason = text.rpartition("certificate verify failed: ")[2].partition(" (_ssl")[0]
        return RegistryError(f"{host} shows a certificate that is not trusted ({reason}); check the trusted CA")
    if isinstance(error, httpx.TimeoutException | TimeoutError):
        return RegistryError(f"{host} does not answer")
    return RegistryError(f"{host} cannot be reached ({text or type(error).__name__})")


def short(text: str, secrets: Collection[str] = ()) -> str:
    """A text of a registry, fit for a message: one line, bounded, without secrets that it may echo."""
    for secret in secrets:
        if secret:
            text = text.replace(secret, "***")
    line = " ".join(text.split())
    return line if len(line) <= _LONGEST_TEXT else line[: _LONGEST_TEXT - 1] + "…"
