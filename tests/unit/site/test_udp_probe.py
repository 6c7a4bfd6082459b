"""Which endpoints the agent probes itself."""

from __future__ import annotations

from isthmus.compile.intent import Endpoint, Hosted, Intent, Socket
from isthmus.emit.envoy.name import checked_clusters
from isthmus.model.key import ObjectKey
from isthmus.site.udp_probe import UdpProber

WEB = ObjectKey("default", "Cluster", "shop", "web")


async def test_a_cluster_without_health_checks_has_nothing_to_probe() -> None:
    endpoint = Endpoint(ObjectKey("default", "Endpoint", "shop", "a"), Socket("127.0.0.1", 8000), 1)
    hosted = Hosted(WEB, 7, "ROUND_ROBIN", 1000, (), (endpoint,))
    heard: list[object] = []
    prober = UdpProber(xds_names=checked_clusters, on_event=heard.append)
    prober.use(Intent("default", "fra", number=3, hosted=(hosted,)))
    prober.repeat()
    await prober.stop()
    assert heard == []
