"""Discovery in Kubernetes, against the stand-in API server."""

from __future__ import annotations

import json
import logging

import pytest

from isthmus.discovery.found import Found
from isthmus.discovery.query import KubernetesQuery

from .conftest import StartSource
from .kubernetes_request import Rule
from .kubernetes_server import KubernetesServer
from .material import (
    Certificates,
    Ear,
    by_address,
    documented_rights,
    endpoint,
    endpoint_slice,
    kubeconfig,
    namespace,
    node,
    pod,
    service,
    until,
)

WEB = KubernetesQuery("shop", "web")


def shop(cluster: KubernetesServer, *addresses: str) -> None:
    cluster.put(service("web", labels={"tier": "front"}))
    cluster.put(endpoint_slice("web-1", "web", *(endpoint(each, zone="z1") for each in addresses)))


def lists(cluster: KubernetesServer, plural: str = "endpointslices") -> list[str]:
    return [each for each in cluster.requests if f"/{plural}" in each and "watch=true" not in each]


def watches(cluster: KubernetesServer, plural: str = "endpointslices") -> list[str]:
    return [each for each in cluster.requests if f"/{plural}" in each and "watch=true" in each]


async def test_pods_of_a_service_are_found_and_followed(
    cluster: KubernetesServer, discover: StartSource, ear: Ear
) -> None:
    shop(cluster, "10.1.0.1", "10.1.0.2")
    await discover(WEB)
    answer = await ear.addresses(WEB, "10.1.0.1:8080", "10.1.0.2:8080")
    labels = (("tier", "front"), ("topology.kubernetes.io/zone", "z1"))
    assert answer.found == (
        Found("10.1.0.1", 8080, labels=labels),
        Found("10.1.0.2", 8080, labels=labels),
    )
    cluster.put(endpoint_slice("web-2", "web", endpoint("10.1.0.3")))
    await ear.addresses(WEB, "10.1.0.1:8080", "10.1.0.2:8080", "10.1.0.3:8080")
    cluster.remove("endpointslices", "shop", "web-1")
    await ear.addresses(WEB, "10.1.0.3:8080")
    cluster.remove("services", "shop", "web")
    assert (await ear.addresses(WEB)).found == ()
    assert len(lists(cluster)) == 1
    assert len(watches(cluster)) == 1


async def test_an_unknown_service_has_no_servers(cluster: KubernetesServer, discover: StartSource, ear: Ear) -> None:
    await discover(WEB)
    answer = await ear.until(WEB, lambda answer: answer.found == ())
    assert answer.error == ""


async def test_conditions_decide_who_is_healthy(cluster: KubernetesServer, discover: StartSource, ear: Ear) -> None:
    cluster.put(service("web"))
    leaving = {"ready": False, "serving": True, "terminating": True}
    slice_ = endpoint_slice("web-1", "web", endpoint("10.1.0.1"), endpoint("10.1.0.2", ready=False))
    slice_["endpoints"].append({"addresses": ["10.1.0.3"], "conditions": leaving})
    slice_["endpoints"].append({"addresses": ["10.1.0.4"]})  # no condition means ready
    cluster.put(slice_)
    await discover(WEB)
    answer = await ear.addresses(WEB, "10.1.0.1:8080", "10.1.0.4:8080")
    assert set(by_address(answer)) == {"10.1.0.1", "10.1.0.2", "10.1.0.3", "10.1.0.4"}
    del slice_["endpoints"][3], slice_["endpoints"][0]
    cluster.put(slice_)
    await ear.addresses(WEB, "10.1.0.3:8080")


async def test_a_port_by_name_by_number_and_none(cluster: KubernetesServer, discover: StartSource, ear: Ear) -> None:
    cluster.put(
        service(
            "web",
            {"name": "http", "port": 80, "targetPort": "web"},
            {"name": "admin", "port": 9000, "targetPort": 9001},
        )
    )
    ports = ({"name": "http", "port": 8080}, {"name": "admin", "port": 9001})
    cluster.put(endpoint_slice("web-1", "web", endpoint("10.1.0.1"), ports=ports))
    name, number = KubernetesQuery("shop", "web", port="http"), KubernetesQuery("shop", "web", port="9000")
    wrong = KubernetesQuery("shop", "web", port="https")
    await discover(name, number, wrong, WEB)
    await ear.addresses(name, "10.1.0.1:8080")
    await ear.addresses(number, "10.1.0.1:9001")
    await ear.error(wrong, "Service web has no port https; it has ports 80 (http), 9000 (admin)")
    await ear.error(WEB, "Service web has ports 80 (http), 9000 (admin): set the port")
    assert len(lists(cluster)) == 1


