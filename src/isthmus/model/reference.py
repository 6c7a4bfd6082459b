"""From a written reference to the key that it means."""

from isthmus.model.key import ObjectKey
from isthmus.model.object import Reference


def resolve(reference: Reference, kind: str, tenant: str, namespace: str) -> ObjectKey:
    """The key of the object of `kind` that `reference`, written in an object of `namespace`, names."""
    return ObjectKey(tenant, kind, reference.namespace or namespace, reference.name)
