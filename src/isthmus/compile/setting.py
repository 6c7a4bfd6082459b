"""How registries are reached, and which part of the site's virtual hosts each is told."""

from dataclasses import dataclass

from isthmus.compile.memo import Memo
from isthmus.compile.source import find, scope
from isthmus.discovery.setting import (
    ConsulSettings,
    DnsDelegation,
    DnsSettings,
    DnsUpdate,
    KubernetesSettings,
    Server,
    Settings,
)
from isthmus.model import Diagnostic, ObjectKey, ServiceDiscovery, Site
from isthmus.model.consul_discovery import ConsulMethod
from isthmus.model.dns_discovery import DnsDelegation as DelegationSpec
from isthmus.model.dns_discovery import DnsMethod
from isthmus.model.dns_discovery import DnsUpdate as UpdateSpec
from isthmus.model.kubernetes_discovery import KubernetesMethod
from isthmus.model.reference import resolve
from isthmus.model.value import milliseconds


@dataclass(frozen=True, slots=True)
class PublishScope:
    """Which domains and addresses are published: of a zone and of a network; of all where it is empty."""

    zone: str
    network: str


@dataclass(frozen=True, slots=True)
class CompiledSettings:
    """A registry's settings; `published` None: it is told nothing."""

    settings: Settings
    published: PublishScope | None
    diagnostics: tuple[Diagnostic, ...] = ()


def compile_settings(memo: Memo, key: ObjectKey) -> CompiledSettings | None:
    """The settings of a ServiceDiscovery at this site; None when it is unknown."""
    obj = find(memo, ServiceDiscovery, key)
    if obj is None:
        return None
    spec, owner = obj.spec, _owner(memo, key)
    if spec.dns is not None:
        return _dns(memo, key, spec.dns, owner)
    if spec.kubernetes is not None:
        return _kubernetes(key, spec.kubernetes, owner)
    return _consul(key, spec.consul, owner) if spec.consul is not None else None


def _owner(memo: Memo, key: ObjectKey) -> str:
    """Whose entries in a registry are: of this deployment, of this site, through this ServiceDiscovery."""
    here, trust_domain = scope(memo)
    return f"{trust_domain}/{here.tenant}/{here.name}/{key.namespace}/{key.name}"


def _kubernetes(key: ObjectKey, spec: KubernetesMethod, owner: str) -> CompiledSettings:
    settings = KubernetesSettings(
        kubeconfig=resolve(spec.kubeconfig, "Secret", key.tenant, key.namespace),
        context=spec.context,
        pod_labels=spec.pod_labels,
        publish_namespace=spec.publish.namespace if spec.publish else "",
        owner=owner,
    )
    return CompiledSettings(settings, PublishScope("", spec.publish.network or "") if spec.publish else None)


def _consul(key: ObjectKey, spec: ConsulMethod, owner: str) -> CompiledSettings:
    settings = ConsulSettings(
        url=spec.url,
        token=resolve(spec.token, "Secret", key.tenant, key.namespace) if spec.token else None,
        trusted_ca=spec.trusted_ca,
        client_certificate=spec.client_certificate,
        client_key=resolve(spec.client_key, "Secret", key.tenant, key.namespace) if spec.client_key else None,
        datacenter=spec.datacenter,
        namespace=spec.namespace,
        partition=spec.partition,
        publish=spec.publish is not None,
        owner=owner,
    )
    return CompiledSettings(settings, PublishScope("", spec.publish.network or "") if spec.publish else None)


def _dns(memo: Memo, key: ObjectKey, spec: DnsMethod, owner: str) -> CompiledSettings:
    delegation = update = published = None
    found: tuple[Diagnostic, ...] = ()
    if spec.publish is not None and spec.publish.update is not None:
        update = _update(key, spec.publish.update, owner)
        published = PublishScope(update.zone, spec.publish.network or "")
    elif spec.publish is not None and spec.publish.delegation is not None:
        delegation = _delegation(memo, spec.publish.delegation)
        published = PublishScope(delegation.zone, spec.publish.network or "")
        if not delegation.listen:
            network = spec.publish.delegation.network
            message = f"{scope(memo).site.title} has no address on its {network} network to answer queries on"
            mend = "add an interface to the site, or set the delegation's address"
            found = (Diagnostic("no-address", key, "spec.dns.publish.delegation.network", message, mend),)
            delegation = published = None
    settings = DnsSettings(
        servers=tuple(Server(each.address, each.port) for each in spec.servers),
        timeout=milliseconds(spec.timeout),
        min_ttl=milliseconds(spec.min_ttl),
        max_ttl=milliseconds(spec.max_ttl),
        keep_gone=milliseconds(spec.keep_gone),
        delegation=delegation,
        update=update,
    )
    return CompiledSettings(settings, published, found)


def _delegation(memo: Memo, spec: DelegationSpec) -> DnsDelegation:
    site = find(memo, Site, scope(memo).site)
    own = site.spec.network_addresses(spec.network) if site else ()
    return DnsDelegation(
        zone=spec.zone,
        listen=tuple(Server(address, spec.port) for address in ((spec.address,) if spec.address else own)),
        name_servers=spec.name_servers or (f"ns.{spec.zone}",),
        host_master=spec.host_master or f"hostmaster.{spec.zone}",
        ttl=milliseconds(spec.ttl),
        negative_ttl=milliseconds(spec.negative_ttl),
    )


def _update(key: ObjectKey, spec: UpdateSpec, owner: str) -> DnsUpdate:
    return DnsUpdate(
        zone=spec.zone,
        server=Server(spec.server.address, spec.server.port),
        key_name=spec.key.name,
        algorithm=spec.key.algorithm,
        secret=resolve(spec.key.secret, "Secret", key.tenant, key.namespace),
        owner=owner,
        ttl=milliseconds(spec.ttl),
    )
