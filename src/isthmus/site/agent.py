"""The site agent: brings manifests into Envoy, health into routes, and routes into endpoints.

Three loops run side by side and never wait for each other:
- *configuration*: a higher manifest -> objects -> plan -> Envoy's answer -> acknowledgement up;
- *egress*: Envoy's health events -> announcements;
- *ingress*: routes -> choice of sites -> endpoint assignments, pushed in the same turn of the event loop.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace

import httpx
import structlog

from isthmus import __version__
from isthmus.emit.envoy.name import checked_clusters
from isthmus.engine.envoy import ENDPOINT, EXTENSION, SECRET, HealthEvent, HostHealth, Push
from isthmus.health.event import Event
from isthmus.identity import Credential, CredentialDirectory, Membership
from isthmus.model.key import ObjectKey
from isthmus.model.object import Object
from isthmus.protocol import ConnectionState, Rejection, State, Uplink, UplinkHandler
from isthmus.site.access import CallerAccess
from isthmus.site.address import Addresses
from isthmus.site.certificate_file import CertificateFiles
from isthmus.site.configuration import Configuration
from isthmus.site.directory import SiteDirectory
from isthmus.site.discovery import Discovery
from isthmus.site.disk import Disk
from isthmus.site.egress import Egress
from isthmus.site.envoy import LocalEnvoy
from isthmus.site.ingress import Assignments, Ingress
from isthmus.site.inventory import Inventory, Refusal
from isthmus.site.local_endpoint import emit_local_assignments
from isthmus.site.plan import Join, Plan, Planner, excuse_pages, unexcused
from isthmus.site.report import SiteState, emit_report
from isthmus.site.resumption import resume
from isthmus.site.rollout import Outcome, Rollout, refusal_of
from isthmus.site.round_trip import keep_measuring
from isthmus.site.route_exchange import RouteExchange
from isthmus.site.secret import Secrets
from isthmus.site.settings import SiteSettings
from isthmus.site.task import Alarm, Tasks
from isthmus.site.telemetry import SiteTelemetry, unserved
from isthmus.site.udp_probe import UdpProber
from isthmus.site.upstream import plan_regions, plan_upstreams
from isthmus.site.vault import Vault

LEAVE = 0.5
"""Seconds between the withdrawal of an endpoint that was removed and its removal from Envoy."""

KEEP = 5.0
"""Seconds that a change which discovery brings may wait to be written to disk with others like it."""

RENEWAL_CHECK = 10.0
"""Seconds between looks at the certificate's age, and between tries to renew it once it is due."""

log = structlog.get_logger()


