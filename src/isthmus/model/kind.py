"""The list of kinds. A new kind is a file beside this one and a line here."""

from isthmus.model.advertise_policy import AdvertisePolicy
from isthmus.model.alert_policy import AlertPolicy
from isthmus.model.alert_receiver import AlertReceiver
from isthmus.model.certificate import Certificate
from isthmus.model.cluster import Cluster
from isthmus.model.cluster_access import ClusterAccess
from isthmus.model.endpoint import Endpoint
from isthmus.model.health_check import HealthCheck
from isthmus.model.namespace import Namespace
from isthmus.model.network import Network
from isthmus.model.object import Object
from isthmus.model.region import Region
from isthmus.model.route import Route
from isthmus.model.sealed import SealedCertificate, SealedSecret
from isthmus.model.secret import Secret
from isthmus.model.service_discovery import ServiceDiscovery
from isthmus.model.site import Site
from isthmus.model.telemetry_receiver import TelemetryReceiver
from isthmus.model.trusted_authority import TrustedAuthority
from isthmus.model.virtual_host import VirtualHost
from isthmus.model.virtual_site import VirtualSite

_CLASSES: tuple[type[Object], ...] = (
    Namespace,
    Region,
    Site,
    VirtualSite,
    Network,
    VirtualHost,
    Route,
    Cluster,
    Endpoint,
    HealthCheck,
    AdvertisePolicy,
    ServiceDiscovery,
    TelemetryReceiver,
    Certificate,
    TrustedAuthority,
    Secret,
    AlertReceiver,
    AlertPolicy,
    ClusterAccess,
    SealedCertificate,
    SealedSecret,
)

KINDS: dict[str, type[Object]] = {cls.__name__: cls for cls in _CLASSES}
"""Every kind by name."""
PUBLIC_KINDS: dict[str, type[Object]] = {name: cls for name, cls in KINDS.items() if not cls.internal}
"""The kinds that people declare."""
INTERNAL_KINDS: dict[str, type[Object]] = {name: cls for name, cls in KINDS.items() if cls.internal}
"""The kinds that the console derives."""


def kind_by_plural(text: str) -> type[Object] | None:
    """The public kind that `text` names, as plural, singular or kind name in any case; None when there is none."""
    wanted = text.lower()
    return next((cls for name, cls in PUBLIC_KINDS.items() if wanted in (cls.plural, name.lower())), None)
