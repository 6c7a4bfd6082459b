"""Sealed copies of private values, each for one site. Made by the console, never by people.

One goes, under the name of the Secret or Certificate, to each site that needs it; no other site and no region can open
it.
"""

from typing import ClassVar, Literal

from isthmus.model.key import ObjectKey
from isthmus.model.object import Object, Spec

_KINDS = {"Secret": "SealedSecret", "Certificate": "SealedCertificate"}
SEALABLE_KINDS = frozenset(_KINDS)
"""The kinds with private values."""
SEALED_KINDS = frozenset(_KINDS.values())
"""The kinds of sealed copies."""


class SealedSpec(Spec):
    """The values by field of the object, in base64."""

    values: dict[str, str]


class SealedSecret(Object):
    """The sealed value of a Secret."""

    plural: ClassVar[str] = "sealedsecrets"
    internal: ClassVar[bool] = True

    kind: Literal["SealedSecret"] = "SealedSecret"
    spec: SealedSpec


class SealedCertificate(Object):
    """The sealed private key of a Certificate."""

    plural: ClassVar[str] = "sealedcertificates"
    internal: ClassVar[bool] = True

    kind: Literal["SealedCertificate"] = "SealedCertificate"
    spec: SealedSpec


def sealed_key(key: ObjectKey) -> ObjectKey | None:
    """The key of the sealed copies of an object; None for kinds without private values."""
    kind = _KINDS.get(key.kind)
    return key._replace(kind=kind) if kind is not None else None


def sealed_of(key: ObjectKey) -> ObjectKey:
    """The key of the object that a sealed copy is of."""
    return key._replace(kind=next(kind for kind, sealed in _KINDS.items() if sealed == key.kind))
