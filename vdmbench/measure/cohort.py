"""The hardware class of a record: numbers of different classes are shown side by side and never averaged."""

from __future__ import annotations

import re
from typing import Any


def hardware_cohort(environment: dict[str, Any], device: str, *, devices: int = 1) -> str:
    """A short key, such as ``nvidia-h200`` or ``cpu-amd-epyc-9654-2-threads``, from :func:`capture`'s dict.

    ``device`` is the PyTorch device string that the run computed on. A GPU counts by name, as memory size and MIG slice are
    part of it; a CPU by model and the threads that PyTorch used. Several ``devices`` that train together are a class of their
    own (``2x-nvidia-h200``): neither their peaks nor their times are those of one.
    """
    several = f"{devices}x " if devices > 1 else ""
    kind, _, index = device.partition(":")
    if kind == "cuda":
        gpus = environment["gpus"]
        if not gpus:
            raise ValueError(f"device '{device}' has no cohort: the environment lists no GPU")
        return _slug(several + gpus[int(index or 0)]["name"])
    return _slug(f"{several}{kind} {environment['cpu']['model'] or 'unknown'} {environment['threads']['torch']} threads")


def _slug(text: str) -> str:
    """Lower-case letters, digits, '.' and '-'."""
    return re.sub(r"[^a-z0-9.]+", "-", text.lower()).strip("-")
