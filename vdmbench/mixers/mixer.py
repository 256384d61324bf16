"""What every temporal mixer is: a map from frames to frames at one spatial site, and what it costs."""

from __future__ import annotations

from typing import Any

from jaxtyping import Float
from torch import Tensor, nn

from vdmbench.ops.recompute import recomputing

GRANULARITY = 8
"""Inner widths are multiples of this: half-precision matrix products and fused attention kernels want aligned rows."""


State = Tensor | tuple[Any, ...]
"""What a causal mixer carries from frame to frame: a tensor with the batch first, or a tuple of states."""


class Mixer(nn.Module):
    """Mixes frames at each spatial site; the network folds the sites into the batch.

    A mixer is built as ``Cls(channels, *, <options>)``, where the options have the names of its option model in
    ``vdmbench.suite.options.mixers``. Its output has the shape and dtype of its input, for any number of frames, and no
    element of the batch sees another. Residual connection and normalisation belong to the network.

    Attributes:
        channels: width of input and output.
        causal: output frame t depends on input frames 0..t alone. Such a mixer also runs frame by frame, by :meth:`step`,
            and :meth:`state_size` counts what it must remember between frames.
        inner_width: features that it mixes over frames; the knob ``expand`` moves it.
    """

    causal: bool
    inner_width: int

    def __init__(self, channels: int, *, causal: bool) -> None:
        super().__init__()
        if channels < 1:
            raise ValueError(f"a mixer needs at least 1 channel, got {channels}")
        self.channels = channels
        self.causal = causal

    def __call__(self, *inputs: Any, **options: Any) -> Any:
        """As any module's, and what is cheap to compute is not kept for the backward pass (:mod:`vdmbench.ops.recompute`)."""
        with recomputing():
            return super().__call__(*inputs, **options)

    def forward(self, x: Float[Tensor, "batch frames channels"]) -> Float[Tensor, "batch frames channels"]:
        raise NotImplementedError

    def initial_state(self, batch: int) -> State:
        """The state before the first frame, on the device and in the dtype of the mixer's parameters.

        Raises ValueError where the mixer is not causal.
        """
        raise self._no_steps()

    def step(self, x: Float[Tensor, "batch channels"], state: State) -> tuple[Float[Tensor, "batch channels"], State]:
        """One frame further: what :meth:`forward` gives for that frame, and the state after it.

        Raises ValueError where the mixer is not causal.
        """
        raise self._no_steps()

    def state_after(self, batch: int, frames: int) -> State:
        """A state as large as after so many frames, of zeros: for what memory takes, without making the frames.

        Raises ValueError where the mixer is not causal, and NotImplementedError where it grows and does not say how.
        """
        state = self.initial_state(batch)
        if state_elements(state) != batch * self.state_size(frames):
            raise NotImplementedError(f"{type(self).__name__} keeps more the more frames it has seen, and has no state_after")
        return state

    def _no_steps(self) -> Exception:
        if self.causal:
            return NotImplementedError(f"{type(self).__name__} is causal and has no initial_state and step")
        return ValueError(f"{type(self).__name__} sees the future here, so it cannot run frame by frame: make it causal")

    def state_size(self, frames: int) -> int:
        """Real numbers kept per site after ``frames`` frames: recurrent state, or a cache where there is no state.

        As many as :meth:`step` carries; of a mixer that is not causal, the states of both directions of time.
        """
        raise NotImplementedError

    def flops(self, frames: int) -> int:
        """Forward FLOPs per site, by the conventions of :mod:`vdmbench.mixers.flops`."""
        raise NotImplementedError


def state_elements(state: State) -> int:
    """Numbers in a state, the whole batch counted."""
    return state.numel() if isinstance(state, Tensor) else sum(state_elements(part) for part in state)


def inner_width(channels: int, expand: float) -> int:
    """The multiple of :data:`GRANULARITY` nearest to ``expand * channels``, and at least one of it."""
    if expand <= 0:
        raise ValueError(f"expand must be positive, got {expand}")
    return max(1, int(expand * channels / GRANULARITY + 0.5)) * GRANULARITY
