"""Sites as others see them, and which sites a `where` means."""

from dataclasses import dataclass

from isthmus.compile.intent import Place, Socket
from isthmus.compile.memo import Memo
from isthmus.compile.source import find, keys
from isthmus.model import ObjectKey, Site, VirtualSite
from isthmus.model.label import matches
from isthmus.model.value import milliseconds
from isthmus.model.where import Where

NODE = "0"
"""The one node of a site, until sites have several."""


@dataclass(frozen=True, slots=True)
class SiteFact:
    """What other objects need to know of a site."""

    number: int
    place: Place | None
    fabric: tuple[Socket, ...]
    drained: bool
    round_trips: tuple[tuple[str, int], ...] = ()


def compile_site_fact(memo: Memo, key: ObjectKey) -> SiteFact | None:
    """The facts of a site; None when it is unknown. A site that cannot be dialled has no fabric."""
    site = find(memo, Site, key)
    if site is None:
        return None
    spec = site.spec
    fabric = spec.fabric.addresses if spec.fabric.reachability == "direct" else ()
    return SiteFact(
        number=site.system.number or 0,
        place=Place(spec.location.latitude, spec.location.longitude) if spec.location else None,
        fabric=tuple(dict.fromkeys(Socket(address.address, address.port) for address in fabric)),
        drained=spec.drained,
        round_trips=tuple(sorted((each.site, milliseconds(each.time)) for each in spec.round_trips)),
    )


def dns_name(site: ObjectKey, trust_domain: str) -> str:
    """The DNS name in a site's certificate."""
    return f"{NODE}.{site.name}.{site.tenant}.site.{trust_domain}"


def spiffe_uri(site: ObjectKey, trust_domain: str) -> str:
    """The SPIFFE ID in a site's certificate."""
    return f"spiffe://{trust_domain}/tenant/{site.tenant}/site/{site.name}/node/{NODE}"


def compile_where(memo: Memo, question: tuple[Where, str]) -> tuple[ObjectKey, ...]:
    """The existing sites, by name, that a `where` in an object of a tenant means."""
    where, tenant = question
    if where.site is not None:
        key = ObjectKey(tenant, "Site", "", where.site)
        return (key,) if memo.ask(_labels, key) is not None else ()
    return memo.ask(_members, ObjectKey(tenant, "VirtualSite", "", where.virtual_site or ""))


def compile_missing(memo: Memo, question: tuple[Where, str]) -> ObjectKey | None:
    """The site or virtual site that a `where` names, if it does not exist."""
    where, tenant = question
    if where.site is not None:
        key = ObjectKey(tenant, "Site", "", where.site)
        return key if memo.ask(_labels, key) is None else None
    key = ObjectKey(tenant, "VirtualSite", "", where.virtual_site or "")
    return key if find(memo, VirtualSite, key) is None else None


def _members(memo: Memo, key: ObjectKey) -> tuple[ObjectKey, ...]:
    group = find(memo, VirtualSite, key)
    if group is None:
        return ()
    found = []
    for site in keys(memo, Site):
        labels = memo.ask(_labels, site) if site.tenant == key.tenant else None
        if labels is not None and matches(group.spec.selector, dict(labels)):
            found.append(site)
    return tuple(found)


def _labels(memo: Memo, key: ObjectKey) -> tuple[tuple[str, str], ...] | None:
    site = find(memo, Site, key)
    return None if site is None else tuple(sorted(site.metadata.labels.items()))
