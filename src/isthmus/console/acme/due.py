"""When a certificate is asked for, and when again. Pure."""

from collections.abc import Callable
from datetime import datetime, timedelta

from cryptography.hazmat.primitives.asymmetric import rsa

from isthmus.model.certificate import Certificate
from isthmus.model.pem import certificate_expiry, certificate_names, parse_pem_certificates
from isthmus.model.value import milliseconds

_FIRST_WAIT = timedelta(minutes=3)
_LONGEST_WAIT = timedelta(hours=6)
_LONGEST_ASKED = timedelta(days=7)
"""A server's wish to be left alone is granted up to here."""
_JITTER = 0.2


def renewal_time(certificate: Certificate) -> datetime | None:
    """When a certificate that was issued is to be renewed; None before the first.

    It is never before half of its lifetime: with short lifetimes, `renewBefore` would have it renewed all the time.
    """
    if certificate.chain is None or certificate.spec.acme is None:
        return None
    start = parse_pem_certificates(certificate.chain)[0].not_valid_before_utc
    expiry = certificate_expiry(certificate.chain)
    lifetime = expiry - start
    said = certificate.spec.acme.renew_before
    before = timedelta(milliseconds=milliseconds(said)) if said is not None else lifetime / 3
    return max(expiry - before, start + lifetime / 2)


def why_due(certificate: Certificate, now: datetime) -> str | None:
    """Why a certificate is to be asked for now; None when it is not."""
    spec, chain, state = certificate.spec.acme, certificate.chain, certificate.system.acme
    if spec is None:
        return None
    if chain is None or state is None:
        return "it is yet to be issued"
    if not set(spec.domains) <= set(certificate_names(chain)):  # a server may add names of its own
        return "it is not for all declared names"
    if state.directory and state.directory != spec.directory:
        return "it is from another ACME server"
    if isinstance(parse_pem_certificates(chain)[0].public_key(), rsa.RSAPublicKey) != (spec.key_type == "RSA_2048"):
        return "it has another kind of key"
    renewal = renewal_time(certificate)
    return "its renewal is due" if renewal is not None and renewal <= now else None


def next_attempt(failures: int, now: datetime, asked: timedelta | None, chance: Callable[[], float]) -> datetime:
    """When to try again after so many failures in a row.

    Three minutes, doubled each time up to six hours, with up to a fifth more, so that not all come at once. So at most
    five fall into the first hour, which is what public servers allow for a name.

    Args:
        failures: at least 1.
        now: of the last failure.
        asked: for how long the server wants to be left alone.
        chance: a number from 0 to 1.
    """
    doubled: int = 2 ** min(failures - 1, 20)
    wait = min(_FIRST_WAIT * doubled, _LONGEST_WAIT)
    wait = max(wait, min(asked or timedelta(0), _LONGEST_ASKED))
    return now + timedelta(seconds=wait.total_seconds() * (1 + _JITTER * chance()))
