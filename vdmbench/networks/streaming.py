"""A clip in chunks: what a network of causal mixers carries from the frames that were to those that come."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import torch
from jaxtyping import Float
from torch import Tensor

from vdmbench.mixers import Mixer
from vdmbench.mixers.mixer import State, state_elements


@dataclass(frozen=True, eq=False)
class Stream:
    """Clips of one size of which ``frames`` have passed, as the network remembers them.

    A stream is never changed, a step makes another: so a chunk can be denoised over many evaluations against one, and only
    what becomes of it need be let in.

    Attributes:
        states: of each mixer in which frames meet. A mixer without one begins with its first state; or, where frames have
            passed that nobody kept, with zeros of the size that they would have left, for what memory takes.
    """

    batch: int
    height: int
    width: int
    frames: int = 0
    states: Mapping[Mixer, State] = field(default_factory=dict)

    @property
    def elements(self) -> int:
        """Numbers in all states, of all clips."""
        return sum(map(state_elements, self.states.values()))

    @property
    def nbytes(self) -> int:
        """Bytes of all states, of all clips."""
        return sum(map(_state_bytes, self.states.values()))

    def check(self, x: Float[Tensor, "batch frames channels height width"]) -> None:
        """Raise ValueError for a chunk of other clips than the stream's."""
        if (x.shape[0], *x.shape[3:]) != (self.batch, self.height, self.width):
            raise ValueError(
                f"the stream is of {self.batch} clips of {self.height} x {self.width}, and the chunk of {x.shape[0]} of "
                f"{x.shape[3]} x {x.shape[4]}: begin another stream for it"
            )


class Carry:
    """The states of a stream while one chunk of its frames passes the network.

    Attributes:
        first: number of the chunk's first frame.
    """

    def __init__(self, stream: Stream) -> None:
        self.first = stream.frames
        self._stream = stream
        self._after: dict[Mixer, State] = {}

    def mixed(self, mixer: Mixer, x: Float[Tensor, "sites frames channels"]) -> Float[Tensor, "sites frames channels"]:
        """What the mixer makes of the chunk's frames, one after the other, given those before."""
        state = self._stream.states.get(mixer)
        if state is None:
            state = mixer.state_after(len(x), self.first) if self.first else mixer.initial_state(len(x))
        frames = []
        for frame in x.unbind(1):
            mixed, state = mixer.step(frame, state)
            frames.append(mixed)
        self._after[mixer] = state
        return torch.stack(frames, 1)

    def after(self, frames: int) -> Stream:
        """The stream behind the chunk, of that many ``frames``."""
        before = self._stream
        return Stream(before.batch, before.height, before.width, before.frames + frames, self._after)


def _state_bytes(state: State) -> int:
    return state.nbytes if isinstance(state, Tensor) else sum(map(_state_bytes, state))
