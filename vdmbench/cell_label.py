"""What a cell is called, for people: where it is declared, run, recorded and compared alike."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any


def cell_label(variant: str, point: Mapping[str, Any], seed: int, *, for_tuning: bool = False) -> str:
    """Variant, sweep coordinates by the last part of their paths, seed; in front, whether the cell only serves tuning."""
    words = [variant, *(f"{path.rpartition('.')[2]}={value}" for path, value in point.items()), f"seed={seed}"]
    return " ".join(["tuning:", *words] if for_tuning else words)
