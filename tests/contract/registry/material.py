"""What the tests of registries share: certificates, kubeconfigs, objects of Kubernetes, an ear for answers."""

from __future__ import annotations

import asyncio
import base64
import ipaddress
import ssl
import tempfile
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from random import Random
from typing import Any

import yaml
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from isthmus.discovery.found import Answer, Found
from isthmus.discovery.query import Query
from isthmus.discovery.record import VipRecord

from .kubernetes_request import Rule

Object = dict[str, Any]
RIGHTS = Path(__file__).parents[3] / "docs/examples/kubernetes-rbac.yaml"


class Hasty(Random):
    """Pauses are the shortest that the code may make, so that tests need not wait."""

    def uniform(self, a: float, b: float) -> float:
        return min(a, 0.02)


class Ear:
    """Hears answers, and waits for one that is right."""

    def __init__(self) -> None:
        self.answers: dict[Query, list[Answer]] = {}
        self._heard = asyncio.Event()

    def __call__(self, query: Query, answer: Answer) -> None:
        self.answers.setdefault(query, []).append(answer)
        self._heard.set()

    async def until(self, query: Query, right: Callable[[Answer], bool], seconds: float = 60.0) -> Answer:
        """The last answer, as soon as it is right."""
        try:
            async with asyncio.timeout(seconds):
                while True:
                    heard = self.answers.get(query, [])
                    if heard and right(heard[-1]):
                        return heard[-1]
                    self._heard.clear()
                    await self._heard.wait()
        except TimeoutError:
            raise AssertionError(f"not heard of {query}; last: {self.answers.get(query, [])[-3:]}") from None

    async def addresses(self, query: Query, *wanted: str) -> Answer:
        """Wait until the healthy servers are these, as `address:port`."""
        return await self.until(query, lambda answer: healthy(answer) == set(wanted))

    async def error(self, query: Query, text: str) -> Answer:
        """Wait for an error that leaves the last good answer in use."""
        return await self.until(query, lambda answer: answer.found is None and text in answer.error)


class Told:
    """Hears what became of records."""

    def __init__(self) -> None:
        self.results: dict[VipRecord, str] = {}

    def __call__(self, record: VipRecord, error: str) -> None:
        self.results[record] = error

    async def until(self, record: VipRecord, text: str) -> None:
        """Wait for an error with that text, or with "" for success."""
        try:
            await until(lambda: record in self.results and self._is(self.results[record], text))
        except TimeoutError:
            raise AssertionError(f"{text!r} not heard of {record}; but {self.results}") from None

    @staticmethod
    def _is(said: str, text: str) -> bool:
        return text in said if text else not said


def healthy(answer: Answer) -> set[str]:
    return {f"{each.address}:{each.port}" for each in answer.found or () if each.healthy}


def by_address(answer: Answer) -> dict[str, Found]:
    assert answer.found is not None
    return {each.address: each for each in answer.found}


async def until(true: Callable[[], bool], seconds: float = 60.0) -> None:
    """Look until something holds that nobody announces."""
    async with asyncio.timeout(seconds):
        while not true():  # noqa: ASYNC110 - see above
            await asyncio.sleep(0.01)