async def test_a_selector_follows_labels_of_services(
    cluster: KubernetesServer, discover: StartSource, ear: Ear
) -> None:
    query = KubernetesQuery("shop", selector="tier in (front, edge), !legacy")
    for name, labels in (("a", {"tier": "front"}), ("b", {"tier": "back"}), ("c", {"tier": "edge", "legacy": "yes"})):
        cluster.put(service(name, labels=labels))
        cluster.put(endpoint_slice(f"{name}-1", name, endpoint(f"10.1.0.{ord(name)}")))
    await discover(query, KubernetesQuery("shop", selector="tier in ("))
    await ear.addresses(query, "10.1.0.97:8080")
    cluster.put(service("b", labels={"tier": "edge"}))
    await ear.addresses(query, "10.1.0.97:8080", "10.1.0.98:8080")
    cluster.put(service("a", labels={}))
    await ear.addresses(query, "10.1.0.98:8080")
    await ear.error(KubernetesQuery("shop", selector="tier in ("), "the selector is not understood")


async def test_a_pod_of_a_dual_stack_service_is_one_server(
    cluster: KubernetesServer, discover: StartSource, ear: Ear
) -> None:
    cluster.put(service("web", ipFamilies=["IPv6", "IPv4"], ipFamilyPolicy="PreferDualStack"))
    cluster.put(endpoint_slice("web-4", "web", endpoint("10.1.0.1")))
    await discover(WEB)
    await ear.addresses(WEB, "10.1.0.1:8080")
    cluster.put(endpoint_slice("web-6", "web", endpoint("fd00::1"), family="IPv6"))
    await ear.addresses(WEB, "fd00::1:8080")


async def test_an_endpoint_that_moves_between_slices_is_one_server(
    cluster: KubernetesServer, discover: StartSource, ear: Ear
) -> None:
    shop(cluster, "10.1.0.1")
    cluster.put(endpoint_slice("web-2", "web", endpoint("10.1.0.1", ready=False)))
    await discover(WEB)
    answer = await ear.addresses(WEB, "10.1.0.1:8080")
    assert answer.found is not None
    assert len(answer.found) == 1


async def test_labels_of_pods_count_where_they_are_asked_for(
    cluster: KubernetesServer, discover: StartSource, ear: Ear
) -> None:
    cluster.put(service("web", labels={"app": "web", "version": "none"}))
    cluster.put(endpoint_slice("web-1", "web", endpoint("10.1.0.1", pod="web-a"), endpoint("10.1.0.2", pod="web-b")))
    cluster.put(pod("web-a", version="10"))
    await discover(WEB, pod_labels=True)
    answer = await ear.until(WEB, lambda answer: bool(answer.found))
    assert dict(by_address(answer)["10.1.0.1"].labels) == {"app": "web", "version": "10"}
    assert dict(by_address(answer)["10.1.0.2"].labels) == {"app": "web", "version": "none"}
    cluster.put(pod("web-b", version="11"))
    await ear.until(WEB, lambda answer: dict(by_address(answer)["10.1.0.2"].labels)["version"] == "11")


async def test_without_pod_labels_pods_are_not_read(cluster: KubernetesServer, discover: StartSource, ear: Ear) -> None:
    shop(cluster, "10.1.0.1")
    await discover(WEB)
    await ear.addresses(WEB, "10.1.0.1:8080")
    assert not lists(cluster, "pods")
    assert not lists(cluster, "nodes")


