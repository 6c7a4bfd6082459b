"""The methods: which source and publishers serve which settings."""

from collections.abc import Mapping

from isthmus.discovery.consul.publisher import ConsulPublisher
from isthmus.discovery.consul.source import ConsulSource
from isthmus.discovery.dns.delegation import DelegationPublisher
from isthmus.discovery.dns.responder import Responder
from isthmus.discovery.dns.source import DnsSource
from isthmus.discovery.dns.update import UpdatePublisher
from isthmus.discovery.kubernetes.publisher import KubernetesPublisher
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
            return tuple(key for key in (settings.token, settings.client_key) if key is not None)
    return ()


def publisher_secrets(settings: Settings) -> tuple[ObjectKey, ...]:
    """The secrets without which a registry cannot be told."""
    if isinstance(settings, DnsSettings):
        return (settings.update.secret,) if settings.update is not None else ()
    return source_secrets(settings)


def make_source(settings: Settings, secrets: Secrets, listen: Listen) -> Source:
    """The source of a registry whose `source_secrets` are known."""
    match settings:
        case DnsSettings():
            return DnsSource(settings, listen)
        case KubernetesSettings():
            return KubernetesSource(settings, secrets[settings.kubeconfig], listen)
        case ConsulSettings():
            token, key = _consul(settings, secrets)
            return ConsulSource(settings, listen, token=token, client_key=key)


def make_publishers(
    settings: Settings, secrets: Secrets, report: Report, responder: Responder
) -> tuple[Publisher, ...]:
    """What publishes to a registry whose `publisher_secrets` are known. `responder`: of the site."""
    found: list[Publisher] = []
    match settings:
        case DnsSettings(delegation=delegation, update=update):
            if delegation is not None:
                found.append(DelegationPublisher(delegation, responder, report))
            if update is not None:
                found.append(UpdatePublisher(update, secrets[update.secret], report))
        case KubernetesSettings():
            if settings.publish_namespace:
                found.append(KubernetesPublisher(settings, secrets[settings.kubeconfig], report))
        case ConsulSettings():
            if settings.publish:
                token, key = _consul(settings, secrets)
                found.append(ConsulPublisher(settings, report, token=token, client_key=key))
    return tuple(found)


def _consul(settings: ConsulSettings, secrets: Secrets) -> tuple[str, str]:
    """The token and the client's key; empty where there is none."""
    token = secrets[settings.token].strip() if settings.token is not None else ""
    return token, secrets[settings.client_key] if settings.client_key is not None else ""
