"""Sizes in bytes as people write and read them: ``16GiB`` is 2^34 bytes, ``16GB`` 16 * 10^9."""

from __future__ import annotations

import re
from decimal import Decimal
from typing import Any

BYTES = re.compile(r"^\s*([0-9]+(?:\.[0-9]+)?)\s*([A-Za-z]*)\s*$")
_UNITS = {
    "B": 1,
    **{f"{prefix}B": 1000**power for power, prefix in enumerate(("k", "M", "G", "T"), start=1)},
    **{f"{prefix}iB": 1024**power for power, prefix in enumerate(("K", "M", "G", "T"), start=1)},
}


def parse_bytes(value: Any) -> Any:
    """Bytes of ``16GiB`` (2^30 each), ``16GB`` (10^9 each) and their kin; what is no string passes as it is."""
    if not isinstance(value, str):
        return value
    match = BYTES.match(value)
    if match is None or match[2] not in _UNITS:
        raise ValueError(f"'{value}' is not a size; write a number with one of {', '.join(_UNITS)}, such as 16GiB")
    return round(Decimal(match[1]) * _UNITS[match[2]])


def exact_bytes(size: int) -> str:
    """``16 GiB``, ``1.5 GiB`` or ``16 GB``: in the largest unit that takes at most three decimals and loses no byte."""
    for unit in ("TiB", "TB", "GiB", "GB", "MiB", "MB", "KiB", "kB"):
        share = Decimal(size) / _UNITS[unit]
        if 1 <= share < 10_000 and share == round(share, 3):
            return f"{share.normalize():f} {unit}"
    return f"{size} B"


def rounded_bytes(size: float) -> str:
    """Three significant digits in the unit that suits: ``20.9 MiB``."""
    unit = next((unit for unit in ("TiB", "GiB", "MiB", "KiB") if abs(size) >= _UNITS[unit]), "B")
    share = size / _UNITS[unit]
    digits = 0 if unit == "B" or abs(share) >= 100 else 1 if abs(share) >= 10 else 2
    return f"{share:,.{digits}f} {unit}"
