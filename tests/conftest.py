"""Options of the whole suite, how its property tests run, and certificates for it."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from hypothesis import HealthCheck, settings

from .schedule import WORKERS, Schedule, find_place

# How fast the machine is, or how busy, is no property of the code. A commit has the same examples each time; others
# come with `--hypothesis-profile=explore`.
settings.register_profile("explore", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.register_profile("isthmus", settings.get_profile("explore"), derandomize=True)
settings.load_profile("isthmus")


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--golden-update", action="store_true", help="rewrite the expected files in tests/golden and delete orphans"
    )


def pytest_xdist_auto_num_workers(config: pytest.Config) -> int:
    """Two workers for the whole suite, whatever the machine: tests wait for real processes more than they compute.

    What somebody chose runs in this process, one after the other, where a debugger reaches it.
    """
    option = config.option
    chosen = (
        config.args_source is not pytest.Config.ArgsSource.TESTPATHS or option.keyword or getattr(option, "lf", False)
    )
    return 0 if chosen else WORKERS


def pytest_xdist_make_scheduler(config: pytest.Config, log: object) -> Schedule:
    return Schedule(config, log)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    items.sort(key=lambda item: find_place(item.nodeid))


def pytest_terminal_summary(terminalreporter: Any) -> None:
    """What tests measured."""
    lines = [
        f"{report.nodeid.rpartition('::')[2]:45} {value}"
        for outcome in ("passed", "failed")
        for report in terminalreporter.getreports(outcome)
        if report.when == "call"
        for name, value in report.user_properties
        if name == "measured"
    ]
    if lines:
        terminalreporter.section("measured")
        for line in lines:
            terminalreporter.write_line(line)


@dataclass(frozen=True)
class Issued:
    """A certificate, those that issued it, and its private key."""

    certificate: x509.Certificate
    key: Any
    issuers: tuple[x509.Certificate, ...] = ()

    @property
    def chain(self) -> str:
        """PEM of the certificate and its issuers but the root."""
        return "".join(map(pem, (self.certificate, *self.issuers[:-1])))

    @property
    def pem(self) -> str:
        return pem(self.certificate)

    @property
    def private_key(self) -> str:
        return self.key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        ).decode()

    def issue(self, *names: str, authority: bool = False, key: Any = None, days: float = 30, uri: str = "") -> Issued:
        """A certificate of this authority, for DNS names and addresses."""
        return make_certificate(
            *names, issuer=self, authority=authority, key=key, days=days, uri=uri, label=names[0] if names else uri
        )


def pem(certificate: x509.Certificate) -> str:
    return certificate.public_bytes(serialization.Encoding.PEM).decode()


def make_certificate(
    *names: str,
    issuer: Issued | None = None,
    authority: bool = False,
    key: Any = None,
    days: float = 30,
    uri: str = "",
    label: str = "Test authority",
) -> Issued:
    key = key or ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, label)])
    now = datetime.now(UTC)
    builder = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer.certificate.subject if issuer else subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=60))
        .not_valid_after(now + timedelta(days=days))
        .add_extension(x509.BasicConstraints(ca=authority, path_length=None), critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
    )
    general: list[x509.GeneralName] = [_general(name) for name in names]
    general += [x509.UniformResourceIdentifier(uri)] if uri else []
    if general:
        builder = builder.add_extension(x509.SubjectAlternativeName(general), critical=False)
    certificate = builder.sign(issuer.key if issuer else key, hashes.SHA256())
    return Issued(certificate, key, (issuer.certificate, *issuer.issuers) if issuer else ())


def _general(name: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ip_address(name))
    except ValueError:
        return x509.DNSName(name)


@pytest.fixture(scope="session")
def pki() -> Issued:
    """A certificate authority of somebody's; `.issue(name, …)` gives certificates."""
    return make_certificate(authority=True)