class Certificates:
    """A CA, and what it issues."""

    def __init__(self) -> None:
        self._key = ec.generate_private_key(ec.SECP256R1())
        self._name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "registry CA")])
        self.ca = _pem(_build(self._name, self._name, self._key.public_key(), self._key, ca=True))

    def issue(self, name: str, *hosts: str) -> tuple[bytes, bytes]:
        """Certificate and key, in PEM."""
        key = ec.generate_private_key(ec.SECP256R1())
        subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
        certificate = _build(subject, self._name, key.public_key(), self._key, hosts=hosts)
        private = key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
        return _pem(certificate), private

    def server_context(self, *hosts: str) -> ssl.SSLContext:
        """Of a server for these names and addresses, which asks for clients' certificates."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        certificate, key = self.issue("server", *(hosts or ("127.0.0.1",)))
        with tempfile.TemporaryDirectory() as directory:
            chain = Path(directory, "chain.pem")
            chain.write_bytes(certificate + key)
            context.load_cert_chain(chain)
        context.load_verify_locations(cadata=self.ca.decode())
        context.verify_mode = ssl.CERT_OPTIONAL
        return context


def _build(subject: Any, issuer: Any, public: Any, key: Any, *, ca: bool = False, hosts: tuple[str, ...] = ()) -> Any:
    now = datetime.now(UTC)
    builder = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(public)
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(minutes=5))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.BasicConstraints(ca=ca, path_length=None), critical=True)
    )
    if hosts:
        builder = builder.add_extension(x509.SubjectAlternativeName([_alternative(host) for host in hosts]), False)
    return builder.sign(key, hashes.SHA256())


def _alternative(host: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(host))
    except ValueError:
        return x509.DNSName(host)


def _pem(certificate: x509.Certificate) -> bytes:
    return certificate.public_bytes(serialization.Encoding.PEM)


def kubeconfig(
    server: str, ca: bytes = b"", token: str = "", client: tuple[bytes, bytes] | None = None, **more: Any
) -> str:
    """A kubeconfig with one context."""
    cluster: Object = {"server": server, **more}
    user: Object = {}
    if ca:
        cluster["certificate-authority-data"] = base64.b64encode(ca).decode()
    if token:
        user["token"] = token
    if client is not None:
        user["client-certificate-data"] = base64.b64encode(client[0]).decode()
        user["client-key-data"] = base64.b64encode(client[1]).decode()
    return yaml.safe_dump(
        {
            "apiVersion": "v1",
            "kind": "Config",
            "clusters": [{"name": "one", "cluster": cluster}],
            "users": [{"name": "site", "user": user}],
            "contexts": [{"name": "one", "context": {"cluster": "one", "user": "site"}}],
            "current-context": "one",
        }
    )


def documented_rights(role: str, namespace: str = "") -> tuple[Rule, ...]:
    """What a role of the documentation allows, in a namespace or, bound for the whole cluster, everywhere."""
    documents = yaml.safe_load_all(RIGHTS.read_text())
    rules = next(each["rules"] for each in documents if each["metadata"]["name"] == role and "rules" in each)
    return tuple(Rule(frozenset(rule["verbs"]), frozenset(rule["resources"]), namespace) for rule in rules)


def namespace(name: str) -> Object:
    return {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}}


def service(name: str, *ports: Object, labels: dict[str, str] | None = None, **spec: Any) -> Object:
    """A Service in the namespace `shop`."""
    return {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": name, "namespace": "shop", "labels": labels or {}},
        "spec": {"ports": list(ports or ({"port": 80, "targetPort": 8080},)), "selector": {"app": name}, **spec},
    }


def endpoint(address: str, *, ready: bool = True, pod: str = "", **more: Any) -> Object:
    """One endpoint of a slice."""
    item = {"addresses": [address], "conditions": {"ready": ready, "serving": ready, "terminating": False}, **more}
    if pod:
        item["targetRef"] = {"kind": "Pod", "namespace": "shop", "name": pod}
    return item


def endpoint_slice(
    name: str, of: str, *endpoints: Object, ports: Any = ({"name": "", "port": 8080},), family: str = "IPv4"
) -> Object:
    """An EndpointSlice of a Service in the namespace `shop`."""
    return {
        "apiVersion": "discovery.k8s.io/v1",
        "kind": "EndpointSlice",
        "metadata": {"name": name, "namespace": "shop", "labels": {"kubernetes.io/service-name": of}},
        "addressType": family,
        "endpoints": list(endpoints),
        "ports": [dict(each) for each in ports],
    }


def node(name: str, *addresses: str, ready: bool = True, labels: dict[str, str] | None = None) -> Object:
    """A node; its addresses are internal ones."""
    return {
        "apiVersion": "v1",
        "kind": "Node",
        "metadata": {"name": name, "labels": labels or {}},
        "status": {
            "conditions": [{"type": "Ready", "status": "True" if ready else "False"}],
            "addresses": [{"type": "Hostname", "address": name}]
            + [{"type": "InternalIP", "address": each} for each in addresses],
        },
    }


def pod(name: str, **labels: str) -> Object:
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": name, "namespace": "shop", "labels": labels},
        "spec": {"containers": [{"name": "app", "image": "app:1"}]},
    }
