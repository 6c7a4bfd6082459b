"""Joining: a token and a signing request become a credential.

1. Connect to a console of the token and take the chain that its server shows.
2. Find the authority in it whose SHA-256 the token pins; no such authority, no console of ours.
3. Connect again, trusting that authority alone, and refuse a server whose certificate is not the console's own
   (a site's certificate is by the same authority).
4. Post the secret and the signing request on that connection, verify the answer, keep it on disk.

The standard library's client is used in a thread, since the check of step 3 has to be on the connection that carries
the secret, before it is sent.
"""

import asyncio
import http.client
import json
import ssl
from base64 import b64encode
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from hashlib import sha256
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from isthmus.identity.certificate import parse_leaf_der, verify_leaf
from isthmus.identity.credential import Credential, CredentialDirectory, TrustList
from isthmus.identity.error import CertificateRefused, CredentialMissing, JoinRefused, JoinUnreachable
from isthmus.identity.file import write_file
from isthmus.identity.key import make_csr, same_key
from isthmus.identity.name import Identity, Role
from isthmus.identity.signature import parse_signing_keys
from isthmus.identity.token import JoinToken

_TIMEOUT_SECONDS = 15.0
_ANSWER_LIMIT = 4 << 20


@dataclass(frozen=True, slots=True)
class RegionAddress:
    """Where a region listens: `port` for the stream, `bgp_port` for the BGP tunnel."""

    name: str
    address: str
    port: int
    bgp_port: int


@dataclass(frozen=True, slots=True)
class Membership:
    """What a process knew when it joined: enough to reach the plane above before it holds a manifest.

    `own` is the document of its own Site or Region object; `console` is (address, port) of the console's stream.
    """

    subject: str
    trust_domain: str
    own: Mapping[str, Any]
    regions: tuple[RegionAddress, ...]
    console: tuple[str, int]


async def join(token: JoinToken, directory: Path, now: datetime | None = None) -> Membership:
    """Joins with the first console of the token that answers, and keeps credential and membership in `directory`.

    Raises JoinUnreachable when none answers, JoinRefused when one says no, CertificateRefused for a server that is
    not the console of the token or an answer that does not belong to this request.
    """
    credentials = CredentialDirectory(directory)
    key = credentials.pending_key()
    request = {
        "token_secret": token.secret,
        "role": str(token.role),
        "tenant": token.tenant,
        "name": token.name,
        "csr_pem": make_csr(key).decode(),
    }
    if token.role is Role.SITE:
        request["sealing_key"] = b64encode(credentials.offered_sealing_key().public).decode()
    body = json.dumps(request).encode()
    answer = await asyncio.to_thread(_post_first, token, body)
    try:
        membership = parse_membership(answer)
        keys = answer["signing_keys"]
        trust = TrustList(
            version=int(answer.get("trust_version", 0)),
            bundle_pem=str(answer["bundle_pem"]).encode(),
            signing_keys=tuple(str(each).encode() for each in ([keys] if isinstance(keys, str) else keys)),
        )
        chain_pem = str(answer["chain_pem"]).encode()
    except (KeyError, TypeError, ValueError) as error:
        raise JoinRefused("bad_answer", f"The console's answer cannot be read: {error!r}.") from error
    leaf = verify_leaf(chain_pem, trust.bundle_pem, now or datetime.now(UTC))
    expected = Identity(membership.trust_domain, token.role, token.tenant, token.name, leaf.identity.node)
    if leaf.identity != expected or not same_key(leaf.public_key, key.public_key()):
        raise CertificateRefused(f"The console's certificate is {leaf.identity.uri}'s, expected {expected.uri}'s.")
    parse_signing_keys(trust.signing_keys)
    write_file(directory / "membership.json", json.dumps(answer, sort_keys=True).encode())
    if answer.get("sealing"):
        credentials.confirm_sealing_key()
    credentials.save(Credential(key, chain_pem, trust))
    credentials.forget_pending_key()
    return membership


def load_membership(directory: Path) -> Membership:
    """What `join` kept. Raises CredentialMissing before the process has joined."""
    try:
        document = json.loads((directory / "membership.json").read_bytes())
    except FileNotFoundError:
        raise CredentialMissing(f"{directory} holds no membership: start once with a join token.") from None
    return parse_membership(document)


