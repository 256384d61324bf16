"""Gated DeltaNet: linear attention whose memory forgets, and replaces what it holds under a key."""

from __future__ import annotations

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
from vdmbench.mixers.mamba2 import HeadSteps
from vdmbench.mixers.mixer import Mixer, State
from vdmbench.mixers.short_conv import ConvAlignment, ShortConv
from vdmbench.ops import gated_delta_scan
from vdmbench.ops.linear import Linear
from vdmbench.ops.recompute import recomputed

A_RANGE = (0.0, 16.0)
"""Initial decay of each head (Yang et al. 2024, code)."""
EPSILON = 1e-6
"""Added to the squared length of queries and keys (Yang et al. 2024, code)."""


def unit(x: Float[Tensor, "*places dim"]) -> Float[Tensor, "*places dim"]:
    """x / sqrt(|x|^2 + 1e-6), the root in float32 at least: a squared length is soon too large for half precision."""
    length = torch.linalg.vector_norm(x, dim=-1, keepdim=True).to(torch.promote_types(x.dtype, torch.float32))
    return x * torch.rsqrt(length.square() + EPSILON).to(x.dtype)


def _of_length_one(q: Tensor, k: Tensor) -> tuple[Tensor, Tensor]:
    """Queries and keys (..., dim); a query also over the root of dim."""
    return unit(q) * q.shape[-1] ** -0.5, unit(k)


def _decay_and_beta(dt: Tensor, beta: Tensor, A: Tensor, dt_bias: Tensor) -> tuple[Tensor, Tensor]:
    """The logarithm of the decay, in float32 at least, and how strongly a frame writes."""
    wide = torch.promote_types(dt.dtype, torch.float32)
    return A * F.softplus(dt.to(wide) + dt_bias), beta.sigmoid()


class DeltaBranch(nn.Module):
    """One direction of time: its convolution, its decay and writing strength, its scan.

    Args:
        delayed: a frame reads what the memory gave the one before it, and itself through D alone, one number a head.
    """

    D: nn.Parameter | None

    def __init__(
        self,
        channels: int,
        heads: int,
        dim: int,
        *,
        conv: int,
        conv_alignment: ConvAlignment,
        delayed: bool,
        backend: str,
    ) -> None:
        super().__init__()
        self.heads, self.dim, self.backend = heads, dim, backend
        self.to_dt_and_beta = Linear(channels, 2 * heads, bias=False)
        self.conv = ShortConv(3 * heads * dim, conv, alignment=conv_alignment, bias=False)
        self.steps = HeadSteps(heads, A_range=A_RANGE)
        self.register_parameter("D", nn.Parameter(torch.ones(heads)) if delayed else None)

    def forward(
        self, u: Float[Tensor, "batch frames channels"], qkv: Float[Tensor, "batch frames qkv"], *, reverse: bool
    ) -> Float[Tensor, "batch frames heads dim"]:
        """``u`` is the block's input, ``qkv`` its projection; ``reverse`` equals flip both over frames, forward, flip."""
        q, k, v = self._heads(self.conv(qkv, reverse=reverse))
        y = gated_delta_scan(q, k, v, *self._decay_and_beta(u), reverse=reverse, backend=self.backend)
        return y if self.D is None else recomputed(partial(delayed_beside, reverse), y, self.D, v)

    def initial_state(self, batch: int) -> State:
        """Frames under the convolution, and (batch, heads, value_dim, key_dim) in float32 at least."""
        A_log = self.steps.A_log
        wide = torch.promote_types(A_log.dtype, torch.float32)
        S = torch.zeros(batch, self.heads, self.dim, self.dim, dtype=wide, device=A_log.device)
        return self.conv.initial_state(batch), S

    def step(
        self, u: Float[Tensor, "batch channels"], qkv: Float[Tensor, "batch qkv"], state: State
    ) -> tuple[Float[Tensor, "batch heads dim"], State]:
        """One frame of :meth:`forward`."""
        past, S = state
        convolved, past = self.conv.step(qkv, past)
        q, k, v = self._heads(convolved)
        log_decay, beta = self._decay_and_beta(u)
        S = log_decay.exp()[..., None, None] * S
        S = S + (beta[..., None] * (v - torch.einsum("bhvk,bhk->bhv", S, k)))[..., None] * k[..., None, :]
        return torch.einsum("bhvk,bhk->bhv", S, q).to(u.dtype), (past, S)

    def _heads(self, convolved: Float[Tensor, "*places qkv"]) -> tuple[Tensor, Tensor, Tensor]:
        q, k, v = convolved.unflatten(-1, (3, self.heads, self.dim)).unbind(-3)
        q, k = recomputed(_of_length_one, q, k)
        return q, k, v

    def _decay_and_beta(self, u: Float[Tensor, "*places channels"]) -> tuple[Tensor, Tensor]:
        dt, beta = self.to_dt_and_beta(u).chunk(2, -1)
        return recomputed(_decay_and_beta, dt, beta, self.steps.A, self.steps.dt_bias)

    @property
    def state_size(self) -> int:
        return self.conv.state_size + self.heads * self.dim**2

    def flops(self, frames: int) -> int:
        """Its linear map, and for each number of the state its decay, S k, the write and S q, 7; for each head
        softplus(dt + bias) and two exponentials, 7."""
        conv = flops.depthwise_conv(frames, *self.conv.weight.shape)
        scan = frames * self.heads * (7 * self.dim**2 + 7)
        return flops.linear_maps(self, frames) + conv + scan


