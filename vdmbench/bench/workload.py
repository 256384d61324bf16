"""What is asked of every contender: how many frames of how many sites, in which dtype, on which device, one way or both."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal, Self, get_args

import torch

Direction = Literal["forward", "training"]
Dtype = Literal["float32", "bfloat16", "float16", "float64"]


class InvalidWorkload(ValueError):
    """Sizes, a dtype or a list of frames that cannot be run; the message says what to write."""


@dataclass(frozen=True)
class Workload:
    """One size. ``training`` is a forward and a backward pass with the gradients of all inputs and parameters; ``forward`` is a
    pass without a graph. ``device`` is ``cpu`` or ``cuda``."""

    frames: int
    sites: int
    channels: int
    dtype: Dtype = "float32"
    device: str = "cpu"
    direction: Direction = "training"

    def __post_init__(self) -> None:
        for name in ("frames", "sites", "channels"):
            if getattr(self, name) < 1:
                raise InvalidWorkload(f"{name} must be at least 1, got {getattr(self, name)}")
        if self.dtype not in get_args(Dtype):
            raise InvalidWorkload(f"dtype must be one of {', '.join(get_args(Dtype))}, got '{self.dtype}'")
        if self.direction not in get_args(Direction):
            raise InvalidWorkload(f"direction must be one of {', '.join(get_args(Direction))}, got '{self.direction}'")
        if self.device not in ("cpu", "cuda"):
            raise InvalidWorkload(f"device must be cpu or cuda, got '{self.device}'")
        if self.device == "cuda" and not torch.cuda.is_available():
            raise InvalidWorkload(f"device 'cuda' was asked for, but PyTorch {torch.__version__} sees no CUDA device here")

    @property
    def torch_dtype(self) -> torch.dtype:
        dtype = getattr(torch, self.dtype)
        assert isinstance(dtype, torch.dtype)
        return dtype

    @property
    def training(self) -> bool:
        return self.direction == "training"

    def resized(self, *, frames: int, sites: int | None = None) -> Self:
        """The same with other frames, and sites where given."""
        return replace(self, frames=frames, sites=self.sites if sites is None else sites)


def parse_frames(text: str) -> list[int]:
    """``16..4096`` (doubling, the end included where it is met), ``16,64,100``, or one number, to ascending frames.

    Raises :class:`InvalidWorkload`.
    """
    first, doubling, last = text.partition("..")
    try:
        if doubling:
            low, high = int(first), int(last)
            frames = [low << power for power in range((high // low).bit_length())] if 0 < low <= high else []
        else:
            frames = sorted({int(part) for part in text.split(",")})
    except ValueError:
        frames = []
    if not frames or frames[0] < 1:
        raise InvalidWorkload(f"frames '{text}' is no range; write 16..4096 (doubling) or 16,64,100")
    return frames
