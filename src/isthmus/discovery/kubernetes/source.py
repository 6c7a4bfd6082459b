"""Discovery in one Kubernetes cluster: an informer per collection and namespace, a view per query.

    queries -> the collections that they need -> informers -> mirrors -> views -> answers

Answers go out once per turn of the event loop, however many events came in it. A query is answered when all
collections that it needs are whole; while one of them fails, the last answer is as old as the API server's last word.
"""

import asyncio
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from random import Random
from typing import Any

from isthmus.discovery.error import SettingError
from isthmus.discovery.found import Answer, failed
from isthmus.discovery.kubernetes.api import Api
from isthmus.discovery.kubernetes.fact import (
    Node,
    Pod,
    Service,
    Slice,
    parse_node,
    parse_pod,
    parse_service,
    parse_slice,
)
from isthmus.discovery.kubernetes.informer import Informer
from isthmus.discovery.kubernetes.kubeconfig import parse_kubeconfig
from isthmus.discovery.kubernetes.mirror import Mirror
from isthmus.discovery.kubernetes.view import View
from isthmus.discovery.query import KubernetesQuery, Query
from isthmus.discovery.setting import KubernetesSettings
from isthmus.discovery.source import Listen, Source

NODES = "/api/v1/nodes"
_Collection = str
"""Path of what is listed and watched."""


@dataclass
class _Scope:
    """A namespace: what is known of it, and what is asked of it."""

    mirror: Mirror
    views: dict[KubernetesQuery, View] = field(default_factory=dict)


@dataclass
class _Running:
    informer: Informer[Any]
    task: asyncio.Task[None]


