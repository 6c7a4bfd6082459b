"""Publishing in one Kubernetes cluster: watches what is Isthmus's there, and changes what is not as it should be.

    records, Services, slices -> plan -> requests -> the watch tells what came of them -> plan

Since what is there is watched, a Service that somebody deletes comes back, and what an earlier run left goes.
"""

import asyncio
import contextlib
import time
from collections.abc import Callable, Mapping
from random import Random
from typing import Any

import structlog

from isthmus.backoff import Backoff
from isthmus.discovery.error import RegistryError, SettingError
from isthmus.discovery.kubernetes.api import Api, ApiError
from isthmus.discovery.kubernetes.informer import Informer
from isthmus.discovery.kubernetes.kubeconfig import parse_kubeconfig
from isthmus.discovery.kubernetes.publication import (
    MANAGER,
    SERVICE_MANAGER_LABEL,
    SLICE_MANAGER_LABEL,
    Change,
    Plan,
    plan_publication,
)
from isthmus.discovery.publisher import Publisher, Report
from isthmus.discovery.record import VipRecord
from isthmus.discovery.setting import KubernetesSettings

UNCLAIMED = 60.0
"""Seconds for which a Service may have no slices before it is taken for left over: a site may be about to fill it."""
_SETTLE = 2.0
_WITHDRAW = 2.0

log = structlog.get_logger()