class SiteAgent(UplinkHandler):
    """Made by `process.run`, which has joined. `changed` is called when the report may be different."""

    def __init__(
        self,
        settings: SiteSettings,
        directory: SiteDirectory,
        membership: Membership,
        query: Callable[[SiteAgent, str, bytes], bytes],
    ) -> None:
        self._directory = directory
        self._membership = membership
        self._query = query
        self._credentials = CredentialDirectory(directory.identity)
        identity = self._credentials.load().identity
        self.key = ObjectKey(identity.tenant, "Site", "", identity.name)
        self.state = SiteState(identity.name, identity.tenant, __version__, time.time())
        self.uplink = Uplink(
            directory.stream, self._credentials, self, release=__version__, renewal_check_seconds=RENEWAL_CHECK
        )
        self.changed = asyncio.Event()
        self.plan: Plan | None = None
        self._refused: Mapping[ObjectKey, Refusal] = {}

        self._identity = identity
        self._disk = Disk(directory)
        self._inventory = Inventory(self._disk.load_good())
        self.vault = Vault(self._credentials, identity.subject)
        files = CertificateFiles(directory.root, settings.certificates)
        self._secrets = Secrets(self.vault, files, lambda: self.uplink.credential)
        self._secrets.take({key: version.object for key, version in self._inventory.good.items()})
        self._configuration = Configuration(self.uplink.state, self._apply, self._forget_refusals)
        self.discovery = Discovery(
            self._disk.load_ledger(),
            secret=self.vault.value,
            changed=self._configuration.wake,
            told=self.changed.set,
            save=self._disk.save_ledger,
        )
        paths = directory.envoy_paths(access_log=settings.access_log, log_service=settings.telemetry)
        self._planner = Planner(self.key, identity.trust_domain, paths, self.discovery.take)
        self._endpoints = Join()
        newer = self._configuration.newer
        self._rollout = Rollout(self._inventory, self._build, self._push, newer, self.key, excuse_pages)
        self.envoy = LocalEnvoy(
            settings,
            directory,
            identity,
            self.state.envoy,
            on_event=self._on_health,
            on_snapshot=self._on_snapshot,
            on_down=self._on_envoy_down,
            on_ready=self._on_envoy_ready,
            on_refused=self._tell_refusals,
            changed=self.changed.set,
        )
        told = (settings, directory, identity, self.uplink, self.envoy.admin, self.vault.value)
        self.telemetry = SiteTelemetry(*told) if settings.telemetry else None
        self._routes = RouteExchange(
            directory.gobgp, identity.trust_domain, self._credentials, self._hear, self.state.bgp
        )
        self.egress = Egress(
            self._disk.load_numbers(),
            xds_names=checked_clusters,
            speak=self._routes.say,
            changed=self._on_local_health,
            save=self._disk.save_numbers,
        )
        self._prober = UdpProber(xds_names=checked_clusters, on_event=self._on_health)
        self.ingress = Ingress(
            self._disk.load_table(),
            emit=self._planner.assign,
            push=self._push_assignments,
            local_weight=self.egress.weight,
        )
        self._addresses = Addresses(directory.addresses)
        self._access = CallerAccess(lambda extensions: self.envoy.ads.update({EXTENSION: dict(extensions)}))
        self._announcing = Alarm(self._plan_due)
        self._saving = Alarm(lambda: self._tasks.spawn(self._disk.save_resources(self.envoy.ads.resources())))
        self._tasks = Tasks()
        self.state.certificate_until = self.uplink.credential.leaf.valid_until.timestamp()

    # ---- life

    async def start(self) -> None:
        """Start or adopt the engines, then apply what is on disk, then connect. Raises OSError."""
        if self.telemetry is not None:
            await self.telemetry.start()
        self._addresses.restore()
        adopted = await self.envoy.start()
        if self.uplink.state() is not None:
            self._configuration.wake()
        if not adopted or self.uplink.state() is None:
            self._serve_from_disk()
        self.uplink.set_upstreams(plan_upstreams(self._membership, self._identity.trust_domain, self._inventory, None))
        self.uplink.start()
        self.discovery.start()
        self._tasks.spawn(self._configuration.run())
        self._tasks.spawn(self._disk.keep_table(self.ingress.take_changed))
        self._tasks.spawn(keep_measuring(self.ingress))
        self._tasks.spawn(self._secrets.keep(self._serve_secrets, self._tell_refusals))
        self._tasks.spawn(self._disk.keep_logs_small(self.envoy.admin))

    async def stop(self, *, engines: bool) -> None:
        """End the agent. With `engines`, withdraw the site's endpoints and end Envoy and GoBGP too."""
        if engines:
            await self._leave()
        await self._tasks.end()
        for part in (self._configuration, self._access, self._announcing, self._saving):
            part.cancel()
        await self._prober.stop()
        self.ingress.stop()
        await self.discovery.stop(withdraw=engines)
        if self.telemetry is not None:
            await self.telemetry.stop()
        await self.uplink.stop()
        await self._routes.end(engine=engines)
        await self.envoy.end(engine=engines)
        self._addresses.end(remove=engines)
        self._disk.save_table(self.ingress.table)
        self._disk.close()

    async def _leave(self) -> None:
        """Withdraw all endpoints and ask clients to go: regions would remember what a site announced that just ends."""
        self.egress.envoy_down(time.time())
        with contextlib.suppress(TimeoutError, httpx.HTTPError):
            async with asyncio.timeout(2):
                await self._routes.flush()
                await self.envoy.admin.drain()
                await asyncio.sleep(LEAVE)

    def refresh(self) -> SiteState:
        """The state, with what is not told but asked for."""
        self.envoy.refresh()
        self.state.envoy_connected = self.envoy.ads.connected
        self._routes.refresh()
        return self.state

    def report(self, *, exceptions_only: bool = False) -> bytes:
        """The status as JSON; `exceptions_only` leaves out remote endpoints that are as they should be."""
        return emit_report(
            self.refresh(),
            endpoints=self.egress.endpoints(),
            remote=self.ingress.remote_endpoints(),
            choices=self.ingress.choices(),
            streams=self.uplink.connections,
            sessions={name: str(session) for name, session in self.ingress.table.sessions().items()},
            discovered=self.discovery.entries(),
            published=self.discovery.published(),
            telemetry=self.telemetry.status() if self.telemetry is not None else None,
            exceptions_only=exceptions_only,
        )

    async def ask(self, kind: str, body: bytes) -> bytes:
        """Answer a question from this machine. As `query`."""
        return self._query(self, kind, body)

    # ---- what comes down

    def adopted(self, subjects: frozenset[str]) -> None:
        """See UplinkHandler."""
        self._configuration.manifest()

    def connection(self, upstream: str, state: ConnectionState) -> None:
        """See UplinkHandler."""
        if self.telemetry is not None:
            self.telemetry.wake()
        self.changed.set()

    def credential(self, credential: Credential) -> None:
        """See UplinkHandler. Envoy takes the new certificate into use without a break."""
        self.state.certificate_until = credential.leaf.valid_until.timestamp()
        self._serve_secrets()
        self.changed.set()

    async def query(self, subject: str, kind: str, body: bytes) -> bytes:
        """See UplinkHandler."""
        return self._query(self, kind, body)

    # ---- configuration

    async def _apply(self, state: State) -> None:
        self.state.received = (state.version.epoch, state.version.revision)
        self._inventory.receive(state.entries, self.uplink.holdings.bodies.get)
        self.uplink.set_upstreams(plan_upstreams(self._membership, self._identity.trust_domain, self._inventory, state))
        await self._connect_routes(state)
        outcome = await self._rollout.apply()
        self._disk.save_good(outcome.changed, outcome.removed)
        self.plan = outcome.plan
        self._addresses.settle()
        self.discovery.use(outcome.plan.intent.registries)
        if self.telemetry is not None:
            await self.telemetry.use(outcome.plan.intent)
        await self._routes.set_clusters(outcome.plan.intent.imports)
        self._confirm(outcome.plan)
        again = self.state.applied == (state.version.epoch, state.version.revision)
        self._acknowledge(state, outcome)
        self._keep_resources(KEEP if again else 0.0)
        if outcome.refusals:
            self._configuration.retry_refused()

    def _acknowledge(self, state: State, outcome: Outcome[Plan]) -> None:
        version = (state.version.epoch, state.version.revision)
        if version != self.state.applied:  # or else discovery has brought something new, perhaps every second
            self.state.applied, self.state.applied_at = version, time.time()
            log.info("site.applied", revision=state.version.revision, refusals=len(outcome.refusals))
        self.state.drained = outcome.plan.intent.drained
        if self.vault.missing:
            self.uplink.offer_sealing_key()
        self._refused = outcome.refusals
        self.state.refusals = self._all_refusals()
        unsent = unserved(outcome.plan.intent.receivers) if self.telemetry is None else ()
        self.state.diagnostics = (*outcome.plan.diagnostics, *self._addresses.faults, *unsent)
        rejections = [Rejection(each.key, each.code, each.field, each.message) for each in self.state.rejections]
        self.uplink.acknowledge(state.version, rejections)
        self.changed.set()

    def _keep_resources(self, delay: float) -> None:
        """Write what Envoy has accepted to disk after so many seconds, together with what comes until then."""
        if not delay or not self._saving.pending:
            self._saving.set(delay)

    def _forget_refusals(self) -> bool:
        self._rollout.forget_refusals()
        return bool(self.state.refusals)

    async def _build(self, changed: Mapping[ObjectKey, Object | None]) -> Plan:
        self._secrets.take(changed)
        plan = await self._planner.plan(changed)
        self._addresses.add(plan.intent.addresses)
        if self._routes.begun:
            used = frozenset(self.plan.intent.imports if self.plan is not None else ())
            new = frozenset(plan.intent.imports) - used
            await self._routes.set_clusters(used | new)  # those that are left go once Envoy uses them no more
            if self.plan is not None or self.state.envoy.adopted:  # what is in force serves on meanwhile
                if self.plan is None:
                    known = await resume(plan.intent, self.envoy.learn_health, self.egress, self._prober)
                    if known is not None:
                        self._confirm(replace(plan, intent=known))
                await self.ingress.heard(new)
        if self.egress.leave(plan.intent, time.time()):
            await asyncio.sleep(LEAVE)
        return plan

    def _push(self, plan: Plan) -> Push:
        endpoints = self._endpoints.join(plan.resources.get(ENDPOINT, {}), self.ingress.use(plan.intent))
        local = emit_local_assignments(plan.intent.hosted, self.egress)
        if local:
            endpoints = {**endpoints, **local}
        access = self._access.use(plan.intent.fabric.access, plan.resources.get(EXTENSION, {}))
        others = {EXTENSION: access, SECRET: self._secrets.served()}
        return self.envoy.ads.set({**plan.resources, ENDPOINT: endpoints, **others})

    def _serve_secrets(self) -> None:
        self.envoy.ads.update({SECRET: self._secrets.served()})

    def _tell_refusals(self) -> None:
        self.state.refusals = self._all_refusals()
        self.changed.set()

    def _all_refusals(self) -> dict[ObjectKey, Refusal]:
        refused = unexcused(self.plan, self.envoy.refused)
        stored = {self.key: refusal_of(self.key, refused)} if refused else {}
        return {**self._inventory.unreadable, **self._secrets.refusals, **stored, **self._refused}

    def _serve_from_disk(self) -> None:
        """Give a new Envoy what it had last, before anything is compiled. The plan that follows replaces it."""
        resources = self._disk.load_resources()
        if resources is not None:
            log.info("site.serving_from_disk")
            self.envoy.ads.set({**resources, SECRET: self._secrets.served()})

    # ---- egress

    def _confirm(self, plan: Plan, *, again: bool = False) -> None:
        self._plan_again(self.egress.confirm(plan.intent, time.time(), again=again))
        self._prober.use(plan.intent)
        self.changed.set()

    def _on_health(self, event: HealthEvent) -> None:
        log.info("endpoint.health", cluster=event.cluster, port=event.port, healthy=event.healthy, reason=event.reason)
        self._plan_again(self.egress.hear(event, time.time()))
        self.changed.set()

    def _on_snapshot(self, hosts: list[HostHealth]) -> None:
        self._plan_again(self.egress.reconcile(hosts, time.time()))
        self.changed.set()

    def _on_envoy_down(self) -> None:
        self.egress.envoy_down(time.time())

    def _on_envoy_ready(self) -> None:
        if self.plan is not None:
            self._confirm(self.plan, again=True)
            self._prober.repeat()

    def _plan_again(self, due: float | None) -> None:
        self._announcing.cancel()
        if due is not None:
            self._announcing.set(max(0.0, due - time.time()) + 0.001)

    def _plan_due(self) -> None:
        self._plan_again(self.egress.plan(time.time()))
        self.changed.set()

    # ---- ingress

    def _on_local_health(self, clusters: Iterable[ObjectKey]) -> None:
        touched = frozenset(clusters)
        self.ingress.touch(touched)
        if self.plan is not None:
            hosted = (each for each in self.plan.intent.hosted if each.key in touched)
            local = emit_local_assignments(hosted, self.egress)
            if local:
                self.envoy.ads.update({ENDPOINT: local})

    def _push_assignments(self, assignments: Assignments) -> None:
        self.envoy.ads.update({ENDPOINT: assignments})
        self.changed.set()

    async def _connect_routes(self, state: State) -> None:
        """Start the BGP speaker once the site's number is known, and hold sessions with the manifest's regions."""
        regions = plan_regions(self._identity.trust_domain, self._inventory, state)
        announced = await self._routes.connect(state.site_number, regions)
        if announced is not None:
            self.egress.identify(state.site_number, announced)
        for name in self.ingress.table.sessions().keys() - {region.name for region in regions}:
            self.ingress.forget_session(name)

    def _hear(self, event: Event) -> None:
        self.ingress.hear(event)
        self.changed.set()
