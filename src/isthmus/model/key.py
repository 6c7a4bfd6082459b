"""The name of an object: tenant, kind, namespace, name."""

from typing import NamedTuple

DEFAULT_TENANT = "default"
"""The tenant of every object until a deployment has more than one."""
SHARED_NAMESPACE = "shared"
"""The namespace whose objects every other namespace of the tenant may refer to."""
BUILT_IN_NAMESPACES = ("default", SHARED_NAMESPACE)
"""Namespaces that exist without being declared."""


class ObjectKey(NamedTuple):
    """Identifies one object of a deployment. `namespace` is empty for tenant-wide kinds.

    A named tuple and not a dataclass: keys are hashed and compared millions of times in the slicer and the compiler.
    """

    tenant: str
    kind: str
    namespace: str
    name: str

    def __str__(self) -> str:
        return f"{self.tenant}/{self.kind}/{self.namespace}/{self.name}"

    @property
    def title(self) -> str:
        """How messages to people name the object: `Cluster shop/web`, `Site fra`."""
        return f"{self.kind} {self.path or '(without a name)'}"

    @property
    def path(self) -> str:
        """`namespace/name`, or `name` for a tenant-wide object."""
        return f"{self.namespace}/{self.name}" if self.namespace else self.name


def parse_key(text: str) -> ObjectKey:
    """Parse the form that `str(key)` gives.

    Raises:
        ValueError: the text does not have four parts.
    """
    parts = text.split("/")
    if len(parts) != 4:
        raise ValueError(f"{text!r} is not an object key: expected tenant/Kind/namespace/name")
    return ObjectKey(*parts)
