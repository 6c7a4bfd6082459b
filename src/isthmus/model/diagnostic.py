"""What is wrong with an object, in a form that people and scripts can both use."""

import dataclasses
from dataclasses import dataclass

from isthmus.model.key import ObjectKey


@dataclass(frozen=True, slots=True, order=True)
class Diagnostic:
    """One error of a user: a stable code, the object, the field path, what is wrong and how to mend it.

    Attributes:
        code: stable identifier for scripts, for example `dangling-reference`.
        object: key of the object at fault, or None when a document could not be identified.
        field: path inside the document, for example `spec.match[0].path.regex`; empty for the whole object.
        message: one sentence without a final stop.
        mend: what to do about it, one sentence; may be empty when the message says it.
        missing: the object whose absence is the error, if that is it; takes no part in comparisons.
    """

    code: str
    object: ObjectKey | None
    field: str
    message: str
    mend: str = ""
    missing: ObjectKey | None = dataclasses.field(default=None, compare=False)

    def __str__(self) -> str:
        where = self.object.title if self.object else "document"
        field = f": {self.field}" if self.field else ""
        mend = f"; {self.mend}" if self.mend else ""
        return f"{where}{field}: {self.message}{mend} [{self.code}]"
