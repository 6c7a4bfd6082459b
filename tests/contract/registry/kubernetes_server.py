"""A strict stand-in for the Kubernetes API server: what discovery uses of core/v1 and discovery.k8s.io/v1.

It refuses what a real one refuses (unknown fields, broken names, immutable fields, stale versions, expired tokens), and
beyond that every query parameter that it does not know. Written from "Kubernetes API Concepts", the API's OpenAPI
description and the validation of Kubernetes 1.36.
"""

from __future__ import annotations

import asyncio
import base64
import copy
import json
import secrets
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from aiohttp import web

from .kubernetes_request import (
    Refused,
    Rule,
    allowed,
    json_body,
    key_of,
    locate,
    parameters,
    selector,
    status_answer,
    status_object,
    verb_of,
)
from .kubernetes_rule import check, check_change, default
from .kubernetes_store import RESOURCES, Object, Resource, Store
from .schema import violations
from .stand_in import StandIn

_LIST_PARAMETERS = {"limit", "continue", "labelSelector", "fieldSelector", "resourceVersion", "resourceVersionMatch"}
_WATCH_PARAMETERS = {
    "watch",
    "allowWatchBookmarks",
    "timeoutSeconds",
    "resourceVersion",
    "labelSelector",
    "fieldSelector",
}
_WRITE_PARAMETERS = {"fieldValidation", "fieldManager", "dryRun"}


