"""How a video distance is measured, declared: two numbers may be compared only where this is equal. Free of torch."""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, dataclass
from typing import Any, Literal

Resize = Literal["half-pixel", "legacy", "antialias"]
WindowRule = Literal["whole", "first", "all"]


class InvalidProtocol(ValueError):
    """A protocol that contradicts itself."""


@dataclass(frozen=True)
class Protocol:
    """One way to measure a distance between videos; everything that moves the number is a field."""

    name: str
    """Preset name; printed in the metric's name where it is not the extractor's standard one."""
    extractor: str
    """Which features: "i3d" makes a distance FVD, nothing else does."""
    weights: str | None
    """SHA-256 of the extractor's weights; null for an extractor without weights."""
    size: int
    """Side in pixels of the square that the extractor sees."""
    resize: Resize
    """Resampling: bilinear with half-pixel centres, TensorFlow-1 legacy bilinear, or bilinear with anti-aliasing."""
    value_range: Literal["symmetric", "unit"] = "symmetric"
    """What the extractor is fed: [-1, 1], or [0, 1]."""
    divisor: Literal["n-1", "n"] = "n-1"
    """What sums of squares are divided by in a covariance."""
    frames: int | None = None
    """Frames the extractor sees in one clip; null: as many as the clips have."""
    stride: int = 1
    """Every how manyth frame of a clip is taken."""
    window: WindowRule = "whole"
    """Clips longer than asked: refused ("whole"), cut to their start ("first"), or cut into windows over the whole
    length ("all")."""
    scale_floor: float | None = None
    """Features are divided by their deviation in the reference, at least this; null: used as they are."""
    version: int = 1
    """Raised when the features that the same extractor gives are changed on purpose."""
    comparable: bool = True
    """Whether numbers under this protocol may stand beside published ones of the standard protocol."""

    def __post_init__(self) -> None:
        if self.window != "whole" and self.frames is None:
            raise InvalidProtocol(f"protocol '{self.name}': window '{self.window}' needs frames, the length of a window")
        if (self.frames is not None and self.frames < 1) or self.stride < 1 or self.size < 1:
            raise InvalidProtocol(f"protocol '{self.name}': frames, stride and size must be at least 1")

    def canonical(self) -> dict[str, Any]:
        """JSON-able form for a cell's identity and for the key of a cached reference; the preset's name is no part."""
        fields = asdict(self)
        del fields["name"], fields["comparable"]
        return fields

    def digest(self) -> str:
        """SHA-256 of the canonical form."""
        return hashlib.sha256(json.dumps(self.canonical(), sort_keys=True).encode()).hexdigest()

    def label(self, real: int, generated: int, frames: int) -> str:
        """The metric's printed name, e.g. ``FVD[i3d,n=2048,f=16]`` or ``STE-FD[n=64,f=16]``; n is real/generated."""
        count = str(real) if real == generated else f"{real}/{generated}"
        if self.extractor == "i3d":
            preset = [] if self.name == "standard" else [self.name]
            return f"FVD[{','.join(['i3d', *preset, f'n={count}', f'f={frames}'])}]"
        return f"{self.extractor.upper()}-FD[n={count},f={frames}]"


STE = Protocol(name="ste", extractor="ste", weights=None, size=32, resize="antialias", value_range="unit", scale_floor=0.01)
