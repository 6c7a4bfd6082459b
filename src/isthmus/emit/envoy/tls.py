"""TLS of clients, and mTLS between sites: TLS 1.3 alone, the site's certificate and the trust bundle from secrets."""

import re
from collections.abc import Iterable

from envoy.config.core.v3.base_pb2 import DataSource, TransportSocket
from envoy.extensions.transport_sockets.quic.v3.quic_transport_pb2 import QuicDownstreamTransport
from envoy.extensions.transport_sockets.tls.v3.common_pb2 import (
    CertificateValidationContext,
    SubjectAltNameMatcher,
    TlsCertificate,
    TlsParameters,
)
from envoy.extensions.transport_sockets.tls.v3.secret_pb2 import SdsSecretConfig, Secret
from envoy.extensions.transport_sockets.tls.v3.tls_pb2 import (
    CommonTlsContext,
    DownstreamTlsContext,
    UpstreamTlsContext,
)

from isthmus.compile.intent import DownstreamTls, UpstreamTls
from isthmus.compile.intent import TlsParameters as Parameters
from isthmus.emit.envoy import name
from isthmus.emit.envoy.source import ADS, SECRETS
from isthmus.emit.envoy.wire import pack, serialize
from isthmus.model.key import ObjectKey

_ALPN = {"HTTP1": [], "HTTP2": ["h2"], "AUTO": ["h2", "http/1.1"]}
"""Not `http/1.1` alone: what passes as a stream may speak anything."""
_SYSTEM_AUTHORITIES = "/etc/ssl/certs/ca-certificates.crt"
_ADDRESS = re.compile(r"[0-9.]+|.*:.*")
_VERSIONS = {
    "TLSv1.0": TlsParameters.TLSv1_0,
    "TLSv1.1": TlsParameters.TLSv1_1,
    "TLSv1.2": TlsParameters.TLSv1_2,
    "TLSv1.3": TlsParameters.TLSv1_3,
}


def _common() -> CommonTlsContext:
    return CommonTlsContext(
        tls_params=TlsParameters(
            tls_minimum_protocol_version=TlsParameters.TLSv1_3, tls_maximum_protocol_version=TlsParameters.TLSv1_3
        ),
        tls_certificate_sds_secret_configs=[SdsSecretConfig(name=name.IDENTITY_SECRET, sds_config=ADS)],
        validation_context_sds_secret_config=SdsSecretConfig(name=name.TRUST_SECRET, sds_config=ADS),
        alpn_protocols=["h2"],
    )


def emit_accepting_socket() -> TransportSocket:
    """The fabric listener's end. Any certificate of the deployment connects; each request is then allowed or not."""
    context = DownstreamTlsContext(common_tls_context=_common(), require_client_certificate={"value": True})
    return TransportSocket(name="envoy.transport_sockets.tls", typed_config=pack(context))


def emit_dialling_socket() -> TransportSocket:
    """The calling end. The peer must present the DNS name of the very site that the endpoint stands for."""
    context = UpstreamTlsContext(common_tls_context=_common(), auto_host_sni=True, auto_sni_san_validation=True)
    return TransportSocket(name="envoy.transport_sockets.tls", typed_config=pack(context))


def emit_client_socket(tls: DownstreamTls) -> TransportSocket:
    """The end towards clients."""
    return TransportSocket(name="envoy.transport_sockets.tls", typed_config=pack(_client_context(tls, tls.alpn)))


def emit_quic_socket(tls: DownstreamTls) -> TransportSocket:
    """The end towards clients that speak HTTP/3."""
    config = QuicDownstreamTransport(downstream_tls_context=_client_context(tls, ("h3",)))
    return TransportSocket(name="envoy.transport_sockets.quic", typed_config=pack(config))


def emit_challenge_socket(secrets: Iterable[str], protocol: str) -> TransportSocket:
    """The end towards an ACME server that asks for a handshake. Of the secrets, the one with the name asked for."""
    common = CommonTlsContext(
        tls_params=_parameters(Parameters()),
        tls_certificate_sds_secret_configs=[_secret(each) for each in secrets],
        alpn_protocols=[protocol],
    )
    context = DownstreamTlsContext(common_tls_context=common)
    return TransportSocket(name="envoy.transport_sockets.tls", typed_config=pack(context))


