"""Validation edit by edit: equal to `validate` of the whole set, at the cost of what an edit can affect.

What an edit can affect:
1. the changed objects themselves;
2. those that refer to objects which appear or leave; clusters whose endpoints or health checks change, since these are
   limited;
   virtual hosts whose certificates, or policies that name others, change;
   endpoints whose registries change or move; routes whose clusters change, since they may name a subset;
3. when a site changes in label, reach or interface: what is at it or at a group that it was or is in; when a group
   changes: what is at it; and the clusters of those endpoints;
4. when a namespace comes or goes, everything in it;
5. overlaps of virtual hosts, when a virtual host, a policy or a site is among all these: compared anew as a whole;
6. virtual hosts whose type may no longer fit their routes, the clusters and endpoints of these, and the networks of
   their policies.
"""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from types import MappingProxyType

from isthmus.model.advertise_policy import AdvertisePolicy
from isthmus.model.cluster import Cluster
from isthmus.model.diagnostic import Diagnostic
from isthmus.model.endpoint import Endpoint
from isthmus.model.key import ObjectKey
from isthmus.model.label import matches
from isthmus.model.network import Network
from isthmus.model.object import Object
from isthmus.model.overlap import check_overlaps
from isthmus.model.route import Route
from isthmus.model.selection import SiteSelection
from isthmus.model.site import Site
from isthmus.model.validation import check_object, sort_diagnostics
from isthmus.model.virtual_site import VirtualSite

_OVERLAPPING = frozenset(("VirtualHost", "AdvertisePolicy", "Site"))
_LEADING = {"Endpoint": "Cluster", "Cluster": "Route", "Route": "VirtualHost", "AdvertisePolicy": "VirtualHost"}
"""By kind, the kind of its users on the way up to the virtual hosts that lead to it."""

_LOOKED_INTO = frozenset(("AdvertisePolicy", "Certificate", "Cluster", "Endpoint", "HealthCheck", "ServiceDiscovery"))
"""Kinds whose content decides on errors of what refers to them."""

_Found = Mapping[ObjectKey, tuple[Diagnostic, ...]]


@dataclass(frozen=True, slots=True)
class Trial:
    """What an edit would lead to. `Validation.accept` makes it so.

    Attributes:
        appeared: errors that there were not before, sorted.
    """

    appeared: tuple[Diagnostic, ...]
    _changes: Mapping[ObjectKey, Object | None]
    _objects: dict[ObjectKey, Object]
    _own: _Found
    _overlaps: _Found | None