class KubernetesPublisher(Publisher):
    """See above and `Publisher`. `kubeconfig` is the content of the secret that the settings name."""

    def __init__(
        self,
        settings: KubernetesSettings,
        kubeconfig: str,
        report: Report,
        *,
        clock: Callable[[], float] = time.time,
        random: Random | None = None,
        unclaimed: float = UNCLAIMED,
    ) -> None:
        self._settings = settings
        self._kubeconfig = kubeconfig
        self._report = report
        self._clock = clock
        self._random = random or Random()  # noqa: S311 - spreads load, keeps no secret
        self._unclaimed_seconds = unclaimed
        self._records: frozenset[VipRecord] = frozenset()
        self._api: Api | None = None
        self._mistake = ""
        self._informers: tuple[Informer[dict[str, Any]], ...] = ()
        self._tasks: list[asyncio.Task[None]] = []
        self._something = asyncio.Event()
        self._left: set[str] = set()
        self._unclaimed: dict[str, float] = {}

    async def start(self) -> None:
        """See `Publisher`."""
        try:
            self._api = Api(parse_kubeconfig(self._kubeconfig, self._settings.context))
        except SettingError as error:
            self._mistake = str(error)
            self._tell(dict.fromkeys(self._records, self._mistake))
            return
        self._informers = (
            self._informer(self._api, "services", f"{SERVICE_MANAGER_LABEL}={MANAGER}"),
            self._informer(self._api, "endpointslices", f"{SLICE_MANAGER_LABEL}={MANAGER}"),
        )
        loop = asyncio.get_running_loop()
        self._tasks = [loop.create_task(each.run()) for each in self._informers]
        self._tasks.append(loop.create_task(self._run(self._api)))

    async def stop(self, *, withdraw: bool) -> None:
        """See `Publisher`."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        self._tasks = []
        if self._api is None:
            return
        self._records = frozenset()
        if withdraw and self._whole:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(_WITHDRAW):
                    await self._apply(self._api, self._plan())
        await self._api.close()
        self._api = None

    def publish(self, records: frozenset[VipRecord]) -> None:
        """See `Publisher`."""
        self._records = records
        self._something.set()
        if self._mistake:
            self._tell(dict.fromkeys(records, self._mistake))

    @property
    def _whole(self) -> bool:
        return bool(self._informers) and all(each.synced for each in self._informers)

    def _informer(self, api: Api, plural: str, selector: str) -> Informer[dict[str, Any]]:
        return Informer(
            api,
            _path(self._settings.publish_namespace, plural),
            _parse,
            lambda name, before, after: self._something.set(),
            self._something.set,
            clock=self._clock,
            random=self._random,
            selector=selector,
        )

    async def _run(self, api: Api) -> None:
        backoff = Backoff(self._random)
        while True:
            await self._something.wait()
            self._something.clear()
            unreadable = next((each.error for each in self._informers if each.error), "")
            if unreadable or not self._whole:
                self._tell(dict.fromkeys(self._records, unreadable) if unreadable else {})
                continue
            try:
                plan = self._plan()
                failures = await self._apply(api, plan)
            except Exception:  # what is in the cluster is not what any release wrote
                log.exception("kubernetes.publish_failed", host=api.host)
                self._tell(dict.fromkeys(self._records, f"{api.host}: what is there cannot be understood"))
                await asyncio.sleep(backoff.next_wait())
                continue
            self._tell(self._results(plan, failures))
            if failures:
                await self._pause(backoff.next_wait(max(each.retry_after for each in failures.values())))
                self._something.set()
            elif plan.changes:
                await self._settle()
            else:
                backoff.reset()
                self._wait_for_unclaimed()

    def _plan(self) -> Plan:
        services, slices = (each.objects for each in self._informers)
        now = asyncio.get_running_loop().time()
        late = {uid for uid, since in self._unclaimed.items() if now - since >= self._unclaimed_seconds}
        present = {item["metadata"]["uid"] for item in services.values()}
        namespace, owner = self._settings.publish_namespace, self._settings.owner
        plan = plan_publication(owner, namespace, self._records, services, slices, self._left | late)
        self._unclaimed = {uid: self._unclaimed.get(uid, now) for uid in plan.unclaimed | (late & present)}
        self._left &= present
        return plan

    async def _apply(self, api: Api, plan: Plan) -> dict[str, RegistryError]:
        """Make the changes; returns what went wrong, by Service. A failure ends the changes of its Service."""
        failures: dict[str, RegistryError] = {}
        for change in plan.changes:
            if change.service in failures:
                continue
            try:
                await self._make(api, change)
            except ApiError as error:
                if change.verb == "delete" and error.status == 404:
                    continue
                failures[change.service] = await self._explain(api, change, error)
            except RegistryError as error:
                failures[change.service] = error
        return failures

    async def _make(self, api: Api, change: Change) -> None:
        path = _path(self._settings.publish_namespace, change.plural)
        meta = change.item["metadata"]
        written = {"fieldValidation": "Strict", "fieldManager": MANAGER}
        match change.verb:
            case "create":
                await api.request("POST", path, written, change.item)
            case "replace":
                await api.request("PUT", f"{path}/{meta['name']}", written, change.item)
            case "delete":
                conditions = {"uid": meta["uid"], "resourceVersion": meta["resourceVersion"]}
                options = {"apiVersion": "v1", "kind": "DeleteOptions", "preconditions": conditions}
                await api.request("DELETE", f"{path}/{meta['name']}", {}, options)
                service = self._informers[0].objects.get(change.service)
                if change.plural == "endpointslices" and service is not None:
                    self._left.add(service["metadata"]["uid"])

    async def _explain(self, api: Api, change: Change, error: ApiError) -> RegistryError:
        """A name that is taken: by another site a moment ago, which is well, or by somebody else."""
        if error.reason != "AlreadyExists" or change.plural != "services":
            return error
        name = change.item["metadata"]["name"]
        namespace = self._settings.publish_namespace
        try:
            found = await api.request("GET", f"{_path(namespace, 'services')}/{name}")
        except RegistryError:
            return error
        if (found["metadata"].get("labels") or {}).get(SERVICE_MANAGER_LABEL) == MANAGER:
            return error
        return RegistryError(
            f"Service {name} exists in namespace {namespace} and is not Isthmus's; delete it, or publish elsewhere"
        )

    def _results(self, plan: Plan, failures: Mapping[str, RegistryError]) -> dict[VipRecord, str]:
        """What is known of each record: an error, or "" once nothing is to be done for it."""
        results: dict[VipRecord, str] = {}
        busy = {change.service for change in plan.changes}
        for record in self._records:
            service = plan.services.get(record, "")
            if record in plan.errors:
                results[record] = plan.errors[record]
            elif service in failures:
                if getattr(failures[service], "status", 0) != 409:  # of two writers one is told to look again
                    results[record] = str(failures[service])
            elif service not in busy:
                results[record] = ""
        return results

    def _tell(self, results: Mapping[VipRecord, str]) -> None:
        for record in sorted(results.keys() & self._records):
            self._report(record, results[record])

    async def _pause(self, seconds: float) -> None:
        """A pause that new records end."""
        records = self._records
        end = asyncio.get_running_loop().time() + seconds
        while records == self._records and (left := end - asyncio.get_running_loop().time()) > 0:
            self._something.clear()
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(left):
                    await self._something.wait()

    async def _settle(self) -> None:
        """Until the watch tells of the changes that were made; then, or when it does not, look again."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(_SETTLE):
                await self._something.wait()
        self._something.set()

    def _wait_for_unclaimed(self) -> None:
        if self._unclaimed:
            loop = asyncio.get_running_loop()
            due = min(self._unclaimed.values()) + self._unclaimed_seconds
            loop.call_later(max(0.0, due - loop.time()) + 0.01, self._something.set)


def _path(namespace: str, plural: str) -> str:
    group = "/api/v1" if plural == "services" else "/apis/discovery.k8s.io/v1"
    return f"{group}/namespaces/{namespace}/{plural}"


def _parse(item: Mapping[str, Any]) -> dict[str, Any]:
    """As it is, without the record of who set which field. Items of lists lack their kind."""
    kind, version = ("EndpointSlice", "discovery.k8s.io/v1") if "addressType" in item else ("Service", "v1")
    meta = {key: value for key, value in item["metadata"].items() if key != "managedFields"}
    return {**item, "apiVersion": version, "kind": kind, "metadata": meta}
