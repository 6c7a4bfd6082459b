"""Endpoints, and the sites that they are at."""

from dataclasses import dataclass

from isthmus.compile.intent import Endpoint, Socket
from isthmus.compile.memo import Memo
from isthmus.compile.place import compile_missing, compile_where
from isthmus.compile.source import find
from isthmus.model import Endpoint as EndpointObject
from isthmus.model import ObjectKey


@dataclass(frozen=True, slots=True)
class PlacedEndpoint:
    """An endpoint and the sites, by name, from which its address is reached.

    `missing`: its site or virtual site, if that does not exist.
    """

    endpoint: Endpoint
    sites: tuple[ObjectKey, ...]
    missing: ObjectKey | None


def compile_endpoint(memo: Memo, key: ObjectKey) -> PlacedEndpoint | None:
    """An endpoint; None when it is unknown."""
    obj = find(memo, EndpointObject, key)
    if obj is None:
        return None
    spec = obj.spec
    return PlacedEndpoint(
        endpoint=Endpoint(key, Socket(spec.address, spec.port), spec.weight),
        sites=memo.ask(compile_where, (spec.where, key.tenant)),
        missing=memo.ask(compile_missing, (spec.where, key.tenant)),
    )
