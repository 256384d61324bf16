"""Depthwise convolution over a few frames, which stands before the scan of many mixers."""

from __future__ import annotations

from functools import partial
from typing import Literal

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from vdmbench.ops import causal_conv1d
from vdmbench.ops.recompute import recomputed

ConvAlignment = Literal["causal", "centred"]


def _convolved(ahead: int, reverse: bool, weight: Tensor, bias: Tensor | None, *parts: Tensor) -> Tensor:
    x = parts[0] if len(parts) == 1 else torch.cat(parts, -1)
    return causal_conv1d(x, weight, bias, silu=True, ahead=ahead, reverse=reverse)


class ShortConv(nn.Module):
    """SiLU of a filter a channel, over the present frame and those before it, or on both sides of it.

    Args:
        taps: frames under the filter.
        alignment: ``causal``: the present frame is the last one; ``centred``: the middle one.
        bias: add a number to each channel before SiLU.

    Raises:
        ValueError: ``taps`` is not positive, or even where it is centred.
    """

    bias: nn.Parameter | None

    def __init__(self, channels: int, taps: int, *, alignment: ConvAlignment = "causal", bias: bool = True) -> None:
        super().__init__()
        if alignment not in ("causal", "centred"):
            raise ValueError(f"conv_alignment must be 'causal' or 'centred', got '{alignment}'")
        if taps < 1:
            raise ValueError(f"conv must be at least 1 frame, got {taps}")
        if alignment == "centred" and taps % 2 == 0:
            raise ValueError(f"conv is centred on the present frame: it must be odd, got {taps}")
        bound = taps**-0.5  # as nn.Conv1d: uniform within 1 / sqrt(fan-in)
        self.weight = nn.Parameter(torch.empty(channels, taps).uniform_(-bound, bound))
        self.register_parameter("bias", nn.Parameter(torch.empty(channels).uniform_(-bound, bound)) if bias else None)
        self.ahead = taps // 2 if alignment == "centred" else 0

    def forward(
        self, x: Float[Tensor, "batch frames channels"], *, reverse: bool = False
    ) -> Float[Tensor, "batch frames channels"]:
        """``reverse`` equals flip over frames, forward, flip."""
        return self.of_parts(x, reverse=reverse)

    def of_parts(
        self, *parts: Float[Tensor, "batch frames _"], reverse: bool = False
    ) -> Float[Tensor, "batch frames channels"]:
        """:meth:`forward` of parts side by side, which are not kept as one."""
        return recomputed(partial(_convolved, self.ahead, reverse), self.weight, self.bias, *parts)

    def initial_state(self, batch: int) -> Float[Tensor, "batch past channels"]:
        """The frames under the taps before the present one."""
        channels, taps = self.weight.shape
        return self.weight.new_zeros(batch, taps - 1, channels)

    def step(
        self, x: Float[Tensor, "batch channels"], past: Float[Tensor, "batch past channels"]
    ) -> tuple[Float[Tensor, "batch channels"], Float[Tensor, "batch past channels"]]:
        """One frame further, where it is causal: its output, and the frames that the next one sees."""
        seen = torch.cat([past, x[:, None]], 1)
        filtered = (seen * self.weight.T).sum(1)
        return F.silu(filtered if self.bias is None else filtered + self.bias), seen[:, 1:]

    @property
    def state_size(self) -> int:
        return self.weight[:, 1:].numel()