@dataclass
class KubernetesServer(StandIn):
    """See above. `tokens` and `users` (names in client certificates) say who may what; change them at any time."""

    tokens: dict[str, tuple[Rule, ...]] = field(default_factory=dict)
    users: dict[str, tuple[Rule, ...]] = field(default_factory=dict)
    bookmark_seconds: float = 60.0
    special_addresses: bool = False
    """Whether slices may hold loopback addresses, which a real API server refuses."""

    store: Store = field(default_factory=Store)
    requests: list[str] = field(default_factory=list)
    """Method, path and query of each request, in order."""
    refuse: Callable[[str, str], int | None] | None = None
    """A fault: gets method and path with query, returns a status to answer with, or None."""
    gone_as_answer: bool = False
    """Whether a version that is too old is refused at once, not as an event of the watch: servers do either."""
    _open: dict[web.StreamResponse, asyncio.Transport] = field(default_factory=dict)
    _pages: dict[str, tuple[int, list[Object]]] = field(default_factory=dict)

    @property
    def watching(self) -> int:
        """How many watches are open."""
        return len(self._open)

    def drop(self) -> None:
        """Cut the connections of all watches, as a load balancer that restarts."""
        for transport in tuple(self._open.values()):
            transport.abort()

    def put(self, item: Object) -> Object:
        """Store an object as a controller of the cluster would, past authorization but not past validation."""
        item = copy.deepcopy(item)
        resource = next(each for each in RESOURCES.values() if each.kind == item["kind"])
        default(item)
        wrong = violations(item, resource.model) + check(item, special_addresses=self.special_addresses)
        assert not wrong, wrong
        return self.store.put(resource.plural, item)

    def remove(self, plural: str, namespace: str, name: str) -> None:
        self.store.remove(plural, namespace, name)

    async def _handle(self, request: web.Request) -> web.StreamResponse:
        self.requests.append(f"{request.method} {request.path_qs}")
        status = self.refuse(request.method, request.path_qs) if self.refuse is not None else None
        if status is not None:
            return status_answer(status, "a fault of the test")
        rules = self._authenticate(request)
        if rules is None:
            return status_answer(401, "Unauthorized")
        if request.path == "/version":
            return web.json_response({"major": "1", "minor": "36", "gitVersion": "v1.36.0-stand-in"})
        found = locate(request.path)
        if found is None:
            return status_answer(404, "the server could not find the requested resource")
        resource, namespace, name = found
        verb = verb_of(request, name)
        if verb is None:
            return status_answer(405, "the server does not allow this method on the requested resource")
        if not allowed(rules, verb, resource, namespace):
            scope = f'in the namespace "{namespace}"' if namespace else "at the cluster scope"
            text = f'cannot {verb} resource "{resource.plural}" in API group "{resource.group}" {scope}'
            return status_answer(403, f'{resource.plural} is forbidden: User "test" {text}')
        try:
            return await self._serve(request, verb, resource, namespace, name)
        except Refused as error:
            return status_answer(error.status, str(error), error.reason)

    def _authenticate(self, request: web.Request) -> tuple[Rule, ...] | None:
        scheme, _, token = request.headers.get("authorization", "").partition(" ")
        if scheme:
            return self.tokens.get(token) if scheme == "Bearer" else None
        certificate = request.transport.get_extra_info("peercert") if request.transport else None
        for part in certificate.get("subject", ()) if certificate else ():
            for key, value in part:
                if key == "commonName":
                    return self.users.get(value)
        return () if not certificate else None

    async def _serve(
        self, request: web.Request, verb: str, resource: Resource, namespace: str, name: str
    ) -> web.StreamResponse:
        match verb:
            case "list":
                return self._list(request, resource, namespace)
            case "watch":
                return await self._watch(request, resource, namespace)
            case "get":
                parameters(request, set())
                return web.json_response(self._existing(resource, namespace, name))
            case "create":
                return await self._create(request, resource, namespace)
            case "update":
                return await self._update(request, resource, namespace, name)
            case _:
                return await self._delete(request, resource, namespace, name)

    def _existing(self, resource: Resource, namespace: str, name: str) -> Object:
        found = self.store.get(resource.plural, namespace, name)
        if found is None:
            raise Refused(404, f'{resource.plural} "{name}" not found')
        return found

    def _list(self, request: web.Request, resource: Resource, namespace: str) -> web.Response:
        given = parameters(request, _LIST_PARAMETERS)
        selects = selector(given)
        limit, token = int(given.get("limit", "0")), given.get("continue", "")
        version = self.store.version
        if token:
            if given.get("resourceVersion", ""):
                raise Refused(400, "specifying resource version is not allowed when using continue")
            version, items = self._page(token)
        else:
            items = [each for each in self.store.objects(resource.plural, namespace) if selects(each)]
        meta: dict[str, Any] = {"resourceVersion": str(version)}
        if limit and len(items) > limit:
            items, rest = items[:limit], items[limit:]
            start = json.dumps({"v": "meta.k8s.io/v1", "rv": version, "start": key_of(items[-1])})
            meta["continue"] = base64.urlsafe_b64encode(start.encode()).decode()
            self._pages[meta["continue"]] = version, rest
            if not given.get("labelSelector"):
                meta["remainingItemCount"] = len(rest)
        bare = [{key: value for key, value in each.items() if key not in ("kind", "apiVersion")} for each in items]
        answer = {"kind": f"{resource.kind}List", "apiVersion": resource.api_version, "metadata": meta, "items": bare}
        return web.json_response(answer)

    def _page(self, token: str) -> tuple[int, list[Object]]:
        """The rest of a list, as it was when the list began."""
        found = self._pages.get(token)
        if found is None:
            raise Refused(400, "continue key is not valid")
        if found[0] < self.store.compacted:
            text = "The provided continue parameter is too old to display a consistent list result."
            raise Refused(410, text, "Expired")
        return found

    async def _watch(self, request: web.Request, resource: Resource, namespace: str) -> web.StreamResponse:
        given = parameters(request, _WATCH_PARAMETERS)
        selects = selector(given)
        text = given.get("resourceVersion", "")
        if text and not text.isdigit():
            raise Refused(400, f'resourceVersion: Invalid value: "{text}"')
        version = int(text or 0)
        if version > self.store.version:
            raise Refused(504, f"Too large resource version: {version}, current: {self.store.version}")
        old = 0 < version < self.store.compacted
        if old and self.gone_as_answer:
            raise Refused(410, f"too old resource version: {version} ({self.store.compacted})", "Expired")
        response = web.StreamResponse(headers={"content-type": "application/json"})
        await response.prepare(request)
        assert request.transport is not None
        self._open[response] = request.transport
        try:
            if old:
                gone = status_object(410, f"too old resource version: {version} ({self.store.compacted})", "Expired")
                await _event(response, "ERROR", gone)
            else:
                await self._follow(response, given, resource, namespace, selects, version)
            await response.write_eof()
        except ConnectionError:
            pass
        finally:
            del self._open[response]
        return response

    async def _follow(
        self,
        response: web.StreamResponse,
        given: dict[str, str],
        resource: Resource,
        namespace: str,
        selects: Callable[[Object], bool],
        version: int,
    ) -> None:
        loop = asyncio.get_running_loop()
        end = loop.time() + float(given.get("timeoutSeconds") or 1800)
        bookmarks = given.get("allowWatchBookmarks") in ("true", "1")
        if not version:
            version = self.store.version
            for each in self.store.objects(resource.plural, namespace):
                if selects(each):
                    await _event(response, "ADDED", each)
        marked = loop.time()
        while True:
            for change in self.store.since(version):
                version = change.version
                event = _seen(change, resource, namespace, selects)
                if event is not None:
                    await _event(response, *event)
            now = loop.time()
            if bookmarks and (now - marked >= self.bookmark_seconds or now >= end):
                marked = now
                meta = {"resourceVersion": str(self.store.version), "creationTimestamp": None}
                version = self.store.version
                mark = {"kind": resource.kind, "apiVersion": resource.api_version, "metadata": meta}
                await _event(response, "BOOKMARK", mark)
            if now >= end:
                return
            await self.store.wait(min(end, marked + self.bookmark_seconds if bookmarks else end) - now)

    async def _create(self, request: web.Request, resource: Resource, namespace: str) -> web.Response:
        item = await self._body(request, resource, namespace)
        meta = item["metadata"]
        if meta.get("resourceVersion"):
            raise Refused(400, "resourceVersion should not be set on objects to be created")
        if not meta.get("name") and meta.get("generateName"):
            meta["name"] = meta["generateName"] + secrets.token_hex(3)[:5]
        if not meta.get("name"):
            raise Refused(
                422, f"{resource.kind} is invalid: metadata.name: Required value: name or generateName", "Invalid"
            )
        if resource.namespaced and self.store.get("namespaces", "", namespace) is None:
            raise Refused(404, f'namespaces "{namespace}" not found')
        if self.store.get(resource.plural, namespace, meta["name"]) is not None:
            raise Refused(409, f'{resource.plural} "{meta["name"]}" already exists', "AlreadyExists")
        default(item, f"10.96.0.{self.store.version % 250 + 1}")
        self._check(item, resource)
        return web.json_response(self.store.put(resource.plural, item), status=201)

    async def _update(self, request: web.Request, resource: Resource, namespace: str, name: str) -> web.Response:
        item = await self._body(request, resource, namespace)
        meta, before = item["metadata"], self._existing(resource, namespace, name)
        if meta.get("name") != name:
            raise Refused(
                400, f"the name of the object ({meta.get('name')}) does not match the name on the URL ({name})"
            )
        _same_version(meta, before, resource, name)
        default(item, before.get("spec", {}).get("clusterIP", ""))
        wrong = check_change(before, item)
        if wrong:
            raise Refused(422, f'{resource.kind} "{name}" is invalid: {"; ".join(wrong)}', "Invalid")
        self._check(item, resource)
        return web.json_response(self.store.put(resource.plural, item))

    async def _delete(self, request: web.Request, resource: Resource, namespace: str, name: str) -> web.Response:
        parameters(request, {"gracePeriodSeconds", "propagationPolicy"})
        before = self._existing(resource, namespace, name)
        if request.can_read_body:
            options = await json_body(request)
            wrong = violations(options, "V1DeleteOptions")
            if wrong:
                raise Refused(400, "; ".join(wrong))
            wanted = options.get("preconditions") or {}
            for key in ("uid", "resourceVersion"):
                if wanted.get(key) not in (None, before["metadata"][key]):
                    text = f"the {key} in the precondition ({wanted[key]}) does not match the one in record"
                    raise Refused(409, f'Operation cannot be fulfilled on {resource.plural} "{name}": {text}')
        gone = self.store.remove(resource.plural, namespace, name)
        if resource.plural == "services":  # the garbage collector, by owner references; slices follow their Service
            for each in self.store.objects("endpointslices", namespace):
                owners = {owner["uid"] for owner in each["metadata"].get("ownerReferences") or ()}
                if gone["metadata"]["uid"] in owners:
                    self.store.remove("endpointslices", namespace, each["metadata"]["name"])
        details = {"name": name, "kind": resource.plural, "uid": gone["metadata"]["uid"]}
        return web.json_response({"kind": "Status", "apiVersion": "v1", "status": "Success", "details": details})

    async def _body(self, request: web.Request, resource: Resource, namespace: str) -> Object:
        parameters(request, _WRITE_PARAMETERS)
        item = await json_body(request)
        if item.get("apiVersion") != resource.api_version or item.get("kind") != resource.kind:
            raise Refused(400, f"the object provided is not a {resource.api_version} {resource.kind}")
        wrong = violations(item, resource.model)
        if wrong:
            raise Refused(400, f"strict decoding error: {', '.join(wrong)}")
        meta = item.setdefault("metadata", {})
        if meta.setdefault("namespace", namespace) != namespace:
            raise Refused(400, "the namespace of the provided object does not match the namespace sent on the request")
        if not resource.namespaced:
            del meta["namespace"]
        return item

    def _check(self, item: Object, resource: Resource) -> None:
        wrong = check(item, special_addresses=self.special_addresses)
        if wrong:
            name = item["metadata"]["name"]
            raise Refused(422, f'{resource.kind} "{name}" is invalid: {"; ".join(wrong)}', "Invalid")


