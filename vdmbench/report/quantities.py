"""How numbers are shown: the unit that a column is printed in, and the digits of its values.

What the numbers are is said in :mod:`vdmbench.quantities`, whose names stand here too.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from vdmbench.quantities import BUILT_IN, Better, Quantity, Reach, UnknownQuantity, find_quantity, metric_quantity

__all__ = [
    "BUILT_IN",
    "SCALES",
    "Better",
    "Quantity",
    "Reach",
    "Scale",
    "UnknownQuantity",
    "choose_scale",
    "decimals",
    "find_quantity",
    "header",
    "metric_quantity",
    "significant",
]

SCALES: dict[str, list[tuple[float, str]]] = {
    "bytes": [(2**30, "GiB"), (2**20, "MiB"), (2**10, "KiB"), (1, "B")],
    "s": [(1, "s"), (1e-3, "ms"), (1e-6, "µs")],
    "parameters": [(1e9, "B"), (1e6, "M"), (1e3, "k"), (1, "")],
    "elements": [(1e9, "G elements"), (1e6, "M elements"), (1e3, "k elements"), (1, "elements")],
    "FLOPs": [(1e18, "EFLOPs"), (1e15, "PFLOPs"), (1e12, "TFLOPs"), (1e9, "GFLOPs"), (1e6, "MFLOPs"), (1, "FLOPs")],
    "steps": [(1e6, "M"), (1e3, "k"), (1, "")],
    "frames/s": [(1, "frames/s")],
    "dB": [(1, "dB")],
    "s/clip": [(1, "s/clip"), (1e-3, "ms/clip")],
    "": [(1, "")],
}


@dataclass(frozen=True)
class Scale:
    """The unit that one display uses for a whole column."""

    factor: float
    unit: str

    def __call__(self, value: float) -> float:
        return value / self.factor


def choose_scale(quantity: Quantity, values: Iterable[float]) -> Scale:
    """The largest unit in which the median value is at least 1, so that a column is read without exponents."""
    ordered = sorted(abs(value) for value in values)
    typical = ordered[len(ordered) // 2] if ordered else 1.0
    steps = SCALES[quantity.unit]
    for factor, unit in steps:
        if typical >= factor:
            return Scale(factor, unit)
    return Scale(*steps[-1])


def header(quantity: Quantity, scale: Scale) -> str:
    """Label with unit, as tables and axes print it."""
    return f"{quantity.label} ({scale.unit})" if scale.unit else quantity.label


def significant(value: float, digits: int = 3) -> str:
    """A plain decimal with ``digits`` significant digits, never an exponent; integer digits are all kept."""
    if value == 0:
        return "0"
    return f"{value:.{decimals(value, digits)}f}"


def decimals(value: float, digits: int = 3) -> int:
    """Decimal places that show ``digits`` significant digits of ``value``."""
    from math import floor, isfinite, log10

    return max(0, digits - 1 - floor(log10(abs(value)))) if value and isfinite(value) else 0