async def test_node_ports_of_ready_nodes(cluster: KubernetesServer, discover: StartSource, ear: Ear) -> None:
    query = KubernetesQuery("shop", "web", addresses="node-ports")
    ports = {"port": 80, "targetPort": 8080, "nodePort": 30080}
    cluster.put(service("web", ports, type="NodePort"))
    both = [endpoint(each, nodeName="n1") for each in ("10.1.0.1", "10.1.0.2")]
    cluster.put(endpoint_slice("web-1", "web", *both))
    cluster.put(node("n1", "192.168.0.1", labels={"topology.kubernetes.io/zone": "z1"}))
    cluster.put(node("n2", "192.168.0.2"))
    cluster.put(node("n3", "192.168.0.3", ready=False))
    cluster.put(node("n4", "192.168.0.4", labels={"node.kubernetes.io/exclude-from-external-load-balancers": ""}))
    await discover(query)
    answer = await ear.addresses(query, "192.168.0.1:30080", "192.168.0.2:30080")
    assert by_address(answer)["192.168.0.1"].labels == (("topology.kubernetes.io/zone", "z1"),)
    cluster.put(node("n3", "192.168.0.3"))
    await ear.addresses(query, *(f"192.168.0.{i}:30080" for i in (1, 2, 3)))
    cluster.put(service("web", ports, type="NodePort", externalTrafficPolicy="Local"))
    answer = await ear.addresses(query, "192.168.0.1:30080")
    assert by_address(answer)["192.168.0.1"].weight == 2
    cluster.put(endpoint_slice("web-1", "web", endpoint("10.1.0.3", nodeName="n2")))
    await ear.addresses(query, "192.168.0.2:30080")
    cluster.put(service("web"))
    await ear.error(query, "Service web has no node port; make it a Service of type NodePort or LoadBalancer")


async def test_lists_are_read_in_pages(cluster: KubernetesServer, discover: StartSource, ear: Ear) -> None:
    cluster.put(service("web"))
    for i in range(1200):
        cluster.put(endpoint_slice(f"web-{i}", "web", endpoint(f"10.1.{i // 250}.{i % 250 + 1}")))
    await discover(WEB)
    await ear.until(WEB, lambda answer: len(answer.found or ()) == 1200)
    assert len(lists(cluster)) == 3
    assert "continue=" in lists(cluster)[1]


async def test_a_page_token_that_expires_leads_to_one_list_without_pages(
    cluster: KubernetesServer, discover: StartSource, ear: Ear
) -> None:
    cluster.put(service("web"))
    for i in range(600):
        cluster.put(endpoint_slice(f"web-{i}", "web", endpoint(f"10.1.{i // 250}.{i % 250 + 1}")))

    def compact(method: str, path: str) -> None:
        if "continue=" in path:
            cluster.refuse = None
            cluster.store.compact()

    cluster.refuse = compact
    await discover(WEB)
    await ear.until(WEB, lambda answer: len(answer.found or ()) == 600)
    assert "limit=" not in lists(cluster)[-1]
    assert all(not answer.error for answer in ear.answers[WEB])


async def test_a_dropped_watch_resumes_where_it_was(cluster: KubernetesServer, discover: StartSource, ear: Ear) -> None:
    shop(cluster, "10.1.0.1")
    await discover(WEB)
    await ear.addresses(WEB, "10.1.0.1:8080")
    await until(lambda: cluster.watching == 2)
    cluster.drop()
    cluster.put(endpoint_slice("web-2", "web", endpoint("10.1.0.2")))
    await ear.addresses(WEB, "10.1.0.1:8080", "10.1.0.2:8080")
    assert len(lists(cluster)) == 1
    assert len(watches(cluster)) == 2
    assert all(not answer.error for answer in ear.answers[WEB])


@pytest.mark.parametrize("as_answer", [False, True])
async def test_410_gone_leads_to_a_new_list(
    cluster: KubernetesServer, discover: StartSource, ear: Ear, as_answer: bool
) -> None:
    cluster.gone_as_answer = as_answer
    shop(cluster, "10.1.0.1", "10.1.0.2")
    await discover(WEB)
    await ear.addresses(WEB, "10.1.0.1:8080", "10.1.0.2:8080")
    await until(lambda: cluster.watching == 2)
    cluster.refuse = lambda method, path: 503
    cluster.drop()
    await ear.error(WEB, "503")
    cluster.put(endpoint_slice("web-2", "web", endpoint("10.1.0.3")))
    cluster.remove("endpointslices", "shop", "web-1")
    cluster.store.compact()
    cluster.refuse = None
    answer = await ear.addresses(WEB, "10.1.0.3:8080")
    assert answer.error == ""
    assert len(lists(cluster)) == 2