def parse_membership(document: Mapping[str, Any]) -> Membership:
    """The membership in the answer to a join. Raises KeyError, TypeError or ValueError for another document."""
    return Membership(
        subject=str(document["subject"]),
        trust_domain=str(document["trust_domain"]),
        own=dict(document["object"]),
        regions=tuple(
            RegionAddress(str(each["name"]), str(each["address"]), int(each["port"]), int(each["bgp_port"]))
            for each in document["regions"]
        ),
        console=(str(document["console"]["address"]), int(document["console"]["port"])),
    )


def _post_first(token: JoinToken, body: bytes) -> Mapping[str, Any]:
    failures = []
    for url in token.urls:
        try:
            return _post(url, token.ca_sha256, body)
        except (OSError, http.client.HTTPException) as error:
            failures.append(f"{url}: {error}")
    raise JoinUnreachable("No console of the join token answers: " + "; ".join(failures) + ".")


def _post(url: str, ca_sha256: str, body: bytes) -> Mapping[str, Any]:
    parts = urlsplit(url)
    host, port = parts.hostname or "", parts.port or 443
    if parts.scheme != "https" or not host:
        raise CertificateRefused(f"{url} is not an https address.")
    connection = http.client.HTTPSConnection(
        host, port, timeout=_TIMEOUT_SECONDS, context=_pinned_context(host, port, ca_sha256)
    )
    try:
        connection.connect()
        _require_console(connection.sock, url)
        path = parts.path.rstrip("/") + "/api/v1/join"
        connection.request("POST", path, body, {"Content-Type": "application/json", "Accept": "application/json"})
        response = connection.getresponse()
        status, text = response.status, response.read(_ANSWER_LIMIT)
    finally:
        connection.close()
    return _parse_answer(status, text)


def _parse_answer(status: int, text: bytes) -> Mapping[str, Any]:
    try:
        document = json.loads(text)
    except ValueError:
        document = None
    if not isinstance(document, dict):
        raise JoinRefused("bad_answer", f"The console answered {status} with something that is not a JSON object.")
    if status >= 300:
        error = document.get("error")
        error = error if isinstance(error, dict) else {}
        raise JoinRefused(str(error.get("code", f"http_{status}")), str(error.get("message", f"HTTP {status}.")))
    return document


def _pinned_context(host: str, port: int, ca_sha256: str) -> ssl.SSLContext:
    """A context that trusts the one authority of the server's chain that the pin names."""
    loose = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    loose.check_hostname = False
    loose.verify_mode = ssl.CERT_NONE  # nothing is sent on this connection; the pin is checked below
    connection = http.client.HTTPSConnection(host, port, timeout=_TIMEOUT_SECONDS, context=loose)
    try:
        connection.connect()
        chain = _chain_of(connection.sock)
    finally:
        connection.close()
    pinned = [der for der in chain if sha256(der).hexdigest() == ca_sha256.lower()]
    if not pinned:
        raise CertificateRefused(
            f"The server at {host}:{port} is not of the deployment that made the join token: "
            "its certificate chain does not hold the pinned authority."
        )
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.check_hostname = False  # the name is checked as SPIFFE ID: the console may be reached by any address
    context.load_verify_locations(cadata=ssl.DER_cert_to_PEM_cert(pinned[0]))
    return context


def _chain_of(connection: Any) -> list[bytes]:
    """The DER certificates that the server sent. Public from Python 3.13 on; before, the same method one level down."""
    if hasattr(connection, "get_unverified_chain"):
        return [bytes(der) for der in connection.get_unverified_chain()]
    chain = connection._sslobj.get_unverified_chain() or []
    return [ssl.PEM_cert_to_DER_cert(each.public_bytes()) for each in chain]


def _require_console(connection: Any, url: str) -> None:
    der = connection.getpeercert(binary_form=True)
    if der is None:
        raise CertificateRefused(f"The server at {url} showed no certificate.")
    identity = parse_leaf_der(der).identity
    if identity.role is not Role.CONSOLE:
        raise CertificateRefused(f"The server at {url} is {identity.uri}, not the console.")
