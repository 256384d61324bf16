"""The four blocks in which Oshima et al. 2024 (arXiv 2403.07711; "versions" 1, 2, 10 and 20) place a state-space core.

Each takes how it runs through time (:data:`InTime`: a branch's maker to :class:`Directions`), so that a block is written once
for one direction and for both, for every merge and for every core. ``widths`` is the number of branch widths that a
merge puts side by side: 2 for ``concat``, else 1.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Literal

import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from vdmbench.mixers import flops
from vdmbench.mixers.directions import Branch, Core, Directions, Merge, TimeDirection, check_directions
from vdmbench.mixers.mixer import Mixer, State, inner_width
from vdmbench.mixers.short_conv import ConvAlignment, ShortConv
from vdmbench.ops.linear import Linear

BlockName = Literal["mlp", "glu", "gss", "mamba"]
InTime = Callable[[Callable[[], Branch]], Directions]
ThroughTime = Callable[..., Tensor]
"""A clip, or one frame, and where the block has one its gate, to what the directions make of it."""
MakeCore = Callable[[int], Core]

CONV = 4
EXPAND = 2.0
"""Defaults of options that only some blocks have; the others take no other value."""


class Block(nn.Module):
    """What surrounds the directions: the same for a clip and for one frame of it, since it mixes no frames itself."""

    directions: Directions

    def around(self, x: Float[Tensor, "... channels"], through: ThroughTime) -> Float[Tensor, "... channels"]:
        """The whole block, with ``through`` in the place of its directions."""
        raise NotImplementedError

    def forward(self, x: Float[Tensor, "batch frames channels"]) -> Float[Tensor, "batch frames channels"]:
        return self.around(x, self.directions)

    def step(self, x: Float[Tensor, "batch channels"], state: State) -> tuple[Float[Tensor, "batch channels"], State]:
        """One frame, and the state after it."""
        after = state

        def through(x: Tensor, *, gate: Tensor | None = None) -> Tensor:
            nonlocal after
            y, after = self.directions.step(x, state, gate=gate)
            return y

        return self.around(x, through), after


class MLPBlock(Block):
    """GELU of the core, then a perceptron with one hidden layer of ``inner`` (version 1)."""

    def __init__(self, channels: int, core: MakeCore, in_time: InTime, widths: int, *, inner: int) -> None:
        super().__init__()
        self.directions = in_time(lambda: Branch(core(channels), after=nn.GELU()))
        self.fc1 = Linear(widths * channels, inner)
        self.fc2 = Linear(inner, channels)

    def around(self, x: Float[Tensor, "... channels"], through: ThroughTime) -> Float[Tensor, "... channels"]:
        return self.fc2(F.gelu(self.fc1(through(x))))


class GLUBlock(Block):
    """The core's activation, then a gated linear unit (Dauphin et al. 2017, arXiv 1612.08083), in each direction (version 2).

    Concatenated directions are mapped back to the channels; that merge is not in the paper.
    """

    def __init__(self, channels: int, core: MakeCore, in_time: InTime, widths: int) -> None:
        super().__init__()

        def branch() -> Branch:
            ssm = core(channels)
            return Branch(ssm, after=nn.Sequential(ssm.glu_activation(), Linear(channels, 2 * channels), nn.GLU()))

        self.directions = in_time(branch)
        self.out = Linear(widths * channels, channels) if widths > 1 else nn.Identity()

    def around(self, x: Float[Tensor, "... channels"], through: ThroughTime) -> Float[Tensor, "... channels"]:
        return self.out(through(x))


class GSSBlock(Block):
    """A gate of ``inner`` channels around a core between linear maps (Mehta et al. 2022, arXiv 2206.13947, sec. 3.2), and
    its two-directional form (Wang et al. 2022, arXiv 2212.10544, sec. 3.2) (version 10)."""

    def __init__(self, channels: int, core: MakeCore, in_time: InTime, widths: int, *, inner: int) -> None:
        super().__init__()
        self.to_gate = Linear(channels, inner)
        self.directions = in_time(
            lambda: Branch(
                core(channels),
                before=nn.Sequential(Linear(channels, channels), nn.GELU()),
                after=Linear(channels, channels),
            )
        )
        self.to_inner = Linear(widths * channels, inner)
        self.out = Linear(inner, channels)

    def around(self, x: Float[Tensor, "... channels"], through: ThroughTime) -> Float[Tensor, "... channels"]:
        return self.out(F.gelu(self.to_inner(through(x))) * F.gelu(self.to_gate(x)))


class MambaBlock(Block):
    """Short convolution, core over ``inner`` channels, gate (Gu and Dao 2023, arXiv 2312.00752, fig. 3); in both directions
    projections and gate are shared (Zhu et al. 2024, arXiv 2401.09417, alg. 1) (version 20)."""

    def __init__(
        self,
        channels: int,
        core: MakeCore,
        in_time: InTime,
        widths: int,
        *,
        inner: int,
        gate: bool,
        conv: int,
        conv_alignment: ConvAlignment,
    ) -> None:
        super().__init__()
        self.gated = gate
        self.to_x_and_gate = Linear(channels, 2 * inner if gate else inner)
        self.directions = in_time(lambda: Branch(core(inner), conv=ShortConv(inner, conv, alignment=conv_alignment)))
        self.out = Linear(widths * inner, channels)

    def around(self, x: Float[Tensor, "... channels"], through: ThroughTime) -> Float[Tensor, "... channels"]:
        x = self.to_x_and_gate(x)
        if not self.gated:
            return self.out(through(x))
        x, gate = x.chunk(2, -1)
        return self.out(through(x, gate=gate))


class SSMMixer(Mixer):
    """A core in one of the four blocks, along time, against it, or both ways.

    Args:
        channels: width of input and output.
        core: makes a core for a number of channels, given ``state``.
        direction: ``forward`` (causal), ``backward`` or ``both``.
        merge: of the two directions: ``sum``, ``concat``, ``product`` or ``quasi-separable``; see :class:`Directions`. The
            paper merges by concatenation in ``mlp``, by the sum in ``glu`` and ``mamba``, by the product in ``gss``.
        shared: both directions have the same parameters.
        block: ``mlp``, ``glu``, ``gss`` or ``mamba``.
        expand: inner width over channels: of the hidden layer (mlp), of the gate (gss), of core and gate (mamba).
        hidden: that width of the hidden layer or gate, whatever the channels (the published form), or None to follow them.
        state: N real numbers a channel.
        gate: the mamba block multiplies by its gate.
        conv: frames under the convolution of the mamba block.
        conv_alignment: of that convolution: ``causal``, or ``centred`` on the present frame.

    Raises:
        ValueError: an unknown name, a size that does not fit, or an option that the block does not have.
    """

    def __init__(
        self,
        channels: int,
        core: Callable[..., Core],
        *,
        direction: TimeDirection = "forward",
        merge: Merge = "sum",
        shared: bool = False,
        block: BlockName = "mamba",
        expand: float = EXPAND,
        hidden: int | None = None,
        state: int = 16,
        gate: bool = True,
        conv: int = CONV,
        conv_alignment: ConvAlignment = "causal",
    ) -> None:
        super().__init__(channels, causal=direction == "forward")
        check_directions(direction, merge, shared, conv_alignment)
        if block not in ("mlp", "glu", "gss", "mamba"):
            raise ValueError(f"block must be 'mlp', 'glu', 'gss' or 'mamba', got '{block}'")
        if block != "mamba" and (conv, conv_alignment) != (CONV, "causal"):
            raise ValueError(f"block '{block}' has no convolution: leave conv at {CONV} and causal, got {conv}")
        if block != "mamba" and not gate:
            raise ValueError(f"block '{block}' is what its gate, or none, makes it: leave gate at true")
        if hidden is not None and (block not in ("mlp", "gss") or expand != EXPAND or hidden < 1):
            raise ValueError(
                f"hidden is a width of block 'mlp' or 'gss' instead of expand: leave it out, or leave expand at {EXPAND}, "
                f"got hidden {hidden}, block '{block}' and expand {expand}"
            )
        if block == "glu" and expand != EXPAND:
            raise ValueError(f"block 'glu' has no inner width: leave expand at {EXPAND}, got {expand}")
        core = partial(core, state=state)
        in_time = partial(Directions, direction=direction, merge=merge, shared=shared)
        widths = 2 if merge == "concat" else 1
        inner = inner_width(channels, expand) if hidden is None else hidden
        self.inner_width = channels if block == "glu" else inner
        self.block: Block
        if block == "mlp":
            self.block = MLPBlock(channels, core, in_time, widths, inner=inner)
        elif block == "glu":
            self.block = GLUBlock(channels, core, in_time, widths)
        elif block == "gss":
            self.block = GSSBlock(channels, core, in_time, widths, inner=inner)
        else:
            self.block = MambaBlock(
                channels, core, in_time, widths, inner=inner, gate=gate, conv=conv, conv_alignment=conv_alignment
            )

    def forward(self, x: Float[Tensor, "batch frames channels"]) -> Float[Tensor, "batch frames channels"]:
        return self.block(x)

    def initial_state(self, batch: int) -> State:
        if not self.causal:
            raise self._no_steps()
        return self.block.directions.initial_state(batch)

    def step(self, x: Float[Tensor, "batch channels"], state: State) -> tuple[Float[Tensor, "batch channels"], State]:
        if not self.causal:
            raise self._no_steps()
        return self.block.step(x, state)

    def state_size(self, frames: int) -> int:
        """Of both directions; it does not grow with the frames."""
        return sum(branch.state_size for branch in self.block.directions.branches)

    def flops(self, frames: int) -> int:
        directions = self.block.directions
        around = flops.linear_maps(self.block, frames) - flops.linear_maps(directions, frames)
        return around + directions.flops(frames)
