"""The long short-term memory, the classic recurrence, along time, against it, or both ways."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor, nn

from vdmbench.mixers import flops
from vdmbench.mixers.directions import TimeDirection, check_directions
from vdmbench.mixers.mixer import Mixer, State, inner_width
from vdmbench.ops.linear import Linear


class LSTM(Mixer):
    """An LSTM with forget gates (Hochreiter and Schmidhuber 1997; Gers et al. 2000) and a map back to the channels.

    In both directions their outputs stand side by side (Schuster and Paliwal 1997). It runs in the dtype of its weights, under
    autocast too.

    Args:
        channels: width of input and output.
        direction: ``forward`` (causal), ``backward`` or ``both``.
        expand: hidden width of a direction over channels, rounded to a multiple of 8.

    Raises:
        ValueError: an unknown direction, or ``expand`` is not positive.
    """

    def __init__(self, channels: int, *, direction: TimeDirection = "forward", expand: float = 1.0) -> None:
        super().__init__(channels, causal=direction == "forward")
        check_directions(direction, "sum", False)
        self.inner_width = hidden = inner_width(channels, expand)
        self.directions, self.reverse = (2 if direction == "both" else 1), direction == "backward"
        self.lstm = nn.LSTM(channels, hidden, batch_first=True, bidirectional=direction == "both")
        self.out = Linear(self.directions * hidden, channels)

    def forward(self, x: Float[Tensor, "batch frames channels"]) -> Float[Tensor, "batch frames channels"]:
        with torch.autocast(x.device.type, enabled=False):
            seen = x.to(self.out.weight.dtype)
            y, _ = self.lstm(seen.flip(1) if self.reverse else seen)
        if self.reverse:
            y = y.flip(1)
        return self.out(y).to(x.dtype)

    def initial_state(self, batch: int) -> State:
        """Hidden vector and cell."""
        if not self.causal:
            raise self._no_steps()
        zeros = self.out.weight.new_zeros(batch, self.inner_width)
        return zeros, zeros

    def step(self, x: Float[Tensor, "batch channels"], state: State) -> tuple[Float[Tensor, "batch channels"], State]:
        if not self.causal:
            raise self._no_steps()
        with torch.autocast(x.device.type, enabled=False):
            y, (hidden, cell) = self.lstm(x.to(self.out.weight.dtype)[:, None], (state[0][None], state[1][None]))
        return self.out(y[:, 0]).to(x.dtype), (hidden[0], cell[0])

    def state_size(self, frames: int) -> int:
        """Hidden vector and cell of each direction."""
        return 2 * self.directions * self.inner_width

    def flops(self, frames: int) -> int:
        """Two matrix products; for each hidden number 5 activations and 5 products and sums."""
        gates = flops.matmul(frames, self.channels + self.inner_width, 4 * self.inner_width)
        return self.directions * (gates + 10 * frames * self.inner_width) + flops.linear_maps(self.out, frames)