async def test_bookmarks_keep_a_quiet_watch_young(cluster: KubernetesServer, discover: StartSource, ear: Ear) -> None:
    cluster.bookmark_seconds = 0.05
    shop(cluster, "10.1.0.1")
    cluster.put(namespace("other"))
    await discover(WEB)
    first = await ear.addresses(WEB, "10.1.0.1:8080")
    cluster.store.version += 1000  # other namespaces have been busy
    version = cluster.store.version
    again = await ear.until(WEB, lambda answer: answer.at > first.at)
    assert again.found == first.found
    await until(lambda: cluster.watching == 2)
    heard = len(ear.answers[WEB])
    await until(lambda: len(ear.answers[WEB]) >= heard + 6)  # so that both watches have had one of the new version
    cluster.bookmark_seconds = 60
    cluster.drop()
    cluster.store.compacted = version  # what was before has been compacted
    cluster.put(endpoint_slice("web-2", "web", endpoint("10.1.0.2")))
    await ear.addresses(WEB, "10.1.0.1:8080", "10.1.0.2:8080")
    assert len(lists(cluster)) == 1


async def test_a_failing_api_server_leaves_the_last_answer_and_its_age(
    cluster: KubernetesServer, discover: StartSource, ear: Ear
) -> None:
    shop(cluster, "10.1.0.1")
    await discover(WEB)
    await ear.addresses(WEB, "10.1.0.1:8080")
    await cluster.stop()
    answer = await ear.error(WEB, f"127.0.0.1:{cluster.port} cannot be reached")
    kept = [each for each in ear.answers[WEB] if each.found is not None][-1]
    assert [each.address for each in kept.found or ()] == ["10.1.0.1"]
    assert kept.at <= answer.at
    await cluster.start()
    assert (await ear.addresses(WEB, "10.1.0.1:8080")).error == ""


async def test_missing_rights_are_named(cluster: KubernetesServer, discover: StartSource, ear: Ear) -> None:
    shop(cluster, "10.1.0.1")
    rights = frozenset({"get", "list", "watch"})
    cluster.tokens["t0k3n"] = (Rule(rights, frozenset({"services"}), "shop"),)
    await discover(WEB)
    await ear.error(
        WEB, 'cannot list resource "endpointslices" in API group "discovery.k8s.io" in the namespace "shop"'
    )
    await ear.error(WEB, "grant the user of the kubeconfig the rights")
    cluster.tokens["t0k3n"] = (Rule(rights, frozenset({"services", "endpointslices"}), "shop"),)
    await ear.addresses(WEB, "10.1.0.1:8080")


@pytest.mark.parametrize("pods", [True, False])
async def test_documented_rights_are_enough(
    cluster: KubernetesServer, discover: StartSource, ear: Ear, pods: bool
) -> None:
    cluster.put(service("web", {"port": 80, "nodePort": 30080}, type="NodePort"))
    cluster.put(endpoint_slice("web-1", "web", endpoint("10.1.0.1", pod="web-a")))
    cluster.put(node("n1", "192.168.0.1"))
    extra = documented_rights("isthmus-discover-pods", "shop") if pods else documented_rights("isthmus-discover-nodes")
    cluster.tokens["t0k3n"] = documented_rights("isthmus-discover", "shop") + extra
    query = KubernetesQuery("shop", "web", addresses="pods" if pods else "node-ports")
    await discover(query, pod_labels=pods)
    await ear.addresses(query, "10.1.0.1:8080" if pods else "192.168.0.1:30080")


async def test_a_revoked_token_is_an_error_and_its_successor_works(
    cluster: KubernetesServer,
    discover: StartSource,
    ear: Ear,
    certificates: Certificates,
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.DEBUG)
    shop(cluster, "10.1.0.1")
    first = await discover(WEB)
    await ear.addresses(WEB, "10.1.0.1:8080")
    cluster.tokens["n3xt"] = cluster.tokens.pop("t0k3n")
    cluster.drop()
    await ear.error(WEB, "401 Unauthorized")
    await ear.error(WEB, "renew the token or the client certificate in the kubeconfig's secret")
    await first.stop()
    await discover(WEB, config=kubeconfig(cluster.url, certificates.ca, "n3xt"))
    await ear.addresses(WEB, "10.1.0.1:8080")
    said = caplog.text + json.dumps([each.error for each in ear.answers[WEB]])
    assert "t0k3n" not in said
    assert "n3xt" not in said


