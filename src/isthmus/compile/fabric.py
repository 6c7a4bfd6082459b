"""This site's end of the connections between sites: sockets, and who may call what."""

from isthmus.compile.intent import Access, Fabric
from isthmus.compile.memo import Memo
from isthmus.compile.place import compile_site_fact, spiffe_uri
from isthmus.compile.source import find, scope
from isthmus.model import ClusterAccess, ObjectKey


def compile_fabric(memo: Memo, hosted: tuple[ObjectKey, ...]) -> Fabric:
    """The fabric side of this site for the clusters that have endpoints here."""
    own = memo.ask(compile_site_fact, scope(memo).site)
    access = (memo.ask(_access, key) for key in hosted)
    return Fabric(own.fabric if own else (), tuple(each for each in access if each.callers))


def _access(memo: Memo, cluster: ObjectKey) -> Access:
    here = scope(memo)
    access = find(memo, ClusterAccess, cluster._replace(kind="ClusterAccess"))
    callers = access.spec.callers if access else ()
    return Access(
        cluster,
        tuple(sorted({spiffe_uri(here.site._replace(name=name), here.trust_domain) for name in callers})),
    )
