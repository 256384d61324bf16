"""The Triton kernels but those of the S6 scan as Python on CPU tensors; run by test_triton_kernels.py with TRITON_INTERPRET=1.

Tiles are made small, so that small clips have several, and the last one is not full.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Any

import pytest
import torch

sys.path.insert(0, str(Path(__file__).parent))

from test_every_backend import EITHER_WAY, LAYOUTS, OPS, TOLERANCE, compare

from vdmbench.ops import (
    BackendUnavailable,
    triton_attention,
    triton_conv,
    triton_delta,
    triton_group_norm,
    triton_long_conv,
    triton_ssd,
)

assert os.environ.get("TRITON_INTERPRET") == "1"

SSD_SIZES = [(2, 19, 4, 3, 2, 5), (1, 1, 1, 1, 1, 1), (3, 17, 1, 18, 1, 17)]
SIZES: dict[str, list[tuple[int, ...]]] = {
    "ssd_scan": SSD_SIZES,
    "quasi_separable_scan": SSD_SIZES,
    "gated_delta_scan": [(1, 7, 3, 5, 3), (1, 1, 1, 1, 1), (1, 2, 1, 2, 9)],
    "causal_conv1d": [(3, 9, 5, 4), (1, 1, 1, 1), (1, 2, 3, 7)],
    "group_norm_silu": [(4, 3, 5, 24), (1, 1, 1, 1), (2, 1, 3, 40)],
    "long_convolution": [(3, 37, 5), (1, 1, 1), (1, 17, 4)],
    "attention": [(3, 2, 37, 5), (1, 1, 1, 1), (5, 1, 16, 18)],
}
CONVOLUTIONS = [
    {"silu": silu, "ahead": ahead, "reverse": reverse} for silu, ahead in ((False, 0), (True, 1)) for reverse in (False, True)
]
OPTIONS: dict[str, list[dict[str, Any]]] = {
    "ssd_scan": EITHER_WAY,
    "quasi_separable_scan": [{}],
    "gated_delta_scan": EITHER_WAY,
    "causal_conv1d": CONVOLUTIONS,
    "group_norm_silu": OPS["group_norm_silu"].options,
    "long_convolution": EITHER_WAY,
    "attention": OPS["attention"].taken_by("triton"),
}


@pytest.fixture(autouse=True)
def small_tiles(monkeypatch: pytest.MonkeyPatch) -> None:
    for module, sizes in (
        (triton_ssd, {"_CHUNK": 16, "_WIDTH": 16, "_WIDTH_OF_FLOAT32": 16, "_PROGRAMS": 2}),
        (triton_delta, {"_ROOM": 64, "_BLOCK": 4}),
        (triton_group_norm, {"_ROWS": 4, "_BLOCK": 8}),
        (triton_conv, {"_SLOTS": 2, "_ROWS": 8, "_BLOCK": 4}),
        (triton_attention, {"_TILE": 16, "_PROGRAMS": 4}),
        (triton_long_conv, {"_CLIPS": 2, "_CLIPS_OF_FLOAT32": 2, "_CHANNELS": 2, "_PROGRAMS": 4}),
    ):
        for name, value in sizes.items():
            monkeypatch.setattr(module, name, value)


@pytest.mark.parametrize("dtype", TOLERANCE, ids=lambda dtype: str(dtype).removeprefix("torch."))
@pytest.mark.parametrize("name", SIZES)
def test_it_equals_the_float64_reference(name: str, dtype: torch.dtype) -> None:
    for size in SIZES[name]:
        for options in OPTIONS[name]:
            if options.get("ahead", 0) < size[-1]:
                compare(OPS[name], "triton", size, options, dtype, "contiguous")


@pytest.mark.parametrize("layout", [name for name in LAYOUTS if name != "contiguous"])
@pytest.mark.parametrize("name", SIZES)
def test_of_any_layout(name: str, layout: str) -> None:
    compare(OPS[name], "triton", SIZES[name][0], OPTIONS[name][-1], torch.float32, layout)


def test_chunks_of_many_frames_hold_what_decays_fast(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(triton_ssd, "_CHUNK_OF_FLOAT32", 64)
    compare(OPS["ssd_scan"], "triton", (1, 66, 1, 2, 1, 2), {"reverse": True}, torch.float32, "contiguous")


def test_inputs_of_half_precision_with_parameters_of_float32() -> None:
    for name in SIZES:
        op, size = OPS[name], SIZES[name][0]
        parts = [torch.randn(shape).abs().neg() for shape in op.shapes(*size)]
        mixed = [part.to(torch.bfloat16) if part.dim() > 2 else part for part in parts]
        wide = [part.double() for part in mixed]
        options = OPTIONS[name][-1]
        got, want = op.call(*mixed, backend="triton", **options), op.call(*wide, backend=op.reference, **options)
        assert got.dtype is torch.bfloat16
        assert float((got.double() - want).norm() / want.norm()) < 1e-2


@pytest.mark.parametrize("name", SIZES)
def test_float64_is_refused_by_name(name: str) -> None:
    op, size = OPS[name], SIZES[name][0]
    parts = [torch.zeros(shape, dtype=torch.float64) for shape in op.shapes(*size)]
    with pytest.raises(BackendUnavailable, match=f"'triton' of {name} cannot run: it computes in float32"):
        op.call(*parts, backend="triton", **OPTIONS[name][-1])