def _client_context(tls: DownstreamTls, alpn: Iterable[str]) -> DownstreamTlsContext:
    common = CommonTlsContext(
        tls_params=_parameters(tls.parameters),
        tls_certificate_sds_secret_configs=[_secret(name.certificate(each)) for each in tls.certificates],
        alpn_protocols=list(alpn),
    )
    context = DownstreamTlsContext(common_tls_context=common)
    if tls.trusted is not None:
        common = context.common_tls_context
        common.validation_context_sds_secret_config.CopyFrom(_secret(name.trusted_authority(tls.trusted)))
        context.require_client_certificate.value = tls.required
    return context


def emit_endpoint_socket(tls: UpstreamTls, protocol: str) -> TransportSocket:
    """The end towards endpoints. Without names nothing is verified."""
    common = CommonTlsContext(tls_params=_parameters(tls.parameters), alpn_protocols=_ALPN[protocol])
    if tls.certificate is not None:
        common.tls_certificate_sds_secret_configs.append(_secret(name.certificate(tls.certificate)))
    if tls.names:
        wanted = CertificateValidationContext(match_typed_subject_alt_names=[_san(each) for each in tls.names])
        if tls.trusted is None:
            wanted.trusted_ca.filename = _SYSTEM_AUTHORITIES
            common.validation_context.CopyFrom(wanted)
        else:
            both = common.combined_validation_context
            both.default_validation_context.CopyFrom(wanted)
            both.validation_context_sds_secret_config.CopyFrom(_secret(name.trusted_authority(tls.trusted)))
    context = UpstreamTlsContext(common_tls_context=common, sni=tls.sni or "")
    return TransportSocket(name="envoy.transport_sockets.tls", typed_config=pack(context))


def _san(wanted: str) -> SubjectAltNameMatcher:
    kind = SubjectAltNameMatcher.IP_ADDRESS if _ADDRESS.fullmatch(wanted) else SubjectAltNameMatcher.DNS
    return SubjectAltNameMatcher(san_type=kind, matcher={"exact": wanted})


def _parameters(parameters: Parameters) -> TlsParameters:
    return TlsParameters(
        tls_minimum_protocol_version=_VERSIONS[parameters.min_version],
        tls_maximum_protocol_version=_VERSIONS[parameters.max_version],
        cipher_suites=parameters.cipher_suites,
    )


def _secret(secret: str) -> SdsSecretConfig:
    return SdsSecretConfig(name=secret, sds_config=SECRETS)


def emit_certificate(key: ObjectKey, chain_pem: str, key_pem: str) -> dict[str, bytes]:
    """The secret, by its name, of a Certificate: the chain with its private key (PEM)."""
    certificate = TlsCertificate(certificate_chain=_inline(chain_pem), private_key=_inline(key_pem))
    secret = name.certificate(key)
    return {secret: serialize(Secret(name=secret, tls_certificate=certificate))}


def emit_challenge_certificate(key: ObjectKey, domain: str, chain_pem: str, key_pem: str) -> dict[str, bytes]:
    """The secret, by its name, that answers a handshake about a name of a Certificate."""
    certificate = TlsCertificate(certificate_chain=_inline(chain_pem), private_key=_inline(key_pem))
    secret = name.challenge_certificate(key, domain)
    return {secret: serialize(Secret(name=secret, tls_certificate=certificate))}


def emit_trusted_authority(key: ObjectKey, certificates_pem: str) -> dict[str, bytes]:
    """The secret, by its name, of a TrustedAuthority: who is believed (PEM)."""
    trusted = CertificateValidationContext(trusted_ca=_inline(certificates_pem))
    secret = name.trusted_authority(key)
    return {secret: serialize(Secret(name=secret, validation_context=trusted))}


def emit_secrets(chain_pem: str | bytes, key_pem: str | bytes, bundle_pem: str | bytes) -> dict[str, bytes]:
    """Secrets by name: the site's certificate chain with its key, and the trust bundle (PEM)."""
    identity = Secret(
        name=name.IDENTITY_SECRET,
        tls_certificate=TlsCertificate(certificate_chain=_inline(chain_pem), private_key=_inline(key_pem)),
    )
    trust = Secret(
        name=name.TRUST_SECRET, validation_context=CertificateValidationContext(trusted_ca=_inline(bundle_pem))
    )
    return {name.IDENTITY_SECRET: serialize(identity), name.TRUST_SECRET: serialize(trust)}


def _inline(pem: str | bytes) -> DataSource:
    return DataSource(inline_bytes=pem.encode() if isinstance(pem, str) else pem)
