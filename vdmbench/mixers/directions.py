"""Time run forward, or both ways and merged: the one place that knows about directions."""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from vdmbench.mixers import flops
from vdmbench.ops import causal_conv1d

TimeDirection = Literal["forward", "both"]
Merge = Literal["sum", "concat", "product"]


class Core(nn.Module):
    """A state-space model over frames, which keeps the number of channels.

    Attributes:
        glu_activation: what the published GLU block applies to its output.
        state_size: real numbers in its state per site.
    """

    glu_activation: type[nn.Module]
    state_size: int

    def forward(
        self,
        x: Float[Tensor, "batch frames channels"],
        *,
        gate: Float[Tensor, "batch frames channels"] | None = None,
        reverse: bool = False,
    ) -> Float[Tensor, "batch frames channels"]:
        """``reverse`` equals flip over frames, forward, flip. The output is multiplied by SiLU of ``gate``."""
        raise NotImplementedError

    def both_ways(
        self,
        against: Core,
        past: Float[Tensor, "batch frames channels"],
        future: Float[Tensor, "batch frames channels"],
        *,
        gate: Float[Tensor, "batch frames channels"] | None,
        merge: Merge,
    ) -> Float[Tensor, "batch frames width"]:
        """This core along time on ``past`` and another against it on ``future``, merged, then times SiLU of ``gate``."""
        y = merge_directions(self(past), against(future, reverse=True), merge)
        if gate is None:
            return y
        return y * F.silu(gate).repeat(1, 1, y.shape[-1] // gate.shape[-1])

    def scan_flops(self, frames: int) -> int:
        """FLOPs per site of its recurrence or convolution, without its linear maps."""
        raise NotImplementedError


class CausalConv(nn.Module):
    """Depthwise convolution over the present frame and the ones before it, or after it where reversed."""

    def __init__(self, channels: int, taps: int) -> None:
        super().__init__()
        if taps < 1:
            raise ValueError(f"conv must be at least 1 frame, got {taps}")
        bound = taps**-0.5  # as nn.Conv1d: uniform within 1 / sqrt(fan-in)
        self.weight = nn.Parameter(torch.empty(channels, taps).uniform_(-bound, bound))
        self.bias = nn.Parameter(torch.empty(channels).uniform_(-bound, bound))

    def forward(self, x: Float[Tensor, "batch frames channels"], *, reverse: bool) -> Float[Tensor, "batch frames channels"]:
        return causal_conv1d(x, self.weight, self.bias, reverse=reverse)


class Branch(nn.Module):
    """One direction of time: a core, and what that direction has for itself before and after it.

    Args:
        core: the state-space model.
        before: applied to each frame first.
        conv: then applied over frames, with SiLU.
        after: applied to each frame of the core's output.
    """

    def __init__(
        self, core: Core, *, before: nn.Module | None = None, conv: CausalConv | None = None, after: nn.Module | None = None
    ) -> None:
        super().__init__()
        self.before, self.conv, self.core, self.after = before, conv, core, after

    def enter(self, x: Float[Tensor, "batch frames channels"], *, reverse: bool = False) -> Float[Tensor, "batch frames inner"]:
        """What the core sees; ``reverse`` equals flip over frames, enter, flip."""
        if self.before is not None:
            x = self.before(x)
        return x if self.conv is None else F.silu(self.conv(x, reverse=reverse))

    def leave(self, y: Float[Tensor, "batch frames inner"]) -> Float[Tensor, "batch frames width"]:
        """What becomes of the core's output."""
        return y if self.after is None else self.after(y)

    @property
    def state_size(self) -> int:
        """The core's state, and the past frames under the convolution's taps."""
        return self.core.state_size + (0 if self.conv is None else self.conv.weight[:, 1:].numel())

    def time_flops(self, frames: int) -> int:
        """FLOPs per site of what runs over frames: scan and convolution."""
        conv = 0 if self.conv is None else flops.depthwise_conv(frames, *self.conv.weight.shape)
        return self.core.scan_flops(frames) + conv


class Directions(nn.Module):
    """One branch, or two with parameters of their own, the second against time, and their merge.

    Args:
        branch: makes a branch.
        direction: ``forward`` or ``both``.
        merge: of the two outputs: ``sum``, ``concat`` (twice as wide) or ``product``.

    Raises:
        ValueError: unknown direction or merge, or a merge other than ``sum`` where there is nothing to merge.
    """

    def __init__(self, branch: Callable[[], Branch], *, direction: TimeDirection, merge: Merge) -> None:
        super().__init__()
        if direction not in ("forward", "both"):
            raise ValueError(f"direction must be 'forward' or 'both', got '{direction}'")
        if merge not in ("sum", "concat", "product"):
            raise ValueError(f"merge must be 'sum', 'concat' or 'product', got '{merge}'")
        if direction == "forward" and merge != "sum":
            raise ValueError(f"merge '{merge}' has no effect in one direction: set direction to 'both', or keep merge 'sum'")
        self.along = branch()
        self.against = branch() if direction == "both" else None
        self.merge: Merge = merge

    def forward(
        self, x: Float[Tensor, "batch frames channels"], *, gate: Float[Tensor, "batch frames inner"] | None = None
    ) -> Float[Tensor, "batch frames width"]:
        """The merged branches; ``gate`` multiplies, through SiLU, those that end in their cores, where kernels fuse it."""
        if self.against is None:
            along = self.along.core(self.along.enter(x), gate=gate)
            return self.along.leave(along)
        past, future = self.along.enter(x), self.against.enter(x, reverse=True)
        if self.along.after is None:
            return self.along.core.both_ways(self.against.core, past, future, gate=gate, merge=self.merge)
        past = self.along.leave(self.along.core(past))
        future = self.against.leave(self.against.core(future, reverse=True))
        return merge_directions(past, future, self.merge)

    @property
    def branches(self) -> list[Branch]:
        return [self.along] if self.against is None else [self.along, self.against]


def merge_directions(
    past: Float[Tensor, "batch frames channels"], future: Float[Tensor, "batch frames channels"], merge: Merge
) -> Float[Tensor, "batch frames width"]:
    """Sum, product, or both side by side."""
    if merge == "concat":
        return torch.cat([past, future], -1)
    return past + future if merge == "sum" else past * future
