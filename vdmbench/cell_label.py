"""What a cell is called, for people: where it is declared, run, recorded and compared alike."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from vdmbench.byte_sizes import exact_bytes, parse_bytes

BYTE_SIZED = ("match.budget", "match.also.budget")
"""Fields of a cell that hold sizes in bytes, however they are written."""


def coordinate(path: str, value: Any) -> Any:
    """A swept value as a number where people write it otherwise: ``16GiB`` is 17179869184; one that is no size stays."""
    try:
        return parse_bytes(value) if path in BYTE_SIZED else value
    except ValueError:
        return value


def coordinate_text(path: str, value: Any) -> str:
    """A swept value as people read it: ``16 GiB``."""
    size = coordinate(path, value)
    return exact_bytes(size) if path in BYTE_SIZED and isinstance(size, int) else str(value)


def coordinate_word(path: str, value: Any) -> str:
    """The same without a space, for names: ``16GiB``."""
    return coordinate_text(path, value).replace(" ", "") if path in BYTE_SIZED else str(value)


def cell_label(variant: str, point: Mapping[str, Any], seed: int, *, for_tuning: bool = False) -> str:
    """Variant, sweep coordinates by the last part of their paths (``budget=16GiB``), seed; in front, whether the cell only
    serves tuning."""
    words = [
        variant,
        *(f"{path.rpartition('.')[2]}={coordinate_word(path, value)}" for path, value in point.items()),
        f"seed={seed}",
    ]
    return " ".join(["tuning:", *words] if for_tuning else words)
