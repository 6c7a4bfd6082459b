"""Which server is the console: one whose certificate is the console's own, by an authority that the caller trusts.

A deployment has its own authority, which also certifies sites and regions. So a server is trusted for the SPIFFE ID
`spiffe://DOMAIN/console/node/N` in its certificate, at whatever address it is reached. Without an authority of its
own (a console behind a proxy with a public certificate) the system's authorities and the host name decide.
"""

import hashlib
import re
import socket
import ssl
from dataclasses import dataclass
from typing import Any

_CONSOLE = re.compile(r"spiffe://[^/]+/console/node/[^/]+")
_PEM = re.compile(r"-----BEGIN CERTIFICATE-----.+?-----END CERTIFICATE-----", re.DOTALL)


class TrustError(ValueError):
    """A bundle or pin that cannot be used, or a server that it does not vouch for. The text is a sentence."""


@dataclass(frozen=True, slots=True)
class Trust:
    """Whom to trust.

    Attributes:
        bundle: PEM certificates of the deployment's authority; empty for the system's authorities.
    """

    bundle: str = ""

    def context(self) -> ssl.SSLContext:
        """The TLS settings of a connection. Raises TrustError for a bundle that cannot be read."""
        if not self.bundle:
            return ssl.create_default_context()
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        context.check_hostname = False  # the SPIFFE ID is the name; see `check`
        try:
            context.load_verify_locations(cadata=self.bundle)
        except (ssl.SSLError, ValueError) as error:
            raise TrustError(f"The CA bundle cannot be read: {error}.") from None
        return context

    def check(self, certificate: Any) -> None:
        """Refuse a verified peer (`SSLSocket.getpeercert()`) that is not the console. Raises TrustError."""
        if not self.bundle:
            return
        names = [value for kind, value in (certificate or {}).get("subjectAltName", ()) if kind == "URI"]
        if not any(_CONSOLE.fullmatch(name) for name in names):
            raise TrustError(f"The server is {', '.join(names) or 'nobody of this deployment'}, not the console.")


def parse_bundle(text: str) -> str:
    """The certificates of a PEM text, without what stands around them. Raises TrustError when there are none."""
    found = _PEM.findall(text)
    if not found:
        raise TrustError("The CA bundle holds no PEM certificate.")
    return "\n".join(found) + "\n"


def fetch_authority(host: str, port: int, pin: str, timeout: float = 10.0) -> str:
    """The authority with the SHA-256 `pin` (hexadecimal), as PEM, out of the chain that a server shows.

    Nothing is sent to the server. Raises TrustError when the chain does not hold it, OSError when none answers.
    """
    loose = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    loose.check_hostname = False
    loose.verify_mode = ssl.CERT_NONE  # the pin is checked below, and only the authority is taken from here
    with socket.create_connection((host, port), timeout) as plain, loose.wrap_socket(plain) as secure:
        chain = _chain(secure)
    wanted = pin.lower().replace(":", "")
    for der in chain:
        if hashlib.sha256(der).hexdigest() == wanted:
            return ssl.DER_cert_to_PEM_cert(der)
    raise TrustError(f"The server at {host}:{port} does not show the pinned authority in its certificate chain.")


def _chain(secure: Any) -> list[bytes]:
    """The DER certificates that the server sent. Public from Python 3.13 on; before, the same method one level down."""
    if hasattr(secure, "get_unverified_chain"):
        return [bytes(der) for der in secure.get_unverified_chain()]
    return [ssl.PEM_cert_to_DER_cert(each.public_bytes()) for each in secure._sslobj.get_unverified_chain() or []]
