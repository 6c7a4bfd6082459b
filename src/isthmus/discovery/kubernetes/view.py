"""One query's servers, kept current while Services, slices, pods and nodes change.

Of a Service, in this order:
1. The port is chosen (`port`); a Service without it is left out, and said so.
2. The address family is the first of the Service's that any of its slices has: a pod of a dual-stack Service is one
   server, not two.
3. A server is healthy when its endpoint is ready. While no endpoint of the Service is ready, those that are terminating
   and still serving are (as kube-proxy does, KEP-1669).
4. Node ports: every node with an address is a server; it is healthy when it is ready and anything behind the Service
   is. With `externalTrafficPolicy: Local` only nodes with healthy endpoints are, each weighing as many as it has.
5. Labels: those of the Service, over them those of the pod, and the zone.
"""

from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from isthmus.discovery.found import MAX_WEIGHT, Found
from isthmus.discovery.kubernetes.fact import ZONE_LABEL, Labels, Service, Slice, SliceEndpoint
from isthmus.discovery.kubernetes.mirror import Mirror
from isthmus.discovery.kubernetes.port import PortError, choose_port
from isthmus.discovery.query import KubernetesQuery
from isthmus.discovery.tally import Tally
from isthmus.model.label import parse_expression


@dataclass(frozen=True, slots=True)
class _Mode:
    """What holds for all slices of a Service."""

    family: str
    fallback: bool


class View:
    """See above. `problem` says which Services lack the port, or why nothing can be found at all.

    Raises ValueError when the query's selector is none.
    """

    def __init__(self, query: KubernetesQuery, mirror: Mirror) -> None:
        self._query = query
        self._mirror = mirror
        self._requirements = parse_expression(query.selector)
        self._tally = Tally()
        self._modes: dict[str, _Mode] = {}
        self._parts: dict[str, set[str]] = {}
        self._problems: dict[str, str] = {}
        for name in mirror.services:
            self.service_changed(name)

    @property
    def found(self) -> tuple[Found, ...]:
        """The servers, sorted."""
        return self._tally.found()

    @property
    def problem(self) -> str:
        """For people; empty when there is none."""
        return "; ".join(self._problems[name] for name in sorted(self._problems)[:3])

    @property
    def hopeless(self) -> bool:
        """Whether there is nothing but problems."""
        return bool(self._problems) and not len(self._tally)

    def service_changed(self, name: str) -> bool:
        """Work out a Service anew. This and the next return whether the query has to do with it."""
        service = self._mirror.services.get(name)
        self._problems.pop(name, None)
        if service is None or not self._selects(name, service):
            known = self._modes.pop(name, None) is not None
            self._drop(name)
            return known
        self._modes[name] = self._mode(name, service)
        self._drop(name, keep=self._parts_of(name))
        for part in self._parts_of(name):
            self._fill(name, part)
        return True

    def slice_changed(self, service: str, name: str) -> bool:
        """Work out one slice anew; the whole Service when the others depend on it."""
        known, fact = self._modes.get(service), self._mirror.services.get(service)
        if known is None or fact is None:
            return False
        if self._query.addresses == "node-ports" or self._mode(service, fact) != known:
            return self.service_changed(service)
        self._fill(service, name)
        return True

    def slices_changed(self, slices: Iterable[tuple[str, str]]) -> bool:
        """The same for several, each by Service and name."""
        touched = False
        for service, name in slices:
            touched |= self.slice_changed(service, name)
        return touched

    def pods_changed(self, slices: Iterable[tuple[str, str]]) -> bool:
        """Work out the slices that a changed pod is in."""
        return self._query.addresses == "pods" and self.slices_changed(slices)

    def nodes_changed(self) -> bool:
        """Work out all Services whose nodes are asked for."""
        if self._query.addresses == "node-ports":
            for name in tuple(self._modes):
                self.service_changed(name)
        return self._query.addresses == "node-ports"

    def _selects(self, name: str, service: Service) -> bool:
        if self._query.service:
            return name == self._query.service
        labels = dict(service.labels)
        return all(each.matches(labels) for each in self._requirements)

    def _mode(self, name: str, service: Service) -> _Mode:
        slices = self._mirror.slices(name).values()
        present = {each.family for each in slices if each.endpoints}
        family = next((each for each in (*service.families, "IPv4", "IPv6") if each in present), "")
        ready = any(each.ready for part in slices if part.family == family for each in part.endpoints)
        return _Mode(family, not ready)

    def _parts_of(self, name: str) -> tuple[str, ...]:
        """What a Service is put together from: its slices, or its nodes together."""
        return ("",) if self._query.addresses == "node-ports" else tuple(self._mirror.slices(name))

    def _drop(self, name: str, keep: tuple[str, ...] = ()) -> None:
        for part in self._parts.get(name, set()).difference(keep):
            self._set(name, part, [])

    def _fill(self, name: str, part: str) -> None:
        service = self._mirror.services[name]
        try:
            found = list(self._servers(name, service, part))
        except PortError as error:
            self._problems[name] = str(error)
            found = []
        self._set(name, part, found)

    def _set(self, name: str, part: str, found: list[Found]) -> None:
        self._tally.set((name, part), found)
        parts = self._parts.setdefault(name, set())
        if found:
            parts.add(part)
        else:
            parts.discard(part)
        if not parts:
            del self._parts[name]

    def _servers(self, name: str, service: Service, part: str) -> Iterator[Found]:
        port = choose_port(name, service, self._query.port)
        mode = self._modes[name]
        if self._query.addresses == "node-ports":
            if not port.node_port:
                raise PortError(f"Service {name} has no node port; make it a Service of type NodePort or LoadBalancer")
            yield from self._nodes(name, service, mode, port.node_port)
            return
        piece = self._mirror.slices(name).get(part)
        if piece is None or piece.family != mode.family:
            return
        number = next((each.port or port.port for each in piece.ports if each.name == port.name), 0)
        if not piece.ports:
            number = port.port
        if number:
            for endpoint in piece.endpoints:
                labels = self._labels(service, endpoint)
                yield Found(endpoint.address, number, 1, labels, _healthy(endpoint, mode))

    def _labels(self, service: Service, endpoint: SliceEndpoint) -> Labels:
        pod = self._mirror.pod_labels(endpoint.pod) if endpoint.pod else ()
        if not pod and not endpoint.zone:
            return service.labels
        merged = {**dict(service.labels), **dict(pod)}
        if endpoint.zone:
            merged[ZONE_LABEL] = endpoint.zone
        return tuple(sorted(merged.items()))

    def _nodes(self, name: str, service: Service, mode: _Mode, port: int) -> Iterator[Found]:
        local = _per_node(self._mirror.slices(name).values(), mode)
        anything = bool(local.total())
        family = next((each for each in (*service.families, "IPv4", "IPv6")), "IPv4")
        for node_name, node in self._mirror.nodes.items():
            address = dict(node.addresses).get(family)
            if address is None or (service.local and not local[node_name]):
                continue
            weight = min(local[node_name], MAX_WEIGHT) if service.local else 1
            labels = tuple(sorted({**dict(service.labels), **dict(node.labels)}.items()))
            yield Found(address, port, weight, labels, node.ready and anything)


def _healthy(endpoint: SliceEndpoint, mode: _Mode) -> bool:
    return endpoint.ready or (mode.fallback and endpoint.serving and endpoint.terminating)


def _per_node(slices: Iterable[Slice], mode: _Mode) -> Counter[str]:
    counted: Counter[str] = Counter()
    for part in slices:
        if part.family == mode.family:
            counted.update(each.node for each in part.endpoints if _healthy(each, mode))
    return counted
