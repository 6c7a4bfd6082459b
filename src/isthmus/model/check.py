"""Checks of several fields together, which an applied document has to pass and a stored one need not.

Every field of an object that fails one is good by itself. So what it refers to is known, whatever this release thinks
of the combination. See `isthmus.model.stored`.
"""

from collections.abc import Callable
from typing import Any, TypeVar

from pydantic import ValidationInfo, model_validator

_T = TypeVar("_T")

STORED = "stored"
"""The context of a validation that passes over these checks."""


def check_whole(check: Callable[[_T], _T]) -> Any:
    """A method of a model as such a check: it returns the model, or raises ValueError."""

    def checked(self: _T, info: ValidationInfo) -> _T:
        return self if info.context is STORED else check(self)

    checked.__doc__ = check.__doc__
    checked.__name__ = checked.__qualname__ = check.__name__
    return model_validator(mode="after")(checked)
