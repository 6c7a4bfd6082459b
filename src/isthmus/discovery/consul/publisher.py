"""Publishing in Consul: registers virtual hosts at the site's agent, and keeps their TTL checks passing.

Every `REFRESH` seconds, and when the records change: ask the agent what of this site is registered, make the
difference, refresh the checks of the rest. So an agent that has lost its memory is told anew.
"""

import asyncio
import contextlib
from collections.abc import Awaitable, Mapping
from random import Random
from urllib.parse import quote

import structlog

from isthmus.backoff import Backoff
from isthmus.discovery.consul.api import Api
from isthmus.discovery.consul.api import ApiError as Refusal
from isthmus.discovery.consul.registration import OWNER, Json, Plan, check_id, owner_filter, plan_registration
from isthmus.discovery.error import RegistryError, SettingError
from isthmus.discovery.publisher import Publisher, Report
from isthmus.discovery.record import VipRecord
from isthmus.discovery.setting import ConsulSettings

REFRESH = 60.0
_WITHDRAW = 2.0

log = structlog.get_logger()


class ConsulPublisher(Publisher):
    """See above and `Publisher`. `token` and `client_key` are the contents of the secrets that the settings name."""

    def __init__(
        self,
        settings: ConsulSettings,
        report: Report,
        *,
        token: str = "",
        client_key: str = "",
        random: Random | None = None,
        refresh: float = REFRESH,
    ) -> None:
        self._settings = settings
        self._report = report
        self._token = token
        self._client_key = client_key
        self._random = random or Random()  # noqa: S311 - spreads load, keeps no secret
        self._refresh = refresh
        self._records: frozenset[VipRecord] = frozenset()
        self._api: Api | None = None
        self._mistake = ""
        self._task: asyncio.Task[None] | None = None
        self._changed = asyncio.Event()
        scope = (("ns", settings.namespace), ("partition", settings.partition))
        self._scope = [(key, value) for key, value in scope if value]

    async def start(self) -> None:
        """See `Publisher`."""
        try:
            self._api = Api(self._settings, self._token, self._client_key)
        except SettingError as error:
            self._mistake = str(error)
            self._tell(dict.fromkeys(self._records, self._mistake))
            return
        self._task = asyncio.get_running_loop().create_task(self._run(self._api))

    async def stop(self, *, withdraw: bool) -> None:
        """See `Publisher`."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
            self._task = None
        if self._api is None:
            return
        if withdraw:
            self._records = frozenset()
            with contextlib.suppress(TimeoutError, RegistryError):
                async with asyncio.timeout(_WITHDRAW):
                    await self._apply(self._api)
        await self._api.close()
        self._api = None

    def publish(self, records: frozenset[VipRecord]) -> None:
        """See `Publisher`."""
        self._records = records
        self._changed.set()
        if self._mistake:
            self._tell(dict.fromkeys(records, self._mistake))

    async def _run(self, api: Api) -> None:
        backoff = Backoff(self._random)
        while True:
            self._changed.clear()
            wait = self._refresh
            try:
                results, worst = await self._apply(api)
                if worst is None:
                    backoff.reset()
                else:
                    wait = min(wait, backoff.next_wait(worst.retry_after))
            except RegistryError as error:
                results = dict.fromkeys(self._records, str(error))
                wait = backoff.next_wait(error.retry_after)
            except Exception as error:  # an answer that nobody foresaw: the next may be better
                log.exception("consul.publish_failed", host=api.host)
                text = f"{api.host} is not understood ({type(error).__name__})"
                results, wait = dict.fromkeys(self._records, text), backoff.next_wait()
            self._tell(results)
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(wait):
                    await self._changed.wait()

    async def _apply(self, api: Api) -> tuple[dict[VipRecord, str], RegistryError | None]:
        """Make the agent know the records; returns what became of each, and the last failure.

        Raises:
            RegistryError: the agent could not even say what it knows.
        """
        records = self._records
        reading = await api.get("/v1/agent/services", [("filter", owner_filter(self._settings.owner)), *self._scope])
        plan = plan_registration(self._settings.owner, records, reading.content)
        failures: dict[str, RegistryError] = {}
        for key in sorted(plan.remove):
            await self._try(failures, key, self._remove(api, key))
        for key in sorted(plan.register):
            await self._try(failures, key, self._register(api, plan.register[key]))
        for key in sorted(plan.keep):
            await self._try(failures, key, self._pass(api, key))
        return _results(plan, failures), next(iter(failures.values()), None)

    async def _try(self, failures: dict[str, RegistryError], key: str, action: Awaitable[None]) -> None:
        try:
            await action
        except RegistryError as error:
            failures[key] = error

    async def _register(self, api: Api, instance: Json) -> None:
        name = instance["Name"]
        known = await api.get(f"/v1/health/service/{quote(name, safe='')}", self._scope)
        for entry in known.content:
            if OWNER not in (entry["Service"].get("Meta") or {}):
                raise RegistryError(
                    f"the service {name} is not Isthmus's; remove it from Consul, or name another domain"
                )
        fields = {"Namespace": self._settings.namespace, "Partition": self._settings.partition}
        body = {**instance, **{key: value for key, value in fields.items() if value}}
        await api.put("/v1/agent/service/register", [("replace-existing-checks", "true"), *self._scope], body)

    async def _pass(self, api: Api, key: str) -> None:
        await api.put(f"/v1/agent/check/pass/{quote(check_id(key), safe='')}", self._scope)

    async def _remove(self, api: Api, key: str) -> None:
        try:
            await api.put(f"/v1/agent/service/deregister/{quote(key, safe='')}", self._scope)
        except Refusal as error:
            if error.status != 404:  # it is gone
                raise

    def _tell(self, results: Mapping[VipRecord, str]) -> None:
        for record in sorted(results.keys() & self._records):
            self._report(record, results[record])


def _results(plan: Plan, failures: Mapping[str, RegistryError]) -> dict[VipRecord, str]:
    results = dict(plan.errors)
    for record, ids in plan.ids.items():
        results[record] = next((str(failures[key]) for key in sorted(ids) if key in failures), "")
    return results
