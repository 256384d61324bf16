"""No temporal mixing."""

from __future__ import annotations

from jaxtyping import Float
from torch import Tensor

from vdmbench.mixers.mixer import Mixer, State


class Identity(Mixer):
    """Returns its input: frames stay strangers. A network leaves the whole layer out, norm and residual too.

    It is the floor of cost. The control of what mixing over time is worth is :class:`~vdmbench.mixers.mlp.MLP`, which can have
    as many parameters as the others.
    """

    def __init__(self, channels: int) -> None:
        super().__init__(channels, causal=True)
        self.inner_width = channels

    def forward(self, x: Float[Tensor, "batch frames channels"]) -> Float[Tensor, "batch frames channels"]:
        return x

    def initial_state(self, batch: int) -> State:
        return ()

    def step(self, x: Float[Tensor, "batch channels"], state: State) -> tuple[Float[Tensor, "batch channels"], State]:
        return x, ()

    def state_size(self, frames: int) -> int:
        return 0

    def flops(self, frames: int) -> int:
        return 0
