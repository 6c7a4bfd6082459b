"""What health would choose if every endpoint were healthy: for compiling offline, where nobody is asked."""

import math

from isthmus.compile.intent import Cluster, Intent, Member, Place
from isthmus.health.choice import SiteChoice, SiteState, distance


def nominal_choices(intent: Intent, cluster: Cluster, subset: str = "") -> list[SiteChoice]:
    """Every member of a cluster with endpoints of a subset (any when empty) by nearness, then name; those that are
    drained take no new requests. Of round-trip times, only those that the site declares are known."""
    times = dict(intent.round_trips) if cluster.nearness == "ROUND_TRIP" else {}

    def away(member: Member) -> float | None:
        return 0.0 if member.own else _distance(intent.place, member.place)

    def weights(member: Member) -> list[int]:
        return [each.weight for each in member.endpoints if not each.drained and (not subset or subset in each.subsets)]

    if (
        subset
        and cluster.fallback is not None
        and subset != cluster.fallback
        and not any(map(weights, cluster.members))
    ):
        return nominal_choices(intent, cluster, cluster.fallback)
    local_first = cluster.selection != "DISTRIBUTED"
    ordered = sorted(
        ((member, away(member)) for member in cluster.members if weights(member) or not subset),
        key=lambda pair: (
            local_first and not pair[0].own,
            pair[0].rank,
            times.get(pair[0].site, math.inf),
            pair[1] is None,
            pair[1] or 0.0,
            pair[0].site,
        ),
    )
    ranks = sorted({member.rank for member, _ in ordered})
    return [
        SiteChoice(
            site=member.site,
            priority=index if cluster.selection == "LOCAL_PREFERRED" else ranks.index(member.rank),
            weight=sum(weights(member)),
            state=SiteState.DRAINING if member.drained else SiteState.HEALTHY,
            reason="drained" if member.drained else "as declared",
            endpoints=len(weights(member)),
            distance=kilometres,
            round_trip=times.get(member.site),
            subset=subset,
        )
        for index, (member, kilometres) in enumerate(ordered)
    ]


def _distance(one: Place | None, other: Place | None) -> float | None:
    if one is None or other is None:
        return None
    return distance((one.latitude, one.longitude), (other.latitude, other.longitude))
