"""What people declare: objects, references, label expressions and their validation.

Pure: no sockets, files, clocks, environment or randomness. Imports nothing else of Isthmus.
Start at `kind.py` (the list of kinds), then read the file of one kind, e.g. `cluster.py`.
"""

from isthmus.model.advertise_policy import AdvertisePolicy
from isthmus.model.alert_policy import AlertPolicy
from isthmus.model.alert_receiver import AlertReceiver
from isthmus.model.certificate import Certificate
from isthmus.model.cluster import Cluster
from isthmus.model.cluster_access import ClusterAccess
from isthmus.model.diagnostic import Diagnostic
from isthmus.model.endpoint import Endpoint
from isthmus.model.envelope import EnvelopeError, content_hash, emit_envelope, parse_envelope
from isthmus.model.health_check import HealthCheck
from isthmus.model.key import ObjectKey
from isthmus.model.kind import INTERNAL_KINDS, KINDS, PUBLIC_KINDS, kind_by_plural
from isthmus.model.namespace import Namespace
from isthmus.model.network import Network
from isthmus.model.object import Metadata, Object, System
from isthmus.model.private import Private
from isthmus.model.region import Region
from isthmus.model.route import Route
from isthmus.model.sealed import SEALABLE_KINDS, SEALED_KINDS, SealedCertificate, SealedSecret, sealed_key, sealed_of
from isthmus.model.secret import Secret
from isthmus.model.service_discovery import ServiceDiscovery
from isthmus.model.site import Site
from isthmus.model.telemetry_receiver import TelemetryReceiver
from isthmus.model.trusted_authority import TrustedAuthority
from isthmus.model.virtual_host import VirtualHost
from isthmus.model.virtual_site import VirtualSite

__all__ = [
    "INTERNAL_KINDS",
    "KINDS",
    "PUBLIC_KINDS",
    "SEALABLE_KINDS",
    "SEALED_KINDS",
    "AdvertisePolicy",
    "AlertPolicy",
    "AlertReceiver",
    "Certificate",
    "Cluster",
    "ClusterAccess",
    "Diagnostic",
    "Endpoint",
    "EnvelopeError",
    "HealthCheck",
    "Metadata",
    "Namespace",
    "Network",
    "Object",
    "ObjectKey",
    "Private",
    "Region",
    "Route",
    "SealedCertificate",
    "SealedSecret",
    "Secret",
    "ServiceDiscovery",
    "Site",
    "System",
    "TelemetryReceiver",
    "TrustedAuthority",
    "VirtualHost",
    "VirtualSite",
    "content_hash",
    "emit_envelope",
    "kind_by_plural",
    "parse_envelope",
    "sealed_key",
    "sealed_of",
]
