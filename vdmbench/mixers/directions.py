"""Time run forward, or both ways and merged, for the cores of state-space mixers."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Literal, get_args

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from vdmbench.mixers import flops
from vdmbench.mixers.mixer import State
from vdmbench.mixers.short_conv import ShortConv
from vdmbench.ops.recompute import recomputed

TimeDirection = Literal["forward", "backward", "both"]
Merge = Literal["sum", "concat", "product", "quasi-separable"]


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
        delayed: bool = False,
    ) -> Float[Tensor, "batch frames channels"]:
        """What the state gives, plus D x, times SiLU of ``gate``; ``reverse`` equals flip over frames, forward, flip.

        ``delayed``: a frame gets what the state gave the one before it in scan order, so that it sees itself through D alone.
        """
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
        delayed = merge == "quasi-separable"
        y = merge_directions(self(past, delayed=delayed), against(future, reverse=True, delayed=delayed), merge)
        return y if gate is None else recomputed(gated, y, gate)

    def initial_state(self, batch: int) -> State:
        """The state before the first frame: :attr:`state_size` numbers for each element of the batch."""
        raise NotImplementedError

    def step(self, x: Float[Tensor, "batch channels"], state: State) -> tuple[Float[Tensor, "batch channels"], State]:
        """One frame of :meth:`forward` without a gate, and the state after it."""
        raise NotImplementedError

    def scan_flops(self, frames: int) -> int:
        """FLOPs per site of its recurrence or convolution, without its linear maps."""
        raise NotImplementedError


class Branch(nn.Module):
    """One direction of time: a core, and what that direction has for itself before and after it.

    Args:
        core: the state-space model.
        before: applied to each frame first.
        conv: then applied over frames.
        after: applied to each frame of the core's output.
    """

    def __init__(
        self, core: Core, *, before: nn.Module | None = None, conv: ShortConv | None = None, after: nn.Module | None = None
    ) -> None:
        super().__init__()
        self.before, self.conv, self.core, self.after = before, conv, core, after

    def enter(self, x: Float[Tensor, "batch frames channels"], *, reverse: bool = False) -> Float[Tensor, "batch frames inner"]:
        """What the core sees; ``reverse`` equals flip over frames, enter, flip."""
        if self.before is not None:
            x = self.before(x)
        return x if self.conv is None else self.conv(x, reverse=reverse)

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


def check_directions(direction: str, merge: str, shared: bool, conv_alignment: str = "causal") -> None:
    """Raise ValueError for an unknown direction or merge, or an option that has no meaning in one direction."""
    if direction not in get_args(TimeDirection):
        raise ValueError(f"direction must be one of {', '.join(get_args(TimeDirection))}, got '{direction}'")
    if merge not in get_args(Merge):
        raise ValueError(f"merge must be one of {', '.join(get_args(Merge))}, got '{merge}'")
    if direction != "both" and merge != "sum":
        raise ValueError(f"merge '{merge}' has no effect in one direction: set direction to 'both', or keep merge 'sum'")
    if direction != "both" and shared:
        raise ValueError("shared has no effect in one direction: set direction to 'both', or keep it false")
    if direction != "both" and conv_alignment != "causal":
        raise ValueError("a centred conv sees frames that one direction does not: set direction to 'both', or keep it causal")


class Directions(nn.Module):
    """One branch, or two, the second against time, and their merge.

    Args:
        branch: makes a branch.
        direction: ``forward``, ``backward`` (against time alone) or ``both``.
        merge: of the two outputs: ``sum``, ``concat`` (twice as wide), ``product``, or ``quasi-separable``: the sum where
            both cores are delayed by one frame (Hwang et al. 2024, arXiv 2407.09941, eq. 2; here D is the diagonal).
        shared: both directions are one branch, with the same parameters, instead of two.

    Raises:
        ValueError: see :func:`check_directions`.
    """

    def __init__(self, branch: Callable[[], Branch], *, direction: TimeDirection, merge: Merge, shared: bool = False) -> None:
        super().__init__()
        check_directions(direction, merge, shared)
        self.along = branch()
        self.against = branch() if direction == "both" and not shared else None  # one module has one name in a checkpoint
        self.both, self.reverse = direction == "both", direction == "backward"
        self.merge: Merge = merge

    def forward(
        self, x: Float[Tensor, "batch frames channels"], *, gate: Float[Tensor, "batch frames inner"] | None = None
    ) -> Float[Tensor, "batch frames width"]:
        """The merged branches; ``gate`` multiplies, through SiLU, those that end in their cores, where kernels fuse it."""
        if not self.both:
            past = self.along.enter(x, reverse=self.reverse)
            return self.along.leave(self.along.core(past, gate=gate, reverse=self.reverse))
        along, against = self.branches
        past, future = along.enter(x), against.enter(x, reverse=True)
        if along.after is None:
            return along.core.both_ways(against.core, past, future, gate=gate, merge=self.merge)
        delayed = self.merge == "quasi-separable"
        y = along.leave(along.core(past, delayed=delayed))
        return merge_directions(y, against.leave(against.core(future, reverse=True, delayed=delayed)), self.merge)

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
    past: Float[Tensor, "batch frames *heads channels"], future: Float[Tensor, "batch frames *heads channels"], merge: Merge
) -> Float[Tensor, "batch frames *heads width"]:
    """Product, both side by side, or the sum; quasi-separable is the sum of outputs that come delayed."""
    return recomputed(partial(_merged, merge), past, future) if merge in ("concat", "product") else past + future


def _merged(merge: Merge, past: Tensor, future: Tensor) -> Tensor:
    return torch.cat([past, future], -1) if merge == "concat" else past * future


def gated(y: Float[Tensor, "batch frames width"], gate: Float[Tensor, "batch frames channels"]) -> Tensor:
    """y times SiLU of the gate, which is repeated where directions lie side by side."""
    weight = F.silu(gate)
    beside = y.shape[-1] // gate.shape[-1]
    return y * (weight if beside == 1 else weight.repeat(1, 1, beside))


def delay(y: Float[Tensor, "batch frames *features"], *, reverse: bool) -> Float[Tensor, "batch frames *features"]:
    """Every frame gets what stood at the one before it in scan order, the first one zero."""
    none = y.new_zeros(1).expand_as(y[:, :1])
    return torch.cat([y[:, 1:], none] if reverse else [none, y[:, :-1]], 1)


def delayed_beside(reverse: bool, y: Tensor, D: Tensor, x: Tensor) -> Tensor:
    """What the state gave (batch, frames, heads, dim) to the frame before, in scan order, and D x, D one number a head."""
    return delay(y, reverse=reverse) + D.to(x.dtype)[:, None] * x
