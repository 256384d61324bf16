"""What a suite may say of each metric."""

from __future__ import annotations

from typing import Literal, Self

from pydantic import Field, model_validator

from vdmbench.suite.model import Declared
from vdmbench.suite.quantities import Seed


class DistanceOptions(Declared):
    """What every distance between sets of videos declares beside its protocol."""

    bootstrap: int = Field(200, ge=20, le=100_000)
    """Bootstrap draws over clips, for the interval and for whether a control is seen."""
    confidence: float = Field(0.95, gt=0.5, lt=1)
    """Coverage of the interval."""
    control_clips: int = Field(64, ge=2, le=1_000_000)
    """Held-out real clips that are broken on purpose in nine ways, to show what the metric would have seen."""
    seed: Seed = 0
    """Seed of the bootstrap and of the controls."""


class FrechetOptions(DistanceOptions):
    """A Fréchet distance on spatio-temporal-energy features."""

    frames: int | None = Field(None, ge=5, le=1_000_000)
    """Frames in a measured clip; null measures clips at their own length."""
    stride: int = Field(1, ge=1, le=1_000_000)
    """Frame stride."""
    window: Literal["whole", "first", "all"] = "whole"
    """Clips longer than frames: refused, cut to their start, or cut into windows over the whole length."""

    @model_validator(mode="after")
    def _window_has_a_length(self) -> Self:
        if self.window != "whole" and self.frames is None:
            raise ValueError(f"window '{self.window}' needs frames, the length of a window")
        return self


class FaithfulnessOptions(Declared):
    """How often a clip shows the shape, colour and direction that it was told."""

    bootstrap: int = Field(1000, ge=20, le=100_000)
    """Bootstrap draws over clips."""
    confidence: float = Field(0.95, gt=0.5, lt=1)
    """Coverage of the interval."""
    seed: Seed = 0
    """Seed of the bootstrap."""


class FvdOptions(DistanceOptions):
    """The Fréchet video distance on I3D."""

    protocol: Literal[
        "standard", "fvd2048_16f", "fvd2048_128f", "fvd2048_128f_subsample8f", "tf1", "oshima2024", "windows16"
    ] = "standard"
    """Named way of measuring; it is part of the number's name, and numbers of two protocols are never compared."""
    frames: int | None = Field(None, ge=9, le=1_000_000)
    """Frames in a measured clip, where the protocol leaves them open; null measures clips at their own length."""
    window: Literal["whole", "first", "all"] | None = None
    """Clips longer than frames: refused (also null), cut to their start, or cut into windows over the whole length."""
    precision: Literal["fp32", "bf16"] = "fp32"
    """Arithmetic of the extractor; bf16 is faster and half a percent off, and is said in the name."""
    weights: str | None = None
    """A weight file; null finds or fetches the published one."""

    @model_validator(mode="after")
    def _frames_fit_the_protocol(self) -> Self:
        fixed = self.protocol.startswith("fvd2048") or self.protocol == "windows16"
        if fixed and (self.frames is not None or self.window is not None):
            raise ValueError(f"protocol '{self.protocol}' fixes frames and window: leave them out, or declare 'standard'")
        if self.window not in (None, "whole") and self.frames is None:
            raise ValueError(f"window '{self.window}' needs frames, the length of a window")
        return self
