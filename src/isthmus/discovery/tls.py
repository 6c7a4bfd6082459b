"""TLS towards registries, from certificates and keys in memory."""

import os
import ssl

from isthmus.discovery.error import SettingError


def make_context(trusted_ca: bytes = b"", certificate: bytes = b"", key: bytes = b"") -> ssl.SSLContext:
    """A client's TLS context: verifies the server against `trusted_ca` (the system's when empty), and by name.

    Each is PEM. With `certificate` and `key` the client shows who it is.

    Raises:
        SettingError: one of them is not PEM, or the key does not belong to the certificate.
    """
    # Not create_default_context: from Python 3.13 it refuses CA certificates without key identifiers, as clusters have.
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    try:
        if trusted_ca:
            context.load_verify_locations(cadata=trusted_ca.decode("ascii"))
        else:
            context.load_default_certs()
    except (ssl.SSLError, UnicodeDecodeError, ValueError):
        raise SettingError("the trusted CA is not a certificate in PEM") from None
    if certificate:
        _load(context, certificate + b"\n" + key)
    return context


def _load(context: ssl.SSLContext, chain: bytes) -> None:
    """The ssl module takes keys only from files: this one has no name and never touches a disk."""
    descriptor = os.memfd_create("chain", os.MFD_CLOEXEC)
    try:
        with os.fdopen(os.dup(descriptor), "wb") as file:
            file.write(chain)
        context.load_cert_chain(f"/proc/self/fd/{descriptor}", password=_refuse_password)
    except ssl.SSLError:
        raise SettingError("the client's certificate and key are not PEM, or do not belong together") from None
    finally:
        os.close(descriptor)


def _refuse_password() -> str:
    """Without it, OpenSSL would ask at the terminal."""
    raise SettingError("the client's key is encrypted; store it without a passphrase, the secret protects it")
