"""Namespace: a drawer for a team's objects."""

from typing import ClassVar, Literal

from isthmus.model.object import Object, Spec


class NamespaceSpec(Spec):
    """A namespace has nothing to set."""


class Namespace(Object):
    """Groups the objects of one team or application. `default` and `shared` always exist."""

    plural: ClassVar[str] = "namespaces"
    tenant_wide: ClassVar[bool] = True

    kind: Literal["Namespace"] = "Namespace"
    spec: NamespaceSpec = NamespaceSpec()
