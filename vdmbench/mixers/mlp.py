"""A perceptron on every frame by itself: no temporal mixing, and parameters to spend on it."""

from __future__ import annotations

import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

from vdmbench.mixers import flops
from vdmbench.mixers.mixer import Mixer, State, inner_width
from vdmbench.ops.linear import Linear
from vdmbench.ops.recompute import recomputed


class MLP(Mixer):
    """Linear, GELU, Linear on each frame, as after a Transformer's attention (Vaswani et al. 2017, arXiv 1706.03762, eq. 2).

    As ``second`` of a :class:`~vdmbench.mixers.pair.Pair` in series it is the MLP after a mixer; alone, a floor that has
    parameters.

    Args:
        channels: width of input and output.
        expand: hidden width over channels, rounded to a multiple of 8.

    Raises:
        ValueError: ``expand`` is not positive.
    """

    def __init__(self, channels: int, *, expand: float = 4.0) -> None:
        super().__init__(channels, causal=True)
        self.inner_width = inner_width(channels, expand)
        self.fc1 = Linear(channels, self.inner_width)
        self.fc2 = Linear(self.inner_width, channels)

    def forward(self, x: Float[Tensor, "*places channels"]) -> Float[Tensor, "*places channels"]:
        return self.fc2(recomputed(F.gelu, self.fc1(x)))

    def initial_state(self, batch: int) -> State:
        return ()

    def step(self, x: Float[Tensor, "batch channels"], state: State) -> tuple[Float[Tensor, "batch channels"], State]:
        return self(x), ()

    def state_size(self, frames: int) -> int:
        return 0

    def flops(self, frames: int) -> int:
        return flops.linear_maps(self, frames)