def _same_version(meta: Object, before: Object, resource: Resource, name: str) -> None:
    if meta.get("uid") not in (None, "", before["metadata"]["uid"]):
        text = (
            f"Precondition failed: UID in precondition: {meta['uid']}, UID in object meta: {before['metadata']['uid']}"
        )
        raise Refused(409, f'Operation cannot be fulfilled on {resource.plural} "{name}": {text}')
    if meta.get("resourceVersion") not in (None, "", before["metadata"]["resourceVersion"]):
        text = "the object has been modified; please apply your changes to the latest version and try again"
        raise Refused(409, f'Operation cannot be fulfilled on {resource.plural} "{name}": {text}')


def _seen(
    change: Any, resource: Resource, namespace: str, selects: Callable[[Object], bool]
) -> tuple[str, Object] | None:
    """What a watch with a selector makes of a change: what leaves the selection is deleted, with its last version."""
    if change.plural != resource.plural:
        return None
    either = change.after or change.before
    if namespace and either["metadata"]["namespace"] != namespace:
        return None
    before = change.before is not None and selects(change.before)
    after = change.after is not None and selects(change.after)
    if after:
        return ("MODIFIED" if before else "ADDED"), change.after
    if not before:
        return None
    gone = copy.deepcopy(change.before)
    gone["metadata"]["resourceVersion"] = str(change.version)
    return "DELETED", gone


async def _event(response: web.StreamResponse, kind: str, item: Object) -> None:
    await response.write(json.dumps({"type": kind, "object": item}, separators=(",", ":")).encode() + b"\n")
