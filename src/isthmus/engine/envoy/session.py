"""One delta discovery stream, without IO: requests and changes go in, serialized responses come out.

Order within one flush (make before break):
1. clusters, each together with its endpoint assignment, then other endpoint assignments, then secrets;
2. listeners, routes and extension configurations, once Envoy has answered the clusters. Envoy holds that answer back
   until the new clusters are warm, so no route ever names a cluster that cannot serve yet. `GATE` bounds the wait,
   because one cluster that never warms must not hold up everything else;
3. removals, once everything that was made is answered, from the listeners down to the secrets.

Endpoint assignments alone pass at once, whatever else is waiting: that is how a change of health stays quick.

A refused response of several resources is split in halves and sent again, until each refusal names one resource:
Envoy drops good resources of a refused response with the bad (for routes and endpoints), so this is also what applies
the good ones.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from isthmus.engine.envoy.resource import (
    CLUSTER,
    ENDPOINT,
    EXTENSION,
    LISTENER,
    ROUTE,
    SECRET,
    TYPES,
    Nack,
    Resource,
    emit_response,
)

GATE = 5.0
"""Seconds that routes wait for clusters to warm, and removals for everything before them."""

_FIRST = (CLUSTER, ENDPOINT, SECRET)
_SECOND = (LISTENER, ROUTE, EXTENSION)
_REMOVAL = (LISTENER, ROUTE, EXTENSION, CLUSTER, ENDPOINT, SECRET)

Settle = Callable[[str, str, str | None, Nack | None], None]
"""Called with (type, name, version or None when gone, refusal or None) when Envoy has answered for a resource."""


@dataclass(slots=True)
class _Subscription:
    """What Envoy asked for, of one type, and what it was sent."""

    wildcard: bool = False
    names: set[str] = field(default_factory=set)
    sent: dict[str, str] = field(default_factory=dict)
    dirty: dict[str, bool] = field(default_factory=dict)
    """Names to look at; True sends the resource even if its version was sent before."""
    unanswered: dict[str, dict[str, str | None]] = field(default_factory=dict)
    """Nonce -> name -> version (None: removed)."""
    halves: list[list[str]] = field(default_factory=list)
    """Names of refused responses that are to be sent again, each group by itself."""
    refused: dict[str, Nack] = field(default_factory=dict)
    """The last refusal of each name, until another version of it is answered."""

    def wants(self, name: str) -> bool:
        return self.wildcard or name in self.names


class Session:
    """The server's side of one stream. `store` is read, never written; `settle` hears of every answer."""

    def __init__(self, store: Mapping[str, Mapping[str, Resource]], settle: Settle) -> None:
        self._store = store
        self._settle = settle
        self._subscriptions: dict[str, _Subscription] = {}
        self._unasked = {type_url: set(resources) for type_url, resources in store.items()}
        self._nonce = 0
        self._gate: float | None = None

    @property
    def deadline(self) -> float | None:
        """When `flush` has to be called again even if nothing happens; in the clock of `flush`, seconds."""
        return self._gate

    @property
    def _quiet(self) -> bool:
        """True once Envoy has all clusters and listeners, and so has asked for everything that those need: it asks
        before it answers."""
        if LISTENER not in self._subscriptions or CLUSTER not in self._subscriptions:
            return False
        both = (self._subscriptions[CLUSTER], self._subscriptions[LISTENER])
        return not any(each.unanswered or each.dirty or each.halves for each in both)

    def receive(self, request: Any) -> None:
        """Take one `DeltaDiscoveryRequest`: an answer, a change of subscription, or both."""
        if request.type_url not in TYPES:
            return
        subscription = self._subscriptions.get(request.type_url)
        first = subscription is None
        if subscription is None:
            subscription = self._subscriptions[request.type_url] = _Subscription()
        if request.response_nonce:
            message = request.error_detail.message or "refused" if request.HasField("error_detail") else None
            self._answered(request.type_url, subscription, request.response_nonce, message)
        for name in request.resource_names_unsubscribe:
            self._unsubscribe(subscription, name)
        if first:
            self._open(request.type_url, subscription, request)
            return
        for name in request.resource_names_subscribe:
            if name == "*":
                subscription.wildcard = True
                subscription.dirty.update(dict.fromkeys(self._store.get(request.type_url, {}), False))
            else:
                subscription.names.add(name)
                subscription.dirty[name] = True

    def change(self, type_url: str, names: Iterable[str]) -> None:
        """Note that the store's resources `names` have changed, appeared or gone."""
        subscription = self._subscriptions.get(type_url)
        if subscription is None:  # the first request for the type compares everything
            self._unasked.setdefault(type_url, set()).update(names)
            return
        for name in names:
            subscription.dirty.setdefault(name, False)

    def again(self, type_url: str, names: Iterable[str]) -> None:
        """Send resources that were sent before once more: Envoy may have refused them for a reason outside of them."""
        subscription = self._subscriptions.get(type_url)
        if subscription is not None:
            subscription.dirty.update(dict.fromkeys(names, True))

    def flush(self, now: float) -> list[bytes]:
        """Return the responses that can be sent at `now` (seconds, any monotonic clock)."""
        out: list[bytes] = []
        if self._quiet:
            self._settle_unasked()
        for type_url in _FIRST:
            self._make(type_url, out)
        expired = self._gate is not None and now >= self._gate
        if expired or not self._unanswered(CLUSTER):
            for type_url in _SECOND:
                self._make(type_url, out)
            if expired or not any(self._unanswered(type_url) for type_url in (CLUSTER, *_SECOND)):
                for type_url in _REMOVAL:
                    self._break(type_url, out)
        self._gate = self._next_gate(now, expired)
        return out

    def _open(self, type_url: str, subscription: _Subscription, request: Any) -> None:
        """First request for a type on this stream: compare what Envoy says it holds with the store."""
        held = dict(request.initial_resource_versions)
        subscription.sent.update(held)
        names = list(request.resource_names_subscribe)
        subscription.wildcard = "*" in names or (not names and type_url in (LISTENER, CLUSTER))
        subscription.names.update(name for name in names if name != "*")
        resources = self._store.get(type_url, {})
        for name, version in held.items():
            resource = resources.get(name)
            if resource is not None and resource.version == version:
                self._settle(type_url, name, version, None)
        self._unasked.pop(type_url, None)
        # What is not asked for by name is in it too: it may be asked for soon, and counts as settled once it is not.
        for name in {*resources, *subscription.names, *(held if subscription.wildcard else ())}:
            resource = resources.get(name)
            if resource is None or held.get(name) != resource.version:
                subscription.dirty[name] = name not in held
        if subscription.wildcard and not held and not resources:
            subscription.halves.append([])  # Envoy waits for the first answer, even an empty one

    def _settle_unasked(self) -> None:
        """Resources of types that Envoy has no use for are as good as answered."""
        for type_url, names in self._unasked.items():
            resources = self._store.get(type_url, {})
            for name in names:
                resource = resources.get(name)
                self._settle(type_url, name, resource.version if resource else None, None)
        self._unasked.clear()

    def _unsubscribe(self, subscription: _Subscription, name: str) -> None:
        if name == "*":
            subscription.wildcard = False
            return
        subscription.names.discard(name)
        if not subscription.wildcard:
            subscription.sent.pop(name, None)

    def _answered(self, type_url: str, subscription: _Subscription, nonce: str, message: str | None) -> None:
        versions = subscription.unanswered.pop(nonce, None)
        if versions is None:
            return
        made = [name for name, version in versions.items() if version is not None]
        if message is not None and len(made) > 1:
            middle = len(made) // 2
            subscription.halves += [made[:middle], made[middle:]]
            made = []
        for name in made:
            version = versions[name]
            assert version is not None
            nack = Nack(type_url, name, version, message) if message is not None else None
            if nack is not None:
                subscription.refused[name] = nack
            else:
                subscription.refused.pop(name, None)
            self._settle(type_url, name, version, nack)
        for name, version in versions.items():
            if version is None:
                self._settle(type_url, name, None, None)

    def _make(self, type_url: str, out: list[bytes]) -> None:
        """Send what has changed or appeared, halves of refused responses apart from the rest."""
        subscription = self._subscriptions.get(type_url)
        if subscription is None or not (subscription.dirty or subscription.halves):
            return
        resources = self._store.get(type_url, {})
        batch: list[Resource] = []
        quiet = self._quiet
        for name, forced in list(subscription.dirty.items()):
            resource = resources.get(name)
            if not subscription.wants(name):
                if quiet:
                    del subscription.dirty[name]
                    self._settle(type_url, name, resource.version if resource else None, None)
                continue
            if resource is None:
                continue  # a removal, for later
            del subscription.dirty[name]
            if forced or subscription.sent.get(name) != resource.version:
                batch.append(resource)
            elif not any(name in versions for versions in subscription.unanswered.values()):
                refused = subscription.refused.get(name)
                self._settle(type_url, name, resource.version, refused)
        if batch:
            out.append(self._send(type_url, subscription, batch, ()))
        halves, subscription.halves = subscription.halves, []
        for names in halves:
            again = [resources[name] for name in names if name in resources]
            if again or not names:
                out.append(self._send(type_url, subscription, again, ()))
        if type_url == CLUSTER:
            self._accompany(batch)

    def _accompany(self, clusters: Iterable[Resource]) -> None:
        """Resend the assignments of changed clusters: Envoy does not ask again and would warm them for 15 s."""
        endpoints = self._subscriptions.get(ENDPOINT)
        if endpoints is not None:
            for cluster in clusters:
                if cluster.name in endpoints.names:
                    endpoints.dirty[cluster.name] = True

    def _break(self, type_url: str, out: list[bytes]) -> None:
        subscription = self._subscriptions.get(type_url)
        if subscription is None or not subscription.dirty:
            return
        resources = self._store.get(type_url, {})
        gone = [name for name in subscription.dirty if name not in resources and subscription.wants(name)]
        named = []
        for name in gone:
            forced = subscription.dirty.pop(name)
            if forced or name in subscription.sent:
                named.append(name)
            else:
                self._settle(type_url, name, None, None)
        if named:
            out.append(self._send(type_url, subscription, (), named))

    def _send(
        self, type_url: str, subscription: _Subscription, made: Iterable[Resource], removed: Iterable[str]
    ) -> bytes:
        self._nonce += 1
        nonce = str(self._nonce)
        made, removed = list(made), list(removed)
        versions: dict[str, str | None] = {resource.name: resource.version for resource in made}
        for resource in made:
            subscription.sent[resource.name] = resource.version
        for name in removed:
            versions[name] = None
            subscription.sent.pop(name, None)
        subscription.unanswered[nonce] = versions
        return emit_response(type_url, nonce, made, removed)

    def _unanswered(self, type_url: str) -> bool:
        subscription = self._subscriptions.get(type_url)
        return subscription is not None and bool(subscription.unanswered)

    def _next_gate(self, now: float, expired: bool) -> float | None:
        """A deadline runs while anything waits, from when it started to wait."""
        if not any(subscription.dirty for subscription in self._subscriptions.values()):
            return None
        return now + GATE if self._gate is None or expired else self._gate
