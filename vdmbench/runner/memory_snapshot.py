"""The history of CUDA's allocator over a cell, on request: a file for PyTorch's memory viewer (pytorch.org/memory_viz)."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

SNAPSHOT = "memory_snapshot.pickle"
_ENTRIES = 1_000_000
"""Allocations and frees that are kept, the last ones; some hundred bytes of host memory each."""


@contextmanager
def memory_history(path: Path) -> Iterator[None]:
    """Record within, with the stack of every allocation, and write ``path`` at the end, also where the cell failed."""
    import torch

    torch.cuda.memory._record_memory_history(max_entries=_ENTRIES)
    try:
        yield
    finally:
        torch.cuda.memory._dump_snapshot(str(path))
        torch.cuda.memory._record_memory_history(enabled=None)
