"""Who may call, while sites are on their way from one revision to the next.

Sites apply a revision at about the same time, not at once. A site that stops using a cluster may do so a moment after
the cluster's own site has heard of it: its last requests would be denied. So a caller that is taken off keeps its
access for a few seconds.
"""

from isthmus.compile.intent import Access


def linger_access(before: tuple[Access, ...], after: tuple[Access, ...]) -> tuple[Access, ...]:
    """Everybody who was or is allowed, in the intent's order."""
    callers = {each.cluster: set(each.callers) for each in before}
    for each in after:
        callers.setdefault(each.cluster, set()).update(each.callers)
    return tuple(Access(cluster, tuple(sorted(callers[cluster]))) for cluster in sorted(callers))