async def test_a_client_certificate_is_a_user(
    cluster: KubernetesServer, discover: StartSource, ear: Ear, certificates: Certificates
) -> None:
    shop(cluster, "10.1.0.1")
    cluster.users["site-ams"] = cluster.tokens["t0k3n"]
    config = kubeconfig(cluster.url, certificates.ca, client=certificates.issue("site-ams"))
    await discover(WEB, config=config)
    await ear.addresses(WEB, "10.1.0.1:8080")


async def test_a_certificate_of_another_ca_is_not_trusted(
    cluster: KubernetesServer, discover: StartSource, ear: Ear
) -> None:
    await discover(WEB, config=kubeconfig(cluster.url, Certificates().ca, "t0k3n"))
    await ear.error(WEB, "shows a certificate that is not trusted")
    assert not cluster.requests


async def test_the_name_in_the_certificate_counts(
    cluster: KubernetesServer, discover: StartSource, ear: Ear, certificates: Certificates
) -> None:
    shop(cluster, "10.1.0.1")
    await cluster.stop()
    cluster.context = certificates.server_context("kubernetes.example")
    await cluster.start()
    await discover(WEB)
    await ear.error(WEB, "shows a certificate that is not trusted")
    await discover(
        WEB, config=kubeconfig(cluster.url, certificates.ca, "t0k3n", **{"tls-server-name": "kubernetes.example"})
    )
    await ear.addresses(WEB, "10.1.0.1:8080")


async def test_a_bad_kubeconfig_answers_every_query_with_an_error(discover: StartSource, ear: Ear) -> None:
    await discover(WEB, KubernetesQuery("shop", "api"), config="kind: Config")
    await ear.error(WEB, "the kubeconfig has no current-context")
    await ear.error(KubernetesQuery("shop", "api"), "the kubeconfig has no current-context")


async def test_queries_come_and_go(cluster: KubernetesServer, discover: StartSource, ear: Ear) -> None:
    shop(cluster, "10.1.0.1")
    api, other = KubernetesQuery("shop", "api"), KubernetesQuery("other", "web")
    source = await discover(WEB)
    await ear.addresses(WEB, "10.1.0.1:8080")
    source.watch(frozenset({WEB, api, other}))
    await ear.until(api, lambda answer: answer.found == ())
    await ear.until(other, lambda answer: answer.found == ())
    source.watch(frozenset({api}))
    heard = len(ear.answers[WEB])
    cluster.put(endpoint_slice("api-1", "api", endpoint("10.1.0.9")))
    cluster.put(endpoint_slice("web-2", "web", endpoint("10.1.0.2")))
    cluster.put(service("api"))
    await ear.addresses(api, "10.1.0.9:8080")
    assert len(ear.answers[WEB]) == heard
    await until(lambda: cluster.watching == 2)
    await source.stop()
    await until(lambda: cluster.watching == 0)
    source.watch(frozenset({WEB}))
    assert len(ear.answers[WEB]) == heard


async def test_several_clusters_are_several_sources(
    cluster: KubernetesServer, discover: StartSource, ear: Ear, certificates: Certificates
) -> None:
    second = KubernetesServer(tokens={"other": cluster.tokens["t0k3n"]}, context=certificates.server_context())
    await second.start()
    cluster.put(service("web"))
    cluster.put(endpoint_slice("web-1", "web", endpoint("10.1.0.1")))
    second.put(service("api"))
    second.put(endpoint_slice("api-1", "api", endpoint("10.2.0.1")))
    api = KubernetesQuery("shop", "api")
    await discover(WEB)
    await discover(api, config=kubeconfig(second.url, certificates.ca, "other"))
    await ear.addresses(WEB, "10.1.0.1:8080")
    await ear.addresses(api, "10.2.0.1:8080")
    await second.stop()
    await ear.error(api, "cannot be reached")
