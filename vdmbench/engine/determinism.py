"""Runs that repeat to the last bit."""

from __future__ import annotations

import torch


def repeat_bits() -> None:
    """Let PyTorch take the deterministic form of each op in this process; where an op has none, it warns and goes on.

    PyTorch then writes NaN into every tensor that is created empty, so that a read of what nobody wrote shows. That is a pass
    over every activation, of a training step on a CPU some 5 %, and no result depends on it: it is left out.
    """
    torch.use_deterministic_algorithms(True, warn_only=True)
    torch.utils.deterministic.fill_uninitialized_memory = False  # type: ignore[attr-defined]
