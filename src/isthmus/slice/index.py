"""The slices of all sites and regions of a deployment, kept current edit by edit.

What an edit does to slices:
1. Only contents changed (no link): every site that needs a changed object gets its new hash. Nothing else is looked at.
2. Few links changed: a site's slice can only change where a chain from the site to an object gained or lost a link. For
   each such link, the sites at its upper end and the objects at its lower end are candidates; each candidate pair is
   asked for, before and after.
3. Many links changed (an import), or a site appeared or left: slices are compared whole.

No table here grows with sites x objects: slices are worked out when asked for, from links that sites share. Sealed
copies alone are kept by site and secret, since each is another one.
"""

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial

from isthmus.model.envelope import content_hash, emit_envelope
from isthmus.model.key import ObjectKey
from isthmus.model.object import Object
from isthmus.model.sealed import SEALABLE_KINDS, sealed_key
from isthmus.slice.access import AccessWriter
from isthmus.slice.candidate import find_candidates
from isthmus.slice.comparison import Comparison
from isthmus.slice.delta import SliceDelta
from isthmus.slice.graph import Graph
from isthmus.slice.imports import Imports
from isthmus.slice.sealed import SealedCopies, Sealer
from isthmus.slice.subject import region_subject, site_subject, subject_key
from isthmus.slice.view import View, access_key

SLICER = 1
"""Grows when a release gives sites other objects for the same declarations, so that a console publishes them anew."""

_LINK_LIMIT = 500
"""From this many changed links on, comparing whole slices is cheaper than asking for each candidate pair."""
_KEPT_BODIES = 4096
"""How many superseded bodies stay readable, for regions that ask for them a moment later."""


@dataclass(frozen=True, slots=True)
class SliceHeader:
    """What a manifest says beside the objects.

    Attributes:
        number: the allocated number of the site or region; 0 when it has none.
        import_clusters: numbers of the clusters whose remote endpoints a site uses, ascending.
        regions: names of the regions that a site connects to, best first.
    """

    number: int = 0
    import_clusters: tuple[int, ...] = ()
    regions: tuple[str, ...] = ()


