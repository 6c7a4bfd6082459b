"""What all objects have in common: the document's frame, metadata, and how they refer to each other."""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Annotated, Any, ClassVar, Literal, NamedTuple, Self

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, PrivateAttr, model_validator
from pydantic.alias_generators import to_camel

from isthmus.model.diagnostic import Diagnostic
from isthmus.model.key import DEFAULT_TENANT, ObjectKey
from isthmus.model.label import check_label_key, check_label_value
from isthmus.model.private import Private

API_VERSION = "isthmus/v1"
_NAME = re.compile(r"[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?")


class Frozen(BaseModel):
    """Base of every part of a document: immutable, strict about types, unknown keys refused, camelCase outside."""

    model_config = ConfigDict(
        frozen=True,
        extra="forbid",
        strict=True,
        alias_generator=to_camel,
        populate_by_name=True,
        ser_json_inf_nan="null",
    )
    alternatives: ClassVar[tuple[str, ...]] = ()
    """Fields of which exactly one is to be set, where a part has such: its validator says so of a whole part, and this
    of one with other faults."""


def _check_name(value: str) -> str:
    if not _NAME.fullmatch(value):
        raise ValueError(
            "must be 1 to 63 lower-case letters, digits or '-', starting and ending with a letter or digit"
        )
    return value


def _check_labels(value: dict[str, str]) -> dict[str, str]:
    for key, label in value.items():
        check_label_key(key)
        check_label_value(label)
    return value


Name = Annotated[str, AfterValidator(_check_name)]
"""A DNS label (RFC 1123): it becomes part of SPIFFE IDs, host names and statistics."""
Labels = Annotated[dict[str, str], AfterValidator(_check_labels)]


class Metadata(Frozen):
    """Who an object is."""

    tenant: Name = Field(DEFAULT_TENANT, description="Taken from the credential; need not be written.")
    namespace: Name | Literal[""] = Field(
        "", description="Empty for tenant-wide kinds; `default` when left out of others."
    )
    name: Name = Field(description="Unique within kind and namespace.")
    labels: Labels = Field(default_factory=dict, description="Key and value pairs that label expressions select by.")
    annotations: dict[str, str] = Field(default_factory=dict, description="Free text for tools; never interpreted.")
    description: str = Field("", max_length=1024, description="One line for people.")


class System(Frozen):
    """What the console adds to an object. People cannot set it."""

    created: int = Field(0, ge=0, description="Order of creation; of two objects that clash, the lower keeps working.")
    number: int | None = Field(None, ge=1, description="Never reused; names a site, region or cluster in BGP routes.")


class Reference(Frozen):
    """Names an object of the same namespace, or of the namespace `shared`."""

    namespace: Name | None = Field(
        None, description="The object's own namespace when left out; otherwise only `shared`."
    )
    name: Name


class Use(NamedTuple):
    """One reference that an object makes: where it stands, and to what."""

    field: str
    target: ObjectKey


class Spec(Frozen):
    """Base of every kind's `spec`."""

    def uses(self, tenant: str, namespace: str) -> Iterator[Use]:
        """Every reference of this spec, in document order."""
        return iter(())


@dataclass(frozen=True, slots=True)
class Refused:
    """That an object was read from a store although this release refuses it: `body` is what is stored, and what
    `diagnostics` are of is missing from the object. See `isthmus.model.stored`."""

    body: bytes
    diagnostics: tuple[Diagnostic, ...]


class Object(Frozen):
    """Base of every kind."""

    plural: ClassVar[str]
    tenant_wide: ClassVar[bool] = False
    internal: ClassVar[bool] = False

    api_version: Literal["isthmus/v1"] = "isthmus/v1"
    kind: str
    metadata: Metadata
    spec: Any
    system: System = System()
    _refused: Refused | None = PrivateAttr(None)

    @model_validator(mode="after")
    def _namespace_fits(self) -> Self:
        if self.tenant_wide and self.metadata.namespace:
            raise ValueError(f"a {self.kind} belongs to the whole tenant; remove metadata.namespace")
        if not self.tenant_wide and not self.metadata.namespace:
            raise ValueError(f"a {self.kind} lives in a namespace; set metadata.namespace")
        return self

    @property
    def private(self) -> dict[str, Private]:
        """The private values, by field of the spec."""
        values = ((name, getattr(self.spec, name)) for name in type(self.spec).model_fields)
        return {to_camel(name): value for name, value in values if isinstance(value, Private)}

    def with_private(self, values: Mapping[str, Private]) -> Self:
        """The same object with other private values."""
        names = {to_camel(name): name for name in type(self.spec).model_fields}
        spec = self.spec.model_copy(update={names[name]: value for name, value in values.items()})
        return self.model_copy(update={"spec": spec})

    @property
    def key(self) -> ObjectKey:
        """The object's key."""
        meta = self.metadata
        return ObjectKey(meta.tenant, self.kind, meta.namespace, meta.name)

    def uses(self) -> Iterator[Use]:
        """Every reference that the object makes, in document order."""
        spec: Spec = self.spec
        return spec.uses(self.metadata.tenant, self.metadata.namespace)

    @property
    def refused(self) -> Refused | None:
        """Set on an object from a store that this release would not take: what is stored, and why."""
        return self._refused

    def as_refused(self, refused: Refused) -> Self:
        """The same object, as all that is understood of a stored one."""
        found = self.model_copy()
        found._refused = refused
        return found

    def with_system(self, system: System) -> Self:
        """The same object with the console's facts."""
        return self.model_copy(update={"system": system})

    def succeeding(self, old: "Object") -> Self:
        """The same object in place of what it was: what the console added to that stays."""
        return self.with_system(old.system)
