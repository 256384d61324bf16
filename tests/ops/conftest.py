"""Random inputs of scans, and the measure by which a result is held to a float64 reference."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor

from vdmbench.ops import Direction


@pytest.fixture
def random_direction() -> Callable[..., Direction]:
    """A Direction of random float64 values rounded to a dtype, every tensor a leaf that requires a gradient."""

    def make(
        batch: int, frames: int, channels: int, state: int, dtype: torch.dtype = torch.float64, seed: int = 0
    ) -> Direction:
        generator = torch.Generator().manual_seed(seed)

        def normal(*shape: int) -> Tensor:
            return torch.randn(*shape, generator=generator, dtype=torch.float64)

        sequence = (batch, frames, channels)
        parts = (
            normal(*sequence),
            normal(*sequence),
            -torch.exp(normal(channels, state) / 2),
            normal(batch, frames, state),
            normal(batch, frames, state),
            normal(channels),
            normal(channels),
        )
        return Direction(*(part.to(dtype).requires_grad_() for part in parts))

    return make


@pytest.fixture
def relative_error() -> Callable[[Tensor, Tensor], float]:
    """|got - want| / |want| in float64; |got| where nothing is wanted."""

    def measure(got: Tensor, want: Tensor) -> float:
        assert got.shape == want.shape
        got, want = got.detach().double(), want.detach().double()
        return float((got - want).norm() / (want.norm() or 1))

    return measure


if os.environ.get("TRITON_INTERPRET") == "1":

    @pytest.fixture(autouse=True)
    def half_precision_as_on_a_gpu(monkeypatch: pytest.MonkeyPatch) -> None:
        """Triton's interpreter truncates to half precision, loses the carry where it is asked to round, and multiplies the bits
        of bfloat16 matrices as integers: here it rounds to the nearest, and multiplies values."""
        import triton.language as tl
        from triton.runtime import interpreter

        truncating, dtypes = interpreter._convert_float, {"bf16": torch.bfloat16, "fp16": torch.float16}
        builder = interpreter.InterpreterBuilder
        integers = builder.create_dot

        def rounding(values: Any, source: Any, target: Any, mode: Any) -> Any:
            if source.name != "fp32" or target.name not in dtypes:
                return truncating(values, source, target, mode)
            return torch.from_numpy(values.copy()).to(dtypes[target.name]).view(torch.uint16).numpy()

        def wide(handle: Any) -> Any:
            if handle.dtype.scalar.name != "bf16":
                return handle
            bits = torch.from_numpy(handle.data.copy()).view(torch.bfloat16)
            return interpreter.TensorHandle(bits.float().numpy(), tl.float32)

        def dot(self: Any, a: Any, b: Any, *rest: Any) -> Any:
            return integers(self, wide(a), wide(b), *rest)

        monkeypatch.setattr(interpreter, "_convert_float", rounding)
        monkeypatch.setattr(builder, "create_dot", dot)
