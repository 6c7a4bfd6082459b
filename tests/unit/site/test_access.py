"""A caller that is taken off keeps its access for a while; nobody else gains any."""

from isthmus.compile.intent import Access
from isthmus.model import ObjectKey
from isthmus.site.access import linger_access

WEB, API = ObjectKey("default", "Cluster", "shop", "web"), ObjectKey("default", "Cluster", "shop", "api")


def test_union_of_before_and_after() -> None:
    before = (Access(WEB, ("ams", "fra")),)
    after = (Access(API, ("nyc",)), Access(WEB, ("fra",)))
    assert linger_access(before, after) == (Access(API, ("nyc",)), Access(WEB, ("ams", "fra")))


def test_nothing_taken_off_changes_nothing() -> None:
    after = (Access(API, ("nyc",)), Access(WEB, ("ams", "fra")))
    assert linger_access((Access(WEB, ("ams",)),), after) == after
    assert linger_access((), after) == after
    assert linger_access(after, ()) == after
