"""Mamba-2: a state space whose decay is one number a head (SSD), with maps in and out that follow the block's input."""

from __future__ import annotations

import math
from functools import partial
from typing import Literal

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from vdmbench.mixers import flops
from vdmbench.mixers.directions import Merge, TimeDirection, check_directions, delayed_beside, merge_directions
from vdmbench.mixers.gated_norm import GatedRMSNorm
from vdmbench.mixers.heads import head_width, split_width
from vdmbench.mixers.mixer import Mixer, State
from vdmbench.mixers.short_conv import ConvAlignment, ShortConv
from vdmbench.ops import ssd_scan
from vdmbench.ops.linear import Linear
from vdmbench.ops.recompute import recomputed

DT_RANGE = (1e-3, 1e-1)
"""Initial step sizes, log-uniform."""
A_RANGE = (1.0, 16.0)
"""Initial decay of Mamba-2's heads."""
EXPAND = 2.0


class HeadSteps(nn.Module):
    """Decay and step size of each head: exp(A_log) starts uniform in ``A_range``, softplus(dt_bias) log-uniform in
    [1e-3, 1e-1] (Dao and Gu 2024, arXiv 2405.21060, code). The range of A differs from mixer to mixer, as published.
    """

    def __init__(self, heads: int, *, A_range: tuple[float, float]) -> None:
        super().__init__()
        low, high = map(math.log, DT_RANGE)
        dt = torch.empty(heads).uniform_(low, high).exp()
        least, most = A_range
        A = most - (most - least) * torch.rand(heads)  # in (least, most], since rand gives no 1: the log of A is finite
        self.A_log = nn.Parameter(A.log())
        self.dt_bias = nn.Parameter(dt + torch.log(-torch.expm1(-dt)))  # the inverse of softplus

    @property
    def A(self) -> Float[Tensor, " heads"]:
        return -torch.exp(self.A_log)


def ssd_flops(frames: int, heads: int, inner: int, state: int) -> int:
    """FLOPs per site of the recurrence, whatever the kernel computes: for each number of the state (delta x) B, a h + b and
    C h, 5; for each channel delta x and D x + y, 3; for each head softplus(dt + bias) and exp(delta A), 6."""
    return frames * (5 * inner * state + 3 * inner + 6 * heads)