class GatedDeltaNet(Mixer):
    """The Gated DeltaNet block (Yang et al. 2024, arXiv 2412.06464, sec. 3.4 and fig. 1), along time, against it, or both ways.

    Queries, keys and values pass a convolution without bias and SiLU, queries and keys are brought to length 1, decay has the
    form of Mamba-2's and starts wider, beta is a sigmoid, and each head's output passes a norm (each direction's by itself,
    where both stand side by side) and a gate. Keys and values have one width. In both directions the projections,
    the gate, the norm and the output map are shared, as in Mamba-2 here; convolution, decay and beta are each direction's own.

    Args:
        channels: width of input and output.
        direction: ``forward`` (causal), ``backward`` or ``both``.
        merge: of the two directions: ``sum``, ``concat``, ``product`` or ``quasi-separable``.
        shared: both directions have the same parameters.
        expand: inner width over channels; it widens the heads, whose number follows channels / head_dim.
        head_dim: features of a head at ``expand`` 1, hence the state: head_dim numbers a feature. None: 32, and fewer where
            that would leave one head.
        gate: multiply by a gate after the norm.
        conv: frames under the convolution.
        conv_alignment: ``causal``, or ``centred`` on the present frame.
        backend: kernel of :func:`vdmbench.ops.gated_delta_scan`.

    Raises:
        ValueError: an unknown name, or a size that does not fit.
    """

    to_gate: nn.Linear | None

    def __init__(
        self,
        channels: int,
        *,
        direction: TimeDirection = "forward",
        merge: Merge = "sum",
        shared: bool = False,
        expand: float = 1.0,
        head_dim: int | None = None,
        gate: bool = True,
        conv: int = 4,
        conv_alignment: ConvAlignment = "causal",
        backend: Literal["auto", "reference", "chunked", "triton", "fla"] = "auto",
    ) -> None:
        super().__init__(channels, causal=direction == "forward")
        check_directions(direction, merge, shared, conv_alignment)
        heads, dim = split_width(expand * channels, channels, head_dim or head_width(channels, 32))
        self.inner_width = inner = heads * dim
        self.merge: Merge = merge
        self.both, self.reverse = direction == "both", direction == "backward"

        def branch() -> DeltaBranch:
            delayed = merge == "quasi-separable"
            return DeltaBranch(channels, heads, dim, conv=conv, conv_alignment=conv_alignment, delayed=delayed, backend=backend)

        self.to_qkv = Linear(channels, 3 * inner, bias=False)
        self.to_gate = Linear(channels, inner, bias=False) if gate else None
        self.along = branch()
        self.against = branch() if self.both and not shared else None
        widths = 2 if merge == "concat" else 1
        self.norm = GatedRMSNorm(widths * dim, group=dim, gate_first=False)
        self.out = Linear(widths * inner, channels, bias=False)

    def forward(self, x: Float[Tensor, "batch frames channels"]) -> Float[Tensor, "batch frames channels"]:
        qkv = self.to_qkv(x)
        y = self.along(x, qkv, reverse=self.reverse)
        if self.both:
            y = merge_directions(y, self._branches[1](x, qkv, reverse=True), self.merge)
        return self._leave(y, x)

    def initial_state(self, batch: int) -> State:
        if not self.causal:
            raise self._no_steps()
        return self.along.initial_state(batch)

    def step(self, x: Float[Tensor, "batch channels"], state: State) -> tuple[Float[Tensor, "batch channels"], State]:
        if not self.causal:
            raise self._no_steps()
        y, state = self.along.step(x, self.to_qkv(x), state)
        return self._leave(y, x), state

    def _leave(self, y: Float[Tensor, "*places heads width"], x: Float[Tensor, "*places channels"]) -> Tensor:
        gate = None
        if self.to_gate is not None:
            gate = self.to_gate(x).unflatten(-1, (y.shape[-2], -1))
        return self.out(self.norm(y, gate).flatten(-2))

    @property
    def _branches(self) -> list[DeltaBranch]:
        if not self.both:
            return [self.along]
        return [self.along, self.along if self.against is None else self.against]

    def state_size(self, frames: int) -> int:
        """Of both directions; it does not grow with the frames."""
        return sum(branch.state_size for branch in self._branches)

    def flops(self, frames: int) -> int:
        around = flops.linear_maps(self, frames) - flops.linear_maps(self.along, frames)
        if self.against is not None:
            around -= flops.linear_maps(self.against, frames)
        return around + sum(branch.flops(frames) for branch in self._branches)
