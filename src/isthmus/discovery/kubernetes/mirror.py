"""What is known of one Kubernetes namespace, and of the nodes, with the indexes that queries need."""

from collections.abc import Mapping

from isthmus.discovery.kubernetes.fact import Labels, Node, Pod, Service, Slice


class Mirror:
    """Filled by informers. Slices are found by Service, and by the pods in them."""

    def __init__(self, nodes: Mapping[str, Node]) -> None:
        self.nodes = nodes
        self.services: dict[str, Service] = {}
        self._slices: dict[str, dict[str, Slice]] = {}
        self._pods: dict[str, Pod] = {}
        self._users: dict[str, set[tuple[str, str]]] = {}

    def slices(self, service: str) -> Mapping[str, Slice]:
        """The slices of a Service, by name."""
        return self._slices.get(service, {})

    def pod_labels(self, pod: str) -> Labels:
        """Of a pod; none when it is not known."""
        found = self._pods.get(pod)
        return found.labels if found is not None else ()

    def users(self, pod: str) -> frozenset[tuple[str, str]]:
        """Service and slice of each slice that a pod is in."""
        return frozenset(self._users.get(pod, ()))

    def set_service(self, name: str, value: Service | None) -> None:
        """A Service came, changed or (None) went."""
        if value is None:
            self.services.pop(name, None)
        else:
            self.services[name] = value

    def set_slice(self, name: str, before: Slice | None, after: Slice | None) -> None:
        """A slice came, changed, moved to another Service or (None) went."""
        if before is not None:
            members = self._slices[before.service]
            del members[name]
            if not members:
                del self._slices[before.service]
        if after is not None:
            self._slices.setdefault(after.service, {})[name] = after
        old, new = _uses(name, before), _uses(name, after)
        for pod, use in old - new:
            users = self._users[pod]
            users.discard(use)
            if not users:
                del self._users[pod]
        for pod, use in new - old:
            self._users.setdefault(pod, set()).add(use)

    def set_pod(self, name: str, value: Pod | None) -> None:
        """A pod came, changed or (None) went."""
        if value is None:
            self._pods.pop(name, None)
        else:
            self._pods[name] = value


def _uses(name: str, value: Slice | None) -> set[tuple[str, tuple[str, str]]]:
    if value is None:
        return set()
    return {(each.pod, (value.service, name)) for each in value.endpoints if each.pod}