class SSDBranch(nn.Module):
    """One direction of time: its maps to B, C and dt, its convolution, its scan."""

    def __init__(
        self,
        channels: int,
        heads: int,
        head_dim: int,
        *,
        state: int,
        groups: int,
        conv: int,
        conv_alignment: ConvAlignment,
        delayed: bool,
        backend: str,
    ) -> None:
        super().__init__()
        self.heads, self.inner, self.state, self.groups = heads, heads * head_dim, state, groups
        self.delayed, self.backend = delayed, backend
        self.maps = 2 * groups * state  # B and C of each group
        self.to_maps = Linear(channels, self.maps + heads, bias=False)
        self.conv = ShortConv(self.inner + self.maps, conv, alignment=conv_alignment)
        self.steps = HeadSteps(heads, A_range=A_RANGE)
        self.D = nn.Parameter(torch.ones(heads))

    def forward(
        self, u: Float[Tensor, "batch frames channels"], x: Float[Tensor, "batch frames inner"], *, reverse: bool = False
    ) -> Float[Tensor, "batch frames inner"]:
        """``u`` is the block's input, ``x`` its projection; ``reverse`` equals flip both over frames, forward, flip."""
        maps, dt = self.to_maps(u).split((self.maps, self.heads), -1)
        x, B, C = self._parts(self.conv.of_parts(x, maps, reverse=reverse))
        steps, scanned = self.steps, x.unflatten(-1, (self.heads, -1))
        D = None if self.delayed else self.D
        y = ssd_scan(scanned, dt, steps.A, B, C, D, dt_bias=steps.dt_bias, reverse=reverse, backend=self.backend)
        if self.delayed:
            y = recomputed(partial(delayed_beside, reverse), y, self.D, scanned)
        return y.flatten(2)

    def initial_state(self, batch: int) -> State:
        """Frames under the convolution, and (batch, heads, head_dim, state) in float32 at least."""
        wide = torch.promote_types(self.D.dtype, torch.float32)
        h = torch.zeros(batch, self.heads, self.inner // self.heads, self.state, dtype=wide, device=self.D.device)
        return self.conv.initial_state(batch), h

    def step(
        self, u: Float[Tensor, "batch channels"], x: Float[Tensor, "batch inner"], state: State
    ) -> tuple[Float[Tensor, "batch inner"], State]:
        """One frame of :meth:`forward`."""
        past, h = state
        maps, dt = self.to_maps(u).split((self.maps, self.heads), -1)
        convolved, past = self.conv.step(torch.cat([x, maps], -1), past)
        x, B, C = self._parts(convolved)
        B, C = (part.repeat_interleave(self.heads // self.groups, -2)[..., None, :] for part in (B, C))  # of each head
        heads = x.unflatten(-1, (self.heads, -1))
        delta = F.softplus((dt + self.steps.dt_bias).to(h.dtype))
        h = torch.exp(delta * self.steps.A)[..., None, None] * h + (delta[..., None] * heads)[..., None] * B
        y = (h * C).sum(-1) + self.D[:, None] * heads
        return y.flatten(1).to(x.dtype), (past, h)

    def _parts(self, convolved: Float[Tensor, "*places parts"]) -> tuple[Tensor, Tensor, Tensor]:
        """x, and B and C of each group."""
        x, maps = convolved.split((self.inner, self.maps), -1)
        B, C = maps.unflatten(-1, (2, self.groups, self.state)).unbind(-3)
        return x, B, C

    @property
    def state_size(self) -> int:
        return self.conv.state_size + self.inner * self.state

    def flops(self, frames: int) -> int:
        """Its linear map included."""
        conv = flops.depthwise_conv(frames, *self.conv.weight.shape)
        return flops.linear_maps(self, frames) + conv + ssd_flops(frames, self.heads, self.inner, self.state)


class Mamba2(Mixer):
    """The Mamba-2 block (Dao and Gu 2024, arXiv 2405.21060, sec. 7.1 and fig. 6), along time, against it, or both ways.

    B, C and dt come from the block's input beside x, the convolution covers x, B and C, and an RMS norm follows the gate, of
    each group's features by themselves (of each direction's, where both stand side by side). In both directions the
    projections to x and gate, the norm and the output map are shared, as in Vim (Zhu et al. 2024, arXiv 2401.09417, alg. 1).

    Args:
        channels: width of input and output.
        direction: ``forward`` (causal), ``backward`` or ``both``.
        merge: of the two directions: ``sum``, ``concat``, ``product`` or ``quasi-separable``.
        shared: both directions have the same parameters.
        expand: inner width over channels; it widens the heads, whose number follows 2 * channels / head_dim.
        head_dim: features of a head at ``expand`` 2; None: 64, and fewer where that would leave one head.
        state: N numbers a channel.
        groups: sets of B and C that the heads are dealt to, and parts that the norm takes by themselves; the number of heads
            is a multiple of it.
        gate: multiply by a gate before the norm.
        conv: frames under the convolution.
        conv_alignment: ``causal``, or ``centred`` on the present frame.
        backend: kernel of :func:`vdmbench.ops.ssd_scan`.

    Raises:
        ValueError: an unknown name, or a size that does not fit.
    """

    def __init__(
        self,
        channels: int,
        *,
        direction: TimeDirection = "forward",
        merge: Merge = "sum",
        shared: bool = False,
        expand: float = EXPAND,
        head_dim: int | None = None,
        state: int = 64,
        groups: int = 1,
        gate: bool = True,
        conv: int = 4,
        conv_alignment: ConvAlignment = "causal",
        backend: Literal["auto", "reference", "chunked", "numba", "mamba_ssm", "triton", "fla"] = "auto",
    ) -> None:
        super().__init__(channels, causal=direction == "forward")
        check_directions(direction, merge, shared, conv_alignment)
        if state < 1:
            raise ValueError(f"state must be at least 1, got {state}")
        heads, dim = split_width(
            expand * channels, EXPAND * channels, head_dim or head_width(EXPAND * channels, 64), groups=groups
        )
        self.inner_width = inner = heads * dim
        self.merge: Merge = merge
        self.both, self.reverse, self.gated = direction == "both", direction == "backward", gate

        def branch() -> SSDBranch:
            return SSDBranch(
                channels,
                heads,
                dim,
                state=state,
                groups=groups,
                conv=conv,
                conv_alignment=conv_alignment,
                delayed=merge == "quasi-separable",
                backend=backend,
            )

        self.to_x_and_gate = Linear(channels, 2 * inner if gate else inner, bias=False)
        self.along = branch()
        self.against = branch() if self.both and not shared else None
        widths = 2 if merge == "concat" else 1
        self.norm = GatedRMSNorm(widths * inner, group=inner // groups, gate_first=True)
        self.out = Linear(widths * inner, channels, bias=False)

    def forward(self, u: Float[Tensor, "batch frames channels"]) -> Float[Tensor, "batch frames channels"]:
        x, gate = self._enter(u)
        y = self.along(u, x, reverse=self.reverse)
        if self.both:
            y = merge_directions(y, self._branches[1](u, x, reverse=True), self.merge)
        return self._leave(y, gate)

    def initial_state(self, batch: int) -> State:
        if not self.causal:
            raise self._no_steps()
        return self.along.initial_state(batch)

    def step(self, x: Float[Tensor, "batch channels"], state: State) -> tuple[Float[Tensor, "batch channels"], State]:
        if not self.causal:
            raise self._no_steps()
        inner, gate = self._enter(x)
        y, state = self.along.step(x, inner, state)
        return self._leave(y, gate), state

    def _enter(self, u: Float[Tensor, "... channels"]) -> tuple[Tensor, Tensor | None]:
        """What the branches scan, and the gate."""
        x = self.to_x_and_gate(u)
        if not self.gated:
            return x, None
        x, gate = x.chunk(2, -1)
        return x, gate

    def _leave(self, y: Float[Tensor, "... width"], gate: Tensor | None) -> Float[Tensor, "... channels"]:
        return self.out(self.norm(y, gate))

    @property
    def _branches(self) -> list[SSDBranch]:
        if not self.both:
            return [self.along]
        return [self.along, self.along if self.against is None else self.against]

    def state_size(self, frames: int) -> int:
        """Of both directions; it does not grow with the frames."""
        return sum(branch.state_size for branch in self._branches)

    def flops(self, frames: int) -> int:
        maps = flops.linear_maps(self.to_x_and_gate, frames) + flops.linear_maps(self.out, frames)
        return maps + sum(branch.flops(frames) for branch in self._branches)