class Validation:
    """The errors of a set of objects, kept current. `unreadable`: why others that are stored cannot be used."""

    def __init__(self, objects: Mapping[ObjectKey, Object], unreadable: _Found = MappingProxyType({})) -> None:
        self._objects = dict(objects)
        self._unreadable = dict(unreadable)
        self._users: defaultdict[ObjectKey, set[ObjectKey]] = defaultdict(set)
        for obj in objects.values():
            self._link(obj)
        selection = SiteSelection(self._objects)
        own = ((key, tuple(check_object(obj, self._objects, selection))) for key, obj in self._objects.items())
        self._own = {key: found for key, found in own if found}
        self._overlaps: _Found = _by_object(check_overlaps(self._objects, selection))

    def of(self, key: ObjectKey) -> tuple[Diagnostic, ...]:
        """The errors of one object."""
        found = (self._own, self._overlaps, self._unreadable)
        return tuple(each for diagnostics in found for each in diagnostics.get(key, ()))

    def all(self) -> list[Diagnostic]:
        """Every error, as `validate` gives them."""
        return sort_diagnostics(
            each for found in (self._own, self._overlaps, self._unreadable) for key in found for each in found[key]
        )

    def users(self, key: ObjectKey) -> frozenset[ObjectKey]:
        """The objects that refer to an object, existing or not."""
        return frozenset(self._users.get(key, ()))

    def try_edit(self, changes: Mapping[ObjectKey, Object | None]) -> Trial:
        """What an edit would lead to (None deletes). Nothing changes yet."""
        objects = dict(self._objects)
        for key, obj in changes.items():
            if obj is None:
                objects.pop(key, None)
            else:
                objects[key] = obj
        selection = SiteSelection(objects)
        affected = self._affected(changes, objects)
        own = {
            key: tuple(check_object(objects[key], objects, selection)) if key in objects else ()
            for key in affected | self._led(changes, objects)
        }
        overlaps = None
        if any(key.kind in _OVERLAPPING for key in affected):
            overlaps = _by_object(check_overlaps(objects, selection))
        appeared = [each for key, found in own.items() for each in found if each not in self._own.get(key, ())]
        for key, found in (overlaps or {}).items():
            appeared.extend(each for each in found if each not in self._overlaps.get(key, ()))
        return Trial(tuple(sort_diagnostics(appeared)), changes, objects, own, overlaps)

    def accept(self, trial: Trial) -> None:
        """Make the edit of the last trial."""
        for key, obj in trial._changes.items():
            old = self._objects.get(key)
            for use in old.uses() if old is not None else ():
                self._users[use.target].discard(key)
            if obj is not None:
                self._link(obj)
            self._unreadable.pop(key, None)
        self._objects = trial._objects
        for key, found in trial._own.items():
            if found:
                self._own[key] = found
            else:
                self._own.pop(key, None)
        if trial._overlaps is not None:
            self._overlaps = trial._overlaps

    def _link(self, obj: Object) -> None:
        for use in obj.uses():
            self._users[use.target].add(obj.key)

    def _affected(
        self, changes: Mapping[ObjectKey, Object | None], objects: Mapping[ObjectKey, Object]
    ) -> set[ObjectKey]:
        found = set(changes)
        moved = {place for key in changes for place in self._moved(key, objects)}
        for key in (*changes, *moved):
            appeared_or_left = (key in self._objects) != (key in objects)
            if appeared_or_left or key in moved or key.kind in _LOOKED_INTO:
                found.update(self._users.get(key, ()))
        found.update([user for key in found if key.kind == "AdvertisePolicy" for user in self._users.get(key, ())])
        found.update([user for key in found if key.kind == "ServiceDiscovery" for user in self._users.get(key, ())])
        found.update([user for key in found if key.kind == "Endpoint" for user in self._users.get(key, ())])
        namespaces = {(key.tenant, key.name) for key in changes if key.kind == "Namespace"}
        if namespaces:
            found.update(key for key in objects if (key.tenant, key.namespace) in namespaces)
        return found

    def _led(self, changes: Mapping[ObjectKey, Object | None], objects: Mapping[ObjectKey, Object]) -> set[ObjectKey]:
        """The virtual hosts that lead to a changed object, if it differs in what their type depends on."""
        level = {key for key in changes if _leads(self._objects.get(key)) != _leads(objects.get(key))}
        found: set[ObjectKey] = set()
        while level:
            found.update(key for key in level if key.kind == "VirtualHost")
            level = {
                user
                for key in level
                for user in self._users.get(key, ())
                if key.kind == "Network" or user.kind == _LEADING.get(key.kind)
            }
        return found

    def _moved(self, key: ObjectKey, objects: Mapping[ObjectKey, Object]) -> set[ObjectKey]:
        """A changed site with the groups that it belongs or belonged to, or a changed group, as others depend on it."""
        if key.kind == "VirtualSite":
            return {key}
        old, new = self._objects.get(key), objects.get(key)
        sites = [site for site in (old, new) if isinstance(site, Site)]
        if not sites or (len(sites) == 2 and _facts(sites[0]) == _facts(sites[1])):
            return set()
        groups = {
            group
            for state in (self._objects, objects)
            for group, obj in _groups(state)
            if group.tenant == key.tenant and any(matches(obj.spec.selector, site.metadata.labels) for site in sites)
        }
        return groups | {key}


def _facts(site: Site) -> tuple[object, ...]:
    """What others depend on in a site."""
    return site.metadata.labels, site.spec.fabric.reachability, site.spec.interfaces, site.spec.edge


def _leads(obj: Object | None) -> object:
    """What the type of a virtual host depends on in an object that it leads to."""
    match obj:
        case Endpoint():
            return obj.spec.protocol
        case Cluster():
            return obj.spec.endpoints
        case Route() | Network():
            return obj.spec
        case AdvertisePolicy():
            return obj.spec.where
    return None


def _groups(objects: Mapping[ObjectKey, Object]) -> Iterator[tuple[ObjectKey, VirtualSite]]:
    return ((key, obj) for key, obj in objects.items() if key.kind == "VirtualSite" and isinstance(obj, VirtualSite))


def _by_object(diagnostics: Iterable[Diagnostic]) -> _Found:
    found: defaultdict[ObjectKey, tuple[Diagnostic, ...]] = defaultdict(tuple)
    for each in diagnostics:
        if each.object is not None:
            found[each.object] += (each,)
    return dict(found)
