"""What the compiler's questions start from: objects by key, keys by kind, and the site that is compiled for."""

from typing import NamedTuple, TypeVar

from isthmus.compile.memo import Memo
from isthmus.model import Object, ObjectKey

AnyObject = TypeVar("AnyObject", bound=Object)


class Scope(NamedTuple):
    """The site that is compiled for, and the deployment's trust domain."""

    site: ObjectKey
    trust_domain: str


SCOPE = "scope"
"""Name of the input that holds the Scope."""


def keys_input(kind: str) -> tuple[str, str]:
    """Name of the input that holds the sorted keys of a kind."""
    return ("keys", kind)


def scope(memo: Memo) -> Scope:
    """The site that is compiled for."""
    found: Scope = memo.read(SCOPE)
    return found


def find(memo: Memo, cls: type[AnyObject], key: ObjectKey) -> AnyObject | None:
    """The object of that class and key, or None."""
    found = memo.read(key)
    return found if isinstance(found, cls) else None


def keys(memo: Memo, cls: type[Object]) -> tuple[ObjectKey, ...]:
    """Keys of all objects of a class, sorted."""
    found: tuple[ObjectKey, ...] = memo.read(keys_input(cls.__name__)) or ()
    return found


def foreign(target: ObjectKey, owner: ObjectKey) -> bool:
    """Whether an object may not refer to `target`, because it is in another namespace than its own or `shared`."""
    return target.namespace not in (owner.namespace, "", "shared")
