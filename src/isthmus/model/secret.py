"""Secret: a value that sites need and nobody may read: a token, a TSIG key, a kubeconfig."""

from typing import ClassVar, Literal

from pydantic import Field

from isthmus.model.object import Object, Spec
from isthmus.model.private import Private


class SecretSpec(Spec):
    """The value."""

    value: Private = Field(
        description="The value as text. It is written and never read back: `get` gives `kept:` and a fingerprint, "
        "which when applied leaves the value as it is. Only sites with an object that refers to it can read it."
    )


class Secret(Object):
    """A private value, stored encrypted and sealed to the sites that need it."""

    plural: ClassVar[str] = "secrets"

    kind: Literal["Secret"] = "Secret"
    spec: SecretSpec
