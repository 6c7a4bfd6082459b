"""What a virtual host shows to clients who connect by TLS, and for how long it still may."""

from dataclasses import dataclass
from datetime import datetime, timedelta

from isthmus.console.api.context import ApiContext
from isthmus.model.certificate import Certificate
from isthmus.model.key import ObjectKey
from isthmus.model.object import Object
from isthmus.model.pem import certificate_expiry, parse_pem_certificates

SOON = timedelta(days=14)
"""Time before the end in which a certificate needs attention; of one that lives shortly, the last quarter."""


@dataclass(frozen=True, slots=True)
class CertificateLine:
    """A certificate of a virtual host.

    Attributes:
        names: what it is for; empty when only the sites know.
        until: when the first of its chain ends; None when only the sites know, or it is yet to be issued.
        level, text: how it is: good, warn, bad or idle, and in words.
        source: where it comes from.
    """

    key: ObjectKey
    names: tuple[str, ...] = ()
    until: datetime | None = None
    level: str = "bad"
    text: str = "does not exist"
    source: str = ""


def certificate_lines(context: ApiContext, host: Object, now: datetime) -> list[CertificateLine]:
    """The certificates that a virtual host names, in its order."""
    keys = dict.fromkeys(use.target for use in host.uses() if use.target.kind == "Certificate")
    lines = []
    for key in keys:
        record = context.deployment.records.get(key)
        known = record is not None and isinstance(record.object, Certificate)
        lines.append(certificate_line(record.object, now) if record is not None and known else CertificateLine(key))
    return lines


def certificate_line(certificate: Object, now: datetime) -> CertificateLine:
    """One of them."""
    assert isinstance(certificate, Certificate)
    source = "by ACME" if certificate.spec.acme is not None else "as given"
    names = certificate.names or ()
    if certificate.spec.chain_file is not None:
        return CertificateLine(certificate.key, names, None, "idle", "read at the sites", certificate.spec.chain_file)
    if certificate.chain is None:
        return CertificateLine(certificate.key, names, None, "warn", "yet to be issued", source)
    until = certificate_expiry(certificate.chain)
    leaf = parse_pem_certificates(certificate.chain)[0]
    soon = min(SOON, (leaf.not_valid_after_utc - leaf.not_valid_before_utc) / 4)
    level, text = "good", "valid"
    if until <= now:
        level, text = "bad", "has expired"
    elif until - now < soon:
        level, text = "warn", "ends soon"
    return CertificateLine(certificate.key, names, until, level, text, source)
