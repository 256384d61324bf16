"""Frames that sampling is given: the first ones of a prediction, or any others."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from jaxtyping import Bool, Num
from torch import Tensor

from vdmbench.diffusion.parameterisation import Clips
from vdmbench.diffusion.process import Level, Levels


@dataclass(frozen=True, eq=False)
class KnownFrames:
    """Frames of ``clips`` where ``mask`` is true are known; what ``clips`` holds elsewhere plays no part.

    A process with a level for each frame sees known frames as they are, told as clean, at every evaluation (Chen et al.
    2024). A process with one level a clip sees them noised to the level of the rest (the replacement method: Song et al.
    2021b, Section 5; Ho et al. 2022, Section 3.1). In both the samples hold them exactly.
    """

    mask: Bool[Tensor, "batch frames"]
    clips: Clips

    def __post_init__(self) -> None:
        if self.mask.dtype != torch.bool or self.mask.shape != self.clips.shape[:2]:
            raise ValueError(
                f"mask must be one truth value for each of {tuple(self.clips.shape[:2])} (clips, frames), got "
                f"{self.mask.dtype} of shape {tuple(self.mask.shape)}"
            )

    @classmethod
    def first(cls, frames: int, clips: Clips) -> KnownFrames:
        """The first ``frames`` of each clip, of which at least one is left to sample."""
        if not 1 <= frames < clips.shape[1]:
            raise ValueError(f"of {clips.shape[1]} frames 1 to {clips.shape[1] - 1} can be known, got {frames}")
        mask = torch.arange(clips.shape[1], device=clips.device) < frames
        return cls(mask.expand(clips.shape[:2]), clips)

    def put_into(self, x: Clips) -> Clips:
        """``x`` with the known frames in their places."""
        mask = self.mask.view(self.mask.shape + (1,) * (x.ndim - 2))
        return torch.where(mask, self.clips.to(x.dtype), x)

    def levels(self, elsewhere: Level, clean: Level) -> Levels:
        """``clean`` for known frames and ``elsewhere`` for the others."""
        dtype = torch.int64 if isinstance(elsewhere, int) else torch.promote_types(self.clips.dtype, torch.float32)
        numbers: Num[Tensor, " 2"] = torch.tensor([elsewhere, clean], dtype=dtype, device=self.mask.device)
        return numbers[self.mask.long()]