class SliceIndex:
    """Holds the objects of a deployment and knows who needs which. Not thread-safe."""

    def __init__(self, objects: Iterable[Object] = (), sealer: Sealer | None = None) -> None:
        self._graph = Graph()
        self._hashes: dict[ObjectKey, str] = {}
        self._bodies: dict[str, bytes] = {}
        self._superseded: dict[str, bytes] = {}
        self._access_of: dict[str, ObjectKey] = {}
        self._before: dict[ObjectKey, str | None] = {}
        self._had_private: set[ObjectKey] = set()
        self._sealed = SealedCopies(sealer)
        self._sealed_all = False
        initial = {obj.key: obj for obj in objects}
        self._put(initial)
        self._graph.update(initial)
        self._view = View(self._graph)
        self._imports = Imports(self._graph, self._view)
        self._rewrite_access(key for key in initial if key.kind == "Cluster")

    # Reading

    @property
    def objects(self) -> Mapping[ObjectKey, Object]:
        """The declared objects."""
        return self._graph.objects

    def subjects(self) -> list[str]:
        """Every site and region that exists."""
        return [site_subject(key) for key in self._graph.sites] + [
            region_subject(key) for key in self._graph.region_objects
        ]

    def exists(self, subject: str) -> bool:
        """Whether the site or region of a subject exists."""
        return subject_key(subject) in self._graph.objects

    def slice_of(self, subject: str) -> dict[ObjectKey, str]:
        """Content hash by key of all that a site or region needs; empty when it does not exist."""
        key = subject_key(subject)
        if key not in self._graph.objects:
            return {}
        if key.kind == "Region":
            regions = (other for other in self._graph.region_objects if other.tenant == key.tenant)
            return {region: self._hashes[region] for region in regions}
        hashes = self._hashes
        members = [member for member in self._view.members(key) if member in hashes]
        found = {member: hashes[member] for member in members}
        found.update(self._sealed_entries(key, members))
        return found

    def header(self, subject: str) -> SliceHeader:
        """What the manifest of a subject says beside the objects."""
        key = subject_key(subject)
        obj = self._graph.objects.get(key)
        if obj is None:
            return SliceHeader()
        if key.kind == "Region":
            return SliceHeader(obj.system.number or 0)
        return SliceHeader(obj.system.number or 0, self._imports.of(key), self._graph.regions.get(key, ()))

    def import_clusters(self, site: ObjectKey) -> tuple[int, ...]:
        """Numbers of the clusters whose remote endpoints a site uses for ingress, ascending."""
        return self._imports.of(site)

    def regions_of(self, site: ObjectKey) -> tuple[str, ...]:
        """Names of the regions that a site connects to, best first."""
        return self._graph.regions.get(site, ())

    def body(self, digest: str) -> bytes | None:
        """The envelope with a content hash: of a current object, or of one superseded a short while ago."""
        cluster = self._access_of.get(digest)
        if cluster is not None:
            return AccessWriter(self._graph, self._view).body(cluster)
        return self._bodies.get(digest) or self._superseded.get(digest) or self._sealed_body(digest)

    def _sealed_body(self, digest: str) -> bytes | None:
        """A sealed copy. One that an earlier console has published is known after a look at all of them."""
        found = self._sealed.body(digest, self._graph.objects)
        if found is None and not self._sealed_all:
            self._sealed_all = True
            for key in self._hashes:
                if sealed_key(key) is not None:
                    for site in self.sites_of(key):
                        self._sealed.entry(site, self._graph.objects.get(key))
            found = self._sealed.body(digest, self._graph.objects)
        return found

    def hash_of(self, key: ObjectKey) -> str | None:
        """The content hash of an object, declared or derived."""
        return self._hashes.get(key)

    def sites_of(self, key: ObjectKey) -> frozenset[ObjectKey]:
        """The sites that an object concerns: those whose slices hold it."""
        return frozenset(site for site in self._view.sites_of(key) if site in self._graph.sites)

    # Editing

    def apply(self, changes: Mapping[ObjectKey, Object | None]) -> dict[str, SliceDelta]:
        """Make an edit (None deletes); what it changes, by subject, of every subject whose slice changed."""
        self._before = {}
        self._had_private = {key for key in changes if key in self._graph.objects and self._graph.objects[key].private}
        self._put(changes)
        self._graph.update(changes)
        linked = any(relation.added or relation.removed for relation in self._graph.relations)
        existence = any(old is None or key not in self._hashes for key, old in self._before.items())
        if linked:
            self._view = View(self._graph)
        if linked or existence or any(key.kind == "Cluster" for key in self._before):
            self._imports = Imports(self._graph, self._view)
        if linked or existence:
            deltas = self._compare()
        else:
            self._rewrite_access([key for key in self._before if key.kind == "Cluster"])
            deltas = self._contents()
        deltas.update(self._region_deltas())
        return deltas

    def reseal(self, site: ObjectKey) -> bool:
        """A site has another sealing key: whether its slice has sealed copies, which are others now."""
        self._sealed.forget(lambda other, _: other == site)
        return any(True for _ in self._sealed_entries(site, self._view.members(site)))

    def _put(self, changes: Mapping[ObjectKey, Object | None]) -> None:
        for key, obj in changes.items():
            body = emit_envelope(obj) if obj is not None else None
            self._store(key, body)

    def _store(self, key: ObjectKey, body: bytes | None) -> None:
        """Replace the body of a key and remember the hash that it had before the edit under way."""
        old = self._hashes.get(key)
        new = content_hash(body) if body is not None else None
        if new == old:
            return
        self._before.setdefault(key, old)
        if old is not None:
            self._access_of.pop(old, None)
            if old in self._bodies:
                self._superseded[old] = self._bodies.pop(old)
                if len(self._superseded) > _KEPT_BODIES:
                    del self._superseded[next(iter(self._superseded))]
        if new is None or body is None:
            del self._hashes[key]
            return
        self._hashes[key] = new
        if key.kind == "ClusterAccess":
            self._access_of[new] = key._replace(kind="Cluster")
        else:
            self._bodies[new] = body

    def _rewrite_access(self, clusters: Iterable[ObjectKey]) -> None:
        writer = AccessWriter(self._graph, self._view)
        for cluster in clusters:
            self._store(access_key(cluster), writer.body(cluster))

    def _contents(self) -> dict[str, SliceDelta]:
        """Deltas of an edit that changed contents alone."""
        found: defaultdict[ObjectKey, dict[ObjectKey, str]] = defaultdict(dict)
        for key in self._before:
            for site in self._view.sites_of(key):
                found[site][key] = self._hashes[key]
        return {
            site_subject(site): self._with_sealed(site, SliceDelta(changed), lambda _: True)
            for site, changed in found.items()
            if site in self._graph.sites
        }

    def _compare(self) -> dict[str, SliceDelta]:
        """Deltas of an edit that changed links, or made or removed objects."""
        before = View(self._graph, before=True)
        comparison = Comparison(before, self._view)
        made = {
            key
            for key, old in self._before.items()
            if key.kind == "Site" and (old is None) != (key not in self._hashes)
        }
        links = sum(len(relation.added) + len(relation.removed) for relation in self._graph.relations)
        pairs: dict[ObjectKey, set[ObjectKey]] = {}
        wholes: set[ObjectKey] = set()
        if links > _LINK_LIMIT:
            wholes.update(self._graph.sites)
        else:
            found = find_candidates(self._graph, before, self._view, self._before)
            if found.many:
                wholes.update(site for site in found.pairs if site in self._graph.sites)
            else:
                pairs = found.pairs
        clusters = {key for key in self._before if key.kind == "Cluster"}
        clusters |= comparison.clusters(pairs) | comparison.class_clusters(wholes)
        for site in made:
            for view in (before, self._view):
                clusters.update(key for key in view.closure(view.class_of(site)) if key.kind == "Cluster")
        self._rewrite_access(clusters)
        for key in [key for key in self._before if key.kind == "ClusterAccess"]:
            for site in before.egress_sites(key) | self._view.egress_sites(key):
                pairs.setdefault(site, set()).add(key)
        comparison.contents(self._before, self._hashes)
        deltas = {site: comparison.whole(site) for site in wholes}
        for site, keys in pairs.items():
            if site in self._graph.sites and site not in wholes:
                deltas[site] = comparison.pairs(site, keys)
        deltas.update((site, SliceDelta(whole=True)) for site in made)
        gone = {key for key in self._before if key not in self._hashes and key.kind in ("Site", *SEALABLE_KINDS)}
        if gone:
            self._sealed.forget(lambda site, key: site in gone or key in gone)
        return {
            site_subject(site): self._with_sealed(site, delta, partial(before.holds, site))
            for site, delta in deltas.items()
            if delta.set or delta.removed or delta.whole
        }

    def _sealed_entries(self, site: ObjectKey, keys: Iterable[ObjectKey]) -> Iterator[tuple[ObjectKey, str]]:
        for key in keys:
            if sealed_key(key) is not None:
                entry = self._sealed.entry(site, self._graph.objects.get(key))
                if entry is not None:
                    yield entry

    def _with_sealed(self, site: ObjectKey, delta: SliceDelta, held: Callable[[ObjectKey], bool]) -> SliceDelta:
        """A site's delta with the sealed copies of what it names. `held`: an object was in the slice before."""
        changed = dict(self._sealed_entries(site, delta.set))
        gone = set()
        for key in (*delta.set, *delta.removed):
            sealed = sealed_key(key)
            if sealed is None or sealed in changed or not self._sealed.seals(site):
                continue
            obj = self._graph.objects.get(key)
            had = key in self._had_private if key in self._before else obj is not None and bool(obj.private)
            if had and held(key):
                gone.add(sealed)
                self._sealed.drop(site, key)
        if not changed and not gone:
            return delta
        return SliceDelta({**delta.set, **changed}, delta.removed | gone, delta.whole)

    def _region_deltas(self) -> dict[str, SliceDelta]:
        """Every region holds all regions of its tenant."""
        regions = [key for key in self._before if key.kind == "Region"]
        deltas: dict[str, SliceDelta] = {}
        for tenant in {key.tenant for key in regions}:
            touched = [key for key in regions if key.tenant == tenant]
            changed = {key: self._hashes[key] for key in touched if key in self._hashes}
            removed = frozenset(key for key in touched if key not in self._hashes)
            for region in self._graph.region_objects:
                if region.tenant == tenant:
                    fresh = region in self._before and self._before[region] is None
                    deltas[region_subject(region)] = SliceDelta(whole=True) if fresh else SliceDelta(changed, removed)
            deltas.update((region_subject(key), SliceDelta(whole=True)) for key in removed)
        return deltas
