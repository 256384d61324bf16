"""Time run forward, or both ways and merged, for the cores of state-space mixers."""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from vdmbench.mixers import flops
from vdmbench.mixers.mixer import State
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

    def initial_state(self, batch: int) -> State:
        """The state before the first frame: :attr:`state_size` numbers for each element of the batch."""
        raise NotImplementedError

    def step(self, x: Float[Tensor, "batch channels"], state: State) -> tuple[Float[Tensor, "batch channels"], State]:
        """One frame of :meth:`forward` without a gate, and the state after it."""
        raise NotImplementedError

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

    def initial_state(self, batch: int) -> Float[Tensor, "batch past channels"]:
        """The frames under the taps before the present one."""
        channels, taps = self.weight.shape
        return self.weight.new_zeros(batch, taps - 1, channels)

    def step(
        self, x: Float[Tensor, "batch channels"], past: Float[Tensor, "batch past channels"]
    ) -> tuple[Float[Tensor, "batch channels"], Float[Tensor, "batch past channels"]]:
        """One frame further: its output, and the frames that the next one sees."""
        seen = torch.cat([past, x[:, None]], 1)
        return (seen * self.weight.T).sum(1) + self.bias, seen[:, 1:]

    @property
    def state_size(self) -> int:
        return self.weight[:, 1:].numel()


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

    def leave(self, y: Float[Tensor, "*frames inner"]) -> Float[Tensor, "*frames width"]:
        """What becomes of the core's output, of all frames or of one."""
        return y if self.after is None else self.after(y)

    def initial_state(self, batch: int) -> State:
        """Of the convolution and of the core."""
        return () if self.conv is None else self.conv.initial_state(batch), self.core.initial_state(batch)

    def step(
        self, x: Float[Tensor, "batch channels"], state: State, *, gate: Float[Tensor, "batch inner"] | None
    ) -> tuple[Float[Tensor, "batch width"], State]:
        """One frame through all of it; the gate multiplies the core's output."""
        past, carried = state
        if self.before is not None:
            x = self.before(x)
        if self.conv is not None:
            x, past = self.conv.step(x, past)
            x = F.silu(x)
        y, carried = self.core.step(x, carried)
        return self.leave(y if gate is None else y * F.silu(gate)), (past, carried)

    @property
    def state_size(self) -> int:
        """The core's state, and the past frames under the convolution's taps."""
        return self.core.state_size + (0 if self.conv is None else self.conv.state_size)

    def time_flops(self, frames: int) -> int:
        """FLOPs per site of what runs over frames: scan and convolution."""
        conv = 0 if self.conv is None else flops.depthwise_conv(frames, *self.conv.weight.shape)
        return self.core.scan_flops(frames) + conv


def check_directions(direction: str, merge: str, shared: bool) -> None:
    """Raise ValueError for an unknown direction or merge, or an option that has no effect in one direction."""
    if direction not in ("forward", "both"):
        raise ValueError(f"direction must be 'forward' or 'both', got '{direction}'")
    if merge not in ("sum", "concat", "product"):
        raise ValueError(f"merge must be 'sum', 'concat' or 'product', got '{merge}'")
    if direction == "forward" and merge != "sum":
        raise ValueError(f"merge '{merge}' has no effect in one direction: set direction to 'both', or keep merge 'sum'")
    if direction == "forward" and shared:
        raise ValueError("shared has no effect in one direction: set direction to 'both', or keep it false")


class Directions(nn.Module):
    """One branch, or two, the second against time, and their merge.

    Args:
        branch: makes a branch.
        direction: ``forward`` or ``both``.
        merge: of the two outputs: ``sum``, ``concat`` (twice as wide) or ``product``.
        shared: both directions are one branch, with the same parameters, instead of two.

    Raises:
        ValueError: see :func:`check_directions`.
    """

    def __init__(self, branch: Callable[[], Branch], *, direction: TimeDirection, merge: Merge, shared: bool = False) -> None:
        super().__init__()
        check_directions(direction, merge, shared)
        self.along = branch()
        self.against = branch() if direction == "both" and not shared else None  # one module has one name in a checkpoint
        self.both = direction == "both"
        self.merge: Merge = merge

    def forward(
        self, x: Float[Tensor, "batch frames channels"], *, gate: Float[Tensor, "batch frames inner"] | None = None
    ) -> Float[Tensor, "batch frames width"]:
        """The merged branches; ``gate`` multiplies, through SiLU, those that end in their cores, where kernels fuse it."""
        if not self.both:
            return self.along.leave(self.along.core(self.along.enter(x), gate=gate))
        along, against = self.branches
        past, future = along.enter(x), against.enter(x, reverse=True)
        if along.after is None:
            return along.core.both_ways(against.core, past, future, gate=gate, merge=self.merge)
        return merge_directions(along.leave(along.core(past)), against.leave(against.core(future, reverse=True)), self.merge)

    def initial_state(self, batch: int) -> State:
        """Of the one branch; both directions have none."""
        return self.along.initial_state(batch)

    def step(
        self, x: Float[Tensor, "batch channels"], state: State, *, gate: Float[Tensor, "batch inner"] | None = None
    ) -> tuple[Float[Tensor, "batch width"], State]:
        """One frame of the one branch."""
        return self.along.step(x, state, gate=gate)

    @property
    def branches(self) -> list[Branch]:
        """One for each direction; the same one twice where it is shared."""
        if not self.both:
            return [self.along]
        return [self.along, self.along if self.against is None else self.against]

    def flops(self, frames: int) -> int:
        """FLOPs per site of all branches, their linear maps included."""
        return sum(flops.linear_maps(branch, frames) + branch.time_flops(frames) for branch in self.branches)


def merge_directions(
    past: Float[Tensor, "batch frames channels"], future: Float[Tensor, "batch frames channels"], merge: Merge
) -> Float[Tensor, "batch frames width"]:
    """Sum, product, or both side by side."""
    if merge == "concat":
        return torch.cat([past, future], -1)
    return past + future if merge == "sum" else past * future
