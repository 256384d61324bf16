"""The one question every sampler asks: what clean clip does the denoiser see from here?"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from torch import Tensor

from vdmbench.diffusion.known_frames import KnownFrames
from vdmbench.diffusion.parameterisation import Clips
from vdmbench.diffusion.process import Denoiser, Level, Process

Draw = Callable[[], Tensor]
"""The next batch of standard normal noise."""
Progress = Callable[[int, int], None]
"""Called after every step with (steps done, steps in all)."""


@dataclass(frozen=True)
class Estimate:
    """x0 as ``denoiser`` sees it, clipped to [-1, 1] where asked for, and known frames in their places."""

    process: Process
    denoiser: Denoiser
    clip_x0: bool
    known: KnownFrames | None

    def __call__(self, x: Clips, level: Level) -> Clips:
        """x0 from ``x``, all of whose frames but the known ones are at ``level``; in the dtype of ``x``."""
        if self.known is None:
            return self._clipped(self.process.denoise(self.denoiser, x, level))
        if self.process.per_frame:
            x0 = self.process.denoise(self.denoiser, self.known.put_into(x), self.known.levels(level, self.process.clean))
        else:
            x0 = self.process.denoise(self.denoiser, x, level)
        # A sampler moves x along the noise that leads from x0 to x. With x0 known, that noise stays what it was at the start:
        # x is the known frames with that noise at every level, and in the end the known frames themselves.
        return self.known.put_into(self._clipped(x0))

    def finished(self, x: Clips) -> Clips:
        """The sample: ``x`` behind the last level, with known frames exact instead of exact up to rounding."""
        return x if self.known is None else self.known.put_into(x)

    def _clipped(self, x0: Clips) -> Clips:
        return x0.clamp(-1.0, 1.0) if self.clip_x0 else x0
