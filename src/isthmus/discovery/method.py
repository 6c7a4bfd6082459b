"""The methods: which source and publishers serve which settings."""

from collections.abc import Mapping

from isthmus.discovery.dns.delegation import DelegationPublisher
from isthmus.discovery.dns.responder import Responder
from isthmus.discovery.dns.source import DnsSource
from isthmus.discovery.dns.update import UpdatePublisher
from isthmus.discovery.kubernetes.source import KubernetesSource
from isthmus.discovery.publisher import Publisher, Report
from isthmus.discovery.setting import ConsulSettings, DnsSettings, KubernetesSettings, Settings
from isthmus.discovery.source import Listen, Source
from isthmus.model.key import ObjectKey

Secrets = Mapping[ObjectKey, str]
"""The values of the secrets that settings name, as far as they are known."""


def source_secrets(settings: Settings) -> tuple[ObjectKey, ...]:
    """The secrets without which a registry cannot be asked."""
    match settings:
        case KubernetesSettings():
            return (settings.kubeconfig,)
        case ConsulSettings():
            return (settings.token,) if settings.token is not None else ()
    return ()


def publisher_secrets(settings: Settings) -> tuple[ObjectKey, ...]:
    """The secrets without which a registry cannot be told."""
    if isinstance(settings, DnsSettings):
        return (settings.update.secret,) if settings.update is not None else ()
    return source_secrets(settings)


def make_source(settings: Settings, secrets: Secrets, listen: Listen) -> Source | None:
    """The source of a registry whose `source_secrets` are known; None when its method has none in this release."""
    match settings:
        case DnsSettings():
            return DnsSource(settings, listen)
        case KubernetesSettings():
            return KubernetesSource(settings, secrets[settings.kubeconfig], listen)
        case ConsulSettings():
            return None


def make_publishers(
    settings: Settings, secrets: Secrets, report: Report, responder: Responder
) -> tuple[Publisher, ...]:
    """What publishes to a registry whose `publisher_secrets` are known. `responder`: of the site."""
    if not isinstance(settings, DnsSettings):
        return ()
    found: list[Publisher] = []
    if settings.delegation is not None:
        found.append(DelegationPublisher(settings.delegation, responder, report))
    if settings.update is not None:
        found.append(UpdatePublisher(settings.update, secrets[settings.update.secret], report))
    return tuple(found)
