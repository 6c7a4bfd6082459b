"""TLS of clients: of two sets of parameters, which holds, and what it names."""

from dataclasses import dataclass, replace

from isthmus.compile.intent import DownstreamTls, TlsParameters, UpstreamTls
from isthmus.compile.memo import Memo
from isthmus.compile.source import find, foreign
from isthmus.model import (
    AdvertisePolicy,
    Certificate,
    Cluster,
    Diagnostic,
    Object,
    ObjectKey,
    TrustedAuthority,
    VirtualHost,
)
from isthmus.model.tls import DownstreamTls as DownstreamTlsSpec
from isthmus.model.tls import Parameters
from isthmus.model.tls import UpstreamTls as UpstreamTlsSpec


@dataclass(frozen=True, slots=True)
class CompiledTls:
    """How a virtual host terminates TLS; None when it cannot, and why."""

    tls: DownstreamTls | None
    diagnostics: tuple[Diagnostic, ...]


def compile_downstream_tls(memo: Memo, question: tuple[ObjectKey, ObjectKey]) -> CompiledTls:
    """How TLS is terminated for a virtual host on the sockets of an advertise policy: as the policy says, else as the
    virtual host says. Without any of the objects that this names, TLS is not terminated at all: clients are to be
    refused rather than served less securely than was asked for."""
    host_key, policy_key = question
    policy, host = find(memo, AdvertisePolicy, policy_key), find(memo, VirtualHost, host_key)
    found = [(obj, obj.spec.tls) for obj in (policy, host) if obj is not None and obj.spec.tls is not None]
    if not found:
        message = "neither the virtual host nor its advertise policy says how TLS is terminated"
        diagnostic = Diagnostic("missing-tls", host_key, "spec.tls", message, "set spec.tls, with a certificate")
        return CompiledTls(None, (diagnostic,))
    owner, spec = found[0]
    missing = _missing(memo, owner, spec, "TLS is not served")
    if missing:
        return CompiledTls(None, missing)
    tls = _tls(owner, spec)
    issued = tuple(key for key in tls.certificates if not memo.ask(_is_pending, key))
    pending = tuple(
        Diagnostic(
            "certificate-pending",
            key,
            "spec.acme",
            "it is yet to be issued; clients get no connection with it",
            "wait; `isthmus get` says under status.acme what the ACME server said",
        )
        for key in tls.certificates
        if key not in issued
    )
    return CompiledTls(replace(tls, certificates=issued) if issued else None, pending)


def _is_pending(memo: Memo, key: ObjectKey) -> bool:
    certificate = find(memo, Certificate, key)
    return certificate is not None and certificate.pending


def compile_certificates(memo: Memo, question: tuple[ObjectKey, ObjectKey]) -> tuple[ObjectKey, ...]:
    """The certificates that a virtual host names, or the advertise policy in its place, issued or not."""
    host_key, policy_key = question
    policy, host = find(memo, AdvertisePolicy, policy_key), find(memo, VirtualHost, host_key)
    owner = next((obj for obj in (policy, host) if obj is not None and obj.spec.tls is not None), None)
    if owner is None or owner.spec.tls is None:
        return ()
    uses = owner.spec.tls.uses(owner.key.tenant, owner.key.namespace, "spec.tls")
    return tuple(use.target for use in uses if use.target.kind == "Certificate" and not foreign(use.target, owner.key))


def compile_upstream_tls(memo: Memo, cluster: Cluster) -> tuple[UpstreamTls | None, tuple[Diagnostic, ...]]:
    """TLS towards a cluster's endpoints, and what it names that does not exist: the endpoints are then not used, rather
    than less securely than was asked for."""
    spec = cluster.spec.tls
    if spec is None:
        return None, ()
    uses = {use.target.kind: use.target for use in spec.uses(cluster.key.tenant, cluster.key.namespace, "spec.tls")}
    names = spec.subject_names or ((spec.sni,) if spec.sni is not None else ())
    missing = _missing(memo, cluster, spec, "its endpoints are not used")
    if missing:
        return None, missing
    tls = UpstreamTls(
        parameters=parameters(spec),
        sni=spec.sni,
        names=names if spec.verify else (),
        trusted=uses.get("TrustedAuthority"),
        certificate=uses.get("Certificate"),
    )
    return tls, ()


def _missing(
    memo: Memo, owner: Object, spec: DownstreamTlsSpec | UpstreamTlsSpec, effect: str
) -> tuple[Diagnostic, ...]:
    return tuple(
        Diagnostic(
            "dangling-reference",
            owner.key,
            use.field,
            f"{use.target.title} does not exist; {effect}",
            "create it, or correct the name",
        )
        for use in spec.uses(owner.key.tenant, owner.key.namespace, "spec.tls")
        if foreign(use.target, owner.key) or not isinstance(memo.read(use.target), Certificate | TrustedAuthority)
    )


def _tls(owner: Object, spec: DownstreamTlsSpec) -> DownstreamTls:
    uses = list(spec.uses(owner.key.tenant, owner.key.namespace, "spec.tls"))
    clients = spec.client_certificates
    return DownstreamTls(
        certificates=tuple(use.target for use in uses if use.target.kind == "Certificate"),
        parameters=parameters(spec),
        trusted=next((use.target for use in uses if use.target.kind == "TrustedAuthority"), None),
        required=clients is not None and clients.mode == "required",
        http3=spec.http3,
    )


def parameters(spec: Parameters) -> TlsParameters:
    """Versions and suites."""
    return TlsParameters(spec.min_version, spec.max_version, spec.cipher_suites)
