"""Numbers as people write them in a suite: ``14.1M`` parameters, ``2%`` tolerance, ``16GiB`` of memory."""

from __future__ import annotations

import re
from decimal import Decimal
from typing import Annotated, Any

from pydantic import AfterValidator, BeforeValidator, Field, WithJsonSchema

from vdmbench.byte_sizes import parse_bytes

_COUNT = re.compile(r"^\s*([0-9]+(?:\.[0-9]+)?)\s*([kMGB]?)\s*$")
_SCALE = {"": 1, "k": 10**3, "M": 10**6, "G": 10**9, "B": 10**9}


def _parse_count(value: Any) -> Any:
    if not isinstance(value, str):
        return value
    match = _COUNT.match(value)
    if match is None:
        raise ValueError(f"'{value}' is not a count; write a number, or one with k, M or B, such as 14.1M")
    count = Decimal(match[1]) * _SCALE[match[2]]
    if count != int(count):
        raise ValueError(f"'{value}' is not a whole count")
    return int(count)


def _whole_from_one_on(value: float) -> float:
    if value >= 1 and value != int(value):
        raise ValueError(f"from 1 on it counts steps, and {value:g} is no whole number; a share is below 1, such as 5%")
    return value


def _parse_fraction(value: Any) -> Any:
    if isinstance(value, str) and value.strip().endswith("%"):
        try:
            return float(value.strip()[:-1]) / 100
        except ValueError:
            raise ValueError(f"'{value}' is not a percentage; write for example 2%") from None
    return value


Count = Annotated[
    int,
    Field(gt=0, le=10**18),
    BeforeValidator(_parse_count),
    WithJsonSchema(
        {
            "anyOf": [
                {"type": "integer", "exclusiveMinimum": 0, "maximum": 10**18},
                {"type": "string", "pattern": _COUNT.pattern},
            ]
        }
    ),
]
"""A positive count; the strings ``300k``, ``14.1M`` and ``5B`` are understood."""

Seed = Annotated[int, Field(ge=0, lt=2**63)]
"""Of random draws; every generator and every table has room for 63 bits."""

Bytes = Annotated[
    int,
    Field(gt=0, le=2**60),
    BeforeValidator(parse_bytes),
    WithJsonSchema(
        {
            "anyOf": [
                {"type": "integer", "exclusiveMinimum": 0, "maximum": 2**60},
                {"type": "string", "pattern": r"^\s*[0-9.]+\s*([kKMGT]i?)?B\s*$"},
            ]
        }
    ),
]
"""Bytes; the strings ``16GiB`` (2^30 each) and ``16GB`` (10^9 each) are understood, and differ."""

Fraction = Annotated[
    float,
    Field(gt=0, lt=1),
    BeforeValidator(_parse_fraction),
    WithJsonSchema(
        {
            "anyOf": [
                {"type": "number", "exclusiveMinimum": 0, "exclusiveMaximum": 1},
                {"type": "string", "pattern": r"^\s*[0-9.]+\s*%\s*$"},
            ]
        }
    ),
]
"""A share between 0 and 1; the string ``2%`` is understood."""

StepsOrShare = Annotated[
    float,
    Field(ge=0),
    BeforeValidator(_parse_fraction),
    AfterValidator(_whole_from_one_on),
    WithJsonSchema({"anyOf": [{"type": "number", "minimum": 0}, {"type": "string", "pattern": r"^\s*[0-9.]+\s*%\s*$"}]}),
]
"""From 1 on a number of steps; below it a share of all steps, which may be written ``5%``."""

ShareOfTraining = Annotated[
    float,
    Field(gt=0, le=1),
    BeforeValidator(_parse_fraction),
    WithJsonSchema(
        {
            "anyOf": [
                {"type": "number", "exclusiveMinimum": 0, "maximum": 1},
                {"type": "string", "pattern": r"^\s*[0-9.]+\s*%\s*$"},
            ]
        }
    ),
]
"""A share above 0 and up to 1, which is the end; the string ``30%`` is understood."""
