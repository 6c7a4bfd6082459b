"""A site's data path without its agent: the real compiler, emitter, discovery server and Envoy; no health routes."""

from __future__ import annotations

import asyncio
import contextlib
import os
from collections.abc import AsyncIterator, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Literal

from bench.world import TRUST_DOMAIN
from isthmus.compile import Compilation, Compiler
from isthmus.compile.intent import Cluster
from isthmus.emit.envoy import EnvoyEmitter, EnvoyPaths, emit_cluster_endpoints, emit_secrets
from isthmus.emit.envoy import name as names
from isthmus.emit.envoy.bootstrap import Bootstrap, emit_bootstrap
from isthmus.emit.envoy.tls import emit_certificate
from isthmus.engine.envoy import Admin, AdsServer, EnvoyProcess, EnvoySettings, Push
from isthmus.health.choice import SiteChoice, SiteState
from isthmus.identity import Authority, Identity, Role, generate_key, make_csr
from isthmus.identity.key import emit_key
from isthmus.model import Certificate, Object, ObjectKey

Changes = dict[str, dict[str, bytes | None]]
Log = Literal["file", "service", "none"]


def site_key(name: str) -> ObjectKey:
    """The key of a site of the tenant `default`."""
    return ObjectKey("default", "Site", "", name)


def choices(cluster: Cluster) -> list[SiteChoice]:
    """All members of a cluster, healthy, weighted by their endpoints: what health says when all is well."""
    return [
        SiteChoice(member.site, 0, sum(each.weight for each in member.endpoints), SiteState.HEALTHY, "all is well")
        for member in cluster.members
    ]


class DataPath:
    """One running site: `compiler` and `emitter` remember what Envoy was last given."""

    def __init__(self, site: str, folder: Path, envoy: EnvoyProcess, ads: AdsServer, log: Log = "file") -> None:
        self.compiler = Compiler(site_key(site), TRUST_DOMAIN)
        file = str(folder / "access.log") if log == "file" else ""
        self.emitter = EnvoyEmitter(EnvoyPaths(file, str(folder / "health.log"), log == "service"))
        self.ads = ads
        self.envoy = envoy
        self.admin = Admin(folder / "admin.sock")
        self._assigned: dict[ObjectKey, tuple[Cluster, bytes]] = {}

    @property
    def pid(self) -> int:
        """Envoy's process."""
        if self.envoy.pid is None:
            raise RuntimeError("Envoy is not running")
        return self.envoy.pid

    def update(self, changed: Mapping[ObjectKey, Object | None]) -> tuple[Compilation, Changes]:
        """Compile changed objects and emit what differs."""
        compilation = self.compiler.update(changed)
        changes = self.emitter.update(compilation.intent)
        assigned: dict[str, bytes | None] = {}
        for cluster in compilation.intent.clusters:
            name = names.sites_cluster(cluster.key, cluster.shape)
            before = self._assigned.get(cluster.key)
            if name is None or (before is not None and before[0] is cluster):
                continue
            body = emit_cluster_endpoints(cluster, choices(cluster))
            self._assigned[cluster.key] = (cluster, body)
            assigned[name] = body
        if assigned:
            changes[names.ENDPOINT_TYPE] = {**changes.get(names.ENDPOINT_TYPE, {}), **assigned}
        return compilation, changes

    def emitted(self, kind: str) -> dict[str, bytes]:
        """The resources of a type that the site's objects make."""
        return dict(self.emitter.emit(self.compiler.update({}).intent)[kind])

    async def push(self, changes: Changes, seconds: float = 60) -> None:
        """Give changes to Envoy and wait for its answer; RuntimeError when it refuses one."""
        await accepted(self.ads.update(changes), seconds)


async def accepted(push: Push, seconds: float) -> None:
    """Wait until Envoy has taken everything of a push."""
    async with asyncio.timeout(seconds):
        refused = await push.acked()
    if refused:
        raise RuntimeError(f"Envoy refuses {refused[0].name}: {refused[0].message}")


def secrets(authority: Authority, site: str) -> dict[str, bytes]:
    """Certificate, key and trust bundle of a site as Envoy's secrets."""
    key = generate_key()
    identity = Identity(TRUST_DOMAIN, Role.SITE, "default", site)
    chain = authority.issue(make_csr(key), identity, datetime.now(UTC))
    return emit_secrets(chain, emit_key(key), authority.bundle_pem)


def _certificates(known: Mapping[ObjectKey, Object]) -> dict[str, bytes]:
    """The secrets of declared certificates, as an agent serves them."""
    found: dict[str, bytes] = {}
    for obj in known.values():
        if isinstance(obj, Certificate):
            found |= emit_certificate(obj.key, obj.spec.chain or "", obj.private["privateKey"].text or "")
    return found


def pin(pid: int, core: str) -> None:
    """Keep all threads of a process on the cores that `core` lists."""
    for thread in os.listdir(f"/proc/{pid}/task"):
        os.sched_setaffinity(int(thread), {int(number) for number in core.split(",")})


@contextlib.asynccontextmanager
async def data_path(
    folder: Path,
    site: str,
    known: Mapping[ObjectKey, Object],
    authority: Authority,
    core: str | None = None,
    log: Log = "file",
) -> AsyncIterator[DataPath]:
    """A site that serves `known`, its Envoy (one worker) on `core`. RuntimeError when Envoy refuses something.

    `log`: requests are logged to a file, told to a service at `log.sock` in the folder, or neither.
    """
    os.makedirs(folder)
    ads = AdsServer(folder / "ads.sock")
    await ads.start()
    ads_socket, admin_socket, log_socket = (str(folder / f"{name}.sock") for name in ("ads", "admin", "log"))
    bootstrap = Bootstrap("default", site, "0", ads_socket, admin_socket, log_socket)
    envoy = EnvoyProcess(EnvoySettings(folder / "envoy", emit_bootstrap(bootstrap)))
    path = DataPath(site, folder, envoy, ads, log)
    compilation, changes = path.update(known)
    if compilation.diagnostics:
        raise RuntimeError(str(compilation.diagnostics[0]))
    resources = {kind: {key: body for key, body in part.items() if body is not None} for kind, part in changes.items()}
    try:
        await envoy.start()
        served = {**secrets(authority, site), **_certificates(known)}
        await accepted(ads.set({**resources, names.SECRET_TYPE: served}), 120)
        if core is not None:
            pin(path.pid, core)
        yield path
    finally:
        await path.admin.close()
        await envoy.stop()
        await ads.stop()
