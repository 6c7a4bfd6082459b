"""The stream between the planes: manifests and objects down; ACK, status and answers up; certificates both ways.

    console   a Shelf of what it signs for each subject -> Hub -> StreamServer
    region    Uplink to the console; Hub -> StreamServer for its sites
    site      Uplink to its regions

Sessions (`ServerSession`, `ClientSession`) are without IO and without clocks; Hub and Uplink connect them to a
process, StreamServer and StreamClient to gRPC. Imports nothing of Isthmus but identity and the generated messages.
"""

from isthmus.protocol.admission import Admission
from isthmus.protocol.cache import Cache, CachedBodies
from isthmus.protocol.client import ConnectionState, StreamClient, Upstream
from isthmus.protocol.client_session import (
    Adopted,
    Asked,
    ClientSession,
    Refused,
    RenewalAnswered,
    TrustReceived,
    Welcomed,
)
from isthmus.protocol.delivery import DeliveryService
from isthmus.protocol.delivery_client import DeliveryClient
from isthmus.protocol.error import ManifestGap, ManifestRefused, PeerRefused, ProtocolError, QueryFailed
from isthmus.protocol.holding import Holdings, MemoryBodies
from isthmus.protocol.hub import Hub, HubHandler, Stream
from isthmus.protocol.manifest import Chain, Link, State, Version, sign_delta, sign_state
from isthmus.protocol.report import AppliedReport, PresenceReport, Rejection, Reports, StatusReport
from isthmus.protocol.server import StreamServer
from isthmus.protocol.server_session import ServerSession
from isthmus.protocol.shelf import Publisher, Served, Shelf
from isthmus.protocol.trust import make_trust
from isthmus.protocol.uplink import Uplink, UplinkHandler

__all__ = [
    "Admission",
    "Adopted",
    "AppliedReport",
    "Asked",
    "Cache",
    "CachedBodies",
    "Chain",
    "ClientSession",
    "ConnectionState",
    "DeliveryClient",
    "DeliveryService",
    "Holdings",
    "Hub",
    "HubHandler",
    "Link",
    "ManifestGap",
    "ManifestRefused",
    "MemoryBodies",
    "PeerRefused",
    "PresenceReport",
    "ProtocolError",
    "Publisher",
    "QueryFailed",
    "Refused",
    "Rejection",
    "RenewalAnswered",
    "Reports",
    "Served",
    "ServerSession",
    "Shelf",
    "State",
    "StatusReport",
    "Stream",
    "StreamClient",
    "StreamServer",
    "TrustReceived",
    "Uplink",
    "UplinkHandler",
    "Upstream",
    "Version",
    "Welcomed",
    "make_trust",
    "sign_delta",
    "sign_state",
]