class KubernetesSource(Source):
    """See above and `Source`. `kubeconfig` is the content of the secret that the settings name."""

    def __init__(
        self,
        settings: KubernetesSettings,
        kubeconfig: str,
        listen: Listen,
        *,
        clock: Callable[[], float] = time.time,
        random: Random | None = None,
    ) -> None:
        self._settings = settings
        self._kubeconfig = kubeconfig
        self._listen = listen
        self._clock = clock
        self._random = random or Random()  # noqa: S311 - spreads load, keeps no secret
        self._api: Api | None = None
        self._mistake = ""
        self._running = False
        self._queries: frozenset[KubernetesQuery] = frozenset()
        self._informers: dict[_Collection, _Running] = {}
        self._ended: set[asyncio.Task[None]] = set()
        self._nodes: dict[str, Node] = {}
        self._scopes: dict[str, _Scope] = {}
        self._broken: dict[KubernetesQuery, str] = {}
        self._dirty: set[KubernetesQuery] = set()
        self._failed: set[KubernetesQuery] = set()
        self._flushing = False

    async def start(self) -> None:
        """See `Source`."""
        self._running = True
        try:
            self._api = Api(parse_kubeconfig(self._kubeconfig, self._settings.context))
        except SettingError as error:
            self._mistake = str(error)
        self._reconcile()

    async def stop(self) -> None:
        """See `Source`."""
        self._running = False
        self._queries = frozenset()
        self._reconcile()
        await asyncio.gather(*self._ended, return_exceptions=True)
        if self._api is not None:
            await self._api.close()
            self._api = None

    def watch(self, queries: frozenset[Query]) -> None:
        """See `Source`."""
        self._queries = frozenset(each for each in queries if isinstance(each, KubernetesQuery))
        if self._running:
            self._reconcile()

    def _reconcile(self) -> None:
        """Bring views and informers to what the queries need."""
        for namespace, scope in tuple(self._scopes.items()):
            for query in scope.views.keys() - self._queries:
                del scope.views[query]
            if not scope.views and not any(each.namespace == namespace for each in self._queries):
                del self._scopes[namespace]
        for memory in (self._dirty, self._failed):
            memory &= self._queries
        self._broken = {query: why for query, why in self._broken.items() if query in self._queries}
        for query in self._queries:
            scope = self._scopes.setdefault(query.namespace, _Scope(Mirror(self._nodes)))
            if query in scope.views or query in self._broken:
                continue
            try:
                scope.views[query] = View(query, scope.mirror)
            except ValueError as error:
                self._broken[query] = f"the selector is not understood: {error}"
            self._touch(query)
        self._reconcile_informers()

    def _reconcile_informers(self) -> None:
        wanted = {path for query in self._queries for path in self._needs(query)} if self._api is not None else set()
        for path in self._informers.keys() - wanted:
            running = self._informers.pop(path)
            running.task.cancel()
            self._ended.add(running.task)
            running.task.add_done_callback(self._ended.discard)
            if path == NODES:
                self._nodes.clear()
        for path in sorted(wanted - self._informers.keys()):
            informer = self._make(path)
            self._informers[path] = _Running(informer, asyncio.get_running_loop().create_task(informer.run()))

    def _needs(self, query: KubernetesQuery) -> tuple[_Collection, ...]:
        core = f"/api/v1/namespaces/{query.namespace}"
        found = [f"{core}/services", f"/apis/discovery.k8s.io/v1/namespaces/{query.namespace}/endpointslices"]
        if query.addresses == "node-ports":
            found.append(NODES)
        elif self._settings.pod_labels:
            found.append(f"{core}/pods")
        return tuple(found)

    def _make(self, path: _Collection) -> Informer[Any]:
        if self._api is None:
            raise AssertionError("an informer without an API server")
        parse, changed = self._roles(path)

        def told() -> None:
            for scope in self._scopes.values():
                for query in scope.views:
                    if path in self._needs(query):
                        self._touch(query)

        return Informer(self._api, path, parse, changed, told, clock=self._clock, random=self._random)

    def _roles(self, path: _Collection) -> tuple[Callable[[Mapping[str, Any]], Any], Callable[[str, Any, Any], None]]:
        """How a collection's items are parsed, and what their changes change."""
        if path == NODES:
            return parse_node, self._node_changed
        scope = self._scopes[path.split("/")[-2]]

        def service_changed(name: str, _: Service | None, after: Service | None) -> None:
            scope.mirror.set_service(name, after)
            self._touch_changed(scope, lambda view: view.service_changed(name))

        def slice_changed(name: str, before: Slice | None, after: Slice | None) -> None:
            scope.mirror.set_slice(name, before, after)
            services = {each.service for each in (before, after) if each is not None}
            self._touch_changed(scope, lambda view: view.slices_changed((service, name) for service in services))

        def pod_changed(name: str, _: Pod | None, after: Pod | None) -> None:
            scope.mirror.set_pod(name, after)
            users = scope.mirror.users(name)
            self._touch_changed(scope, lambda view: view.pods_changed(users))

        match path.rpartition("/")[2]:
            case "services":
                return parse_service, service_changed
            case "endpointslices":
                return parse_slice, slice_changed
            case _:
                return parse_pod, pod_changed

    def _node_changed(self, name: str, _: Node | None, after: Node | None) -> None:
        if after is None:
            self._nodes.pop(name, None)
        else:
            self._nodes[name] = after
        for scope in self._scopes.values():
            self._touch_changed(scope, View.nodes_changed)

    def _touch_changed(self, scope: _Scope, change: Callable[[View], bool]) -> None:
        for query, view in scope.views.items():
            if change(view):
                self._touch(query)

    def _touch(self, query: KubernetesQuery) -> None:
        self._dirty.add(query)
        if not self._flushing:
            self._flushing = True
            asyncio.get_running_loop().call_soon(self._flush)

    def _flush(self) -> None:
        self._flushing = False
        dirty, self._dirty = self._dirty, set()
        for query in sorted(dirty & self._queries):
            self._answer(query)

    def _answer(self, query: KubernetesQuery) -> None:
        now = self._clock()
        mistake = self._mistake or self._broken.get(query, "")
        if mistake:
            self._listen(query, failed(now, mistake))
            return
        view = self._scopes[query.namespace].views[query]
        informers = [self._informers[path].informer for path in self._needs(query)]
        whole = all(each.synced for each in informers)
        error = next((each.error for each in informers if each.error), "")
        if not error and not whole:
            return
        if whole and not view.hopeless and (not error or query not in self._failed):
            heard = min(each.heard for each in informers) if error else now
            self._listen(query, Answer(heard, view.found, view.problem))
        if error or view.hopeless:
            self._listen(query, failed(now, error or view.problem))
        if error:
            self._failed.add(query)
        else:
            self._failed.discard(query)
