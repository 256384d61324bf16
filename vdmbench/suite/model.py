"""The base of everything that a suite can declare."""

from __future__ import annotations

import types
from typing import Any, Union, get_args, get_origin

from pydantic import BaseModel, ConfigDict, ValidationInfo, field_validator


def _takes_bool(annotation: Any) -> bool:
    if get_origin(annotation) in (Union, types.UnionType):
        return any(_takes_bool(member) for member in get_args(annotation))
    return annotation not in (int, float)


class Declared(BaseModel):
    """Immutable, refuses unknown keys, and takes the docstring under a field as its help.

    YAML's ``true`` is not a number here: pydantic alone would read ``steps: true`` as one step.
    """

    model_config = ConfigDict(
        extra="forbid",
        frozen=True,
        use_attribute_docstrings=True,
        allow_inf_nan=False,
        validate_by_name=True,
        validate_by_alias=True,
    )

    @field_validator("*", mode="before")
    @classmethod
    def _refuse_bool_for_number(cls, value: Any, info: ValidationInfo) -> Any:
        if isinstance(value, bool) and info.field_name and not _takes_bool(cls.model_fields[info.field_name].annotation):
            raise ValueError(f"a number is wanted, got {str(value).lower()}")
        return value
