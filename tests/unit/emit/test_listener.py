"""What is in a listener, and what is beside it."""

from __future__ import annotations

from envoy.extensions.filters.network.http_connection_manager.v3.http_connection_manager_pb2 import (
    HttpConnectionManager,
)
from envoy.extensions.filters.network.tcp_proxy.v3.tcp_proxy_pb2 import TcpProxy

from isthmus.compile.intent import (
    DownstreamTls,
    Intent,
    Listener,
    Socket,
    Stream,
    TlsChain,
    VirtualHost,
)
from isthmus.compile.rule import Shape, Share
from isthmus.emit.envoy import EnvoyEmitter, EnvoyPaths, Resources, name, parse_resources
from isthmus.model import ObjectKey

SOCKET = Socket("192.0.2.1", 443)
TLS = DownstreamTls(certificates=(ObjectKey("default", "Certificate", "default", "shop"),))


def host(host_name: str, *domains: str) -> TlsChain:
    return TlsChain(domains, VirtualHost(key("VirtualHost", host_name), domains, ()), TLS)


def passed(host_name: str, *domains: str) -> TlsChain:
    shares = (Share(key("Cluster", host_name), Shape.LOCAL, 1),)
    return TlsChain(domains, Stream(key("VirtualHost", host_name), None, shares, 0))


def key(kind: str, object_name: str) -> ObjectKey:
    return ObjectKey("default", kind, "default", object_name)


def emit(*chains: TlsChain) -> Resources:
    listener = Listener(SOCKET, chains=chains)
    return EnvoyEmitter(EnvoyPaths()).emit(Intent("default", "ams", listeners=(listener,)))


def test_each_tls_virtual_host_has_a_chain_and_routes_of_its_own() -> None:
    resources = parse_resources(emit(host("shop", "shop.example"), passed("mail", "*.mail.example"), host("any", "*")))
    listener = next(each for each in resources["listeners"] if each.name == "ingress/192.0.2.1:443")
    assert [each.name for each in listener.listener_filters] == ["envoy.filters.listener.tls_inspector"]
    shop, mail, any_host = listener.filter_chains
    assert list(shop.filter_chain_match.server_names) == ["shop.example"]
    assert list(mail.filter_chain_match.server_names) == ["*.mail.example"]
    assert not any_host.HasField("filter_chain_match")
    manager = HttpConnectionManager()
    assert shop.filters[0].typed_config.Unpack(manager)
    assert manager.rds.route_config_name == "ingress/192.0.2.1:443|default/default/shop"
    assert shop.HasField("transport_socket")
    assert not mail.HasField("transport_socket")
    assert mail.filters[1].config_discovery.type_urls
    routes = {each.name: each for each in resources["routes"]}
    assert [list(each.domains) for each in routes[manager.rds.route_config_name].virtual_hosts] == [
        ["shop.example", "shop.example:443"],
        ["*"],
    ]
    misdirected = routes[manager.rds.route_config_name].virtual_hosts[1]
    assert misdirected.routes[0].direct_response.status == 421
    assert len(routes["ingress/192.0.2.1:443|default/default/any"].virtual_hosts) == 1


def test_one_more_chain_leaves_the_others_as_they_are() -> None:
    shop = host("shop", "shop.example")
    before, after = (parse_resources(emit(*chains)) for chains in ((shop,), (shop, host("new", "new.example"))))
    chains = [
        next(each for each in resources["listeners"] if each.name == "ingress/192.0.2.1:443").filter_chains
        for resources in (before, after)
    ]
    assert len(chains[1]) == 2
    assert chains[0][0] == chains[1][0]


def test_where_a_stream_goes_is_not_in_the_listener() -> None:
    one = passed("mail", "mail.example")
    weighted = Share(key("Cluster", "mail"), Shape.LOCAL, 3), Share(key("Cluster", "new"), Shape.LOCAL, 1)
    two = TlsChain(one.server_names, Stream(one.to.key, None, weighted, 0))
    before, after = emit(one), emit(two)
    assert before[name.LISTENER_TYPE] == after[name.LISTENER_TYPE]
    config = TcpProxy()
    extension = next(each for each in parse_resources(after)["extensions"] if each.name.startswith("ingress/"))
    assert extension.typed_config.Unpack(config)
    assert [(each.name, each.weight) for each in config.weighted_clusters.clusters] == [
        ("default/default/mail@local", 3),
        ("default/default/new@local", 1),
    ]
