"""How a video distance is measured, declared: two numbers may be compared only where this is equal. Free of torch."""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, dataclass, replace
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
    size: int | Literal["own"] | None
    """Side in pixels of the square that the extractor sees; "own": the clips as they are, so that both sides must have one
    resolution, which the name says; null: an extractor of the user's own decides."""
    resize: Resize | None
    """Resampling: bilinear with half-pixel centres, TensorFlow-1 legacy bilinear, or bilinear with anti-aliasing."""
    value_range: Literal["symmetric", "unit"] = "symmetric"
    """What the extractor is fed: [-1, 1], or [0, 1]."""
    divisor: Literal["n-1", "n"] = "n-1"
    """What sums of squares are divided by in a covariance."""
    precision: Literal["fp32", "bf16"] = "fp32"
    """Arithmetic of the extractor."""
    clips: int | None = None
    """Clips on each side that the protocol prescribes; null: any, said in the name."""
    frames: int | None = None
    """Frames the extractor sees in one clip; null: as many as the clips have."""
    stride: int = 1
    """Frame stride within a clip."""
    window: WindowRule = "whole"
    """Clips longer than asked: refused ("whole"), cut to their start ("first"), or cut into windows over the whole
    length ("all")."""
    scale_floor: float | None = None
    """Features are standardised by their mean and deviation in the reference, this at the least; null: used as they are."""
    version: int = 1
    """Raised when the features that the same extractor gives are changed on purpose."""
    comparable: bool = True
    """Whether numbers under this protocol may stand beside published ones of the standard protocol."""

    def __post_init__(self) -> None:
        if self.window != "whole" and self.frames is None:
            raise InvalidProtocol(f"protocol '{self.name}': window '{self.window}' needs frames, the length of a window")
        if self.stride < 1 or (self.frames is not None and self.frames < 1):
            raise InvalidProtocol(f"protocol '{self.name}': frames and stride must be at least 1")

    @property
    def span(self) -> int | None:
        """Frames of a clip from the first to the last one that is seen; null: all of them."""
        return None if self.frames is None else (self.frames - 1) * self.stride + 1

    def misfit(self, frames: int) -> str | None:
        """Why clips of so many frames cannot be cut as declared, and what to do; null where they can."""
        if self.span is None:
            return None
        if frames < self.span:
            return (
                f"clips have {frames} frames but protocol '{self.name}' needs {self.span}: use longer clips or a "
                "protocol with fewer frames"
            )
        if self.window == "whole" and frames >= self.span + self.stride:
            return (
                f"clips have {frames} frames but protocol '{self.name}' takes {self.span} and declares no window "
                "rule: declare 'first' or 'all', or cut the clips"
            )
        return None

    def canonical(self) -> dict[str, Any]:
        """JSON-able form for a cell's identity and for the key of a cached reference; the preset's name is no part."""
        fields = asdict(self)
        del fields["name"], fields["comparable"], fields["clips"]
        return fields

    def digest(self) -> str:
        """SHA-256 of the canonical form."""
        return hashlib.sha256(json.dumps(self.canonical(), sort_keys=True).encode()).hexdigest()

    def label(self, real: int, generated: int, frames: int, size: tuple[int, int]) -> str:
        """The metric's printed name, e.g. ``FVD[i3d,n=2048,f=16]`` or ``STE-FD[v2,64px,n=64,f=16]``; n is real/generated.

        ``size`` is rows and columns of the clips, said where the extractor sees them as they are.
        """
        count = str(real) if real == generated else f"{real}/{generated}"
        if self.extractor == "i3d":
            told = [self.name] if self.name != "standard" else []
            told += [self.precision] if self.precision != "fp32" else []
            told += [f"weights={str(self.weights)[:8]}"] if self.weights != I3D_WEIGHTS else []
            return f"FVD[{','.join(['i3d', *told, f'n={count}', f'f={frames}'])}]"
        told = [f"v{self.version}"] if self.version != 1 else []
        if self.size == "own":
            rows, columns = size
            told.append(f"{rows}px" if rows == columns else f"{rows}x{columns}px")
        return f"{self.extractor.upper()}-FD[{','.join([*told, f'n={count}', f'f={frames}'])}]"


I3D_WEIGHTS = "16cc267a58f06b24ad589fbd3f204353c5f99c456c0db10c94c31abbd850d4c7"
"""Digest of the Kinetics-400 arrays that FVD is defined on (deepmind/i3d-kinetics-400/1), see ``i3d.checkpoint.digest``."""

STE = Protocol(
    name="ste", extractor="ste", weights=None, size="own", resize=None, value_range="unit", scale_floor=0.01, version=2
)
"""Version 1 resized to 32 pixels and averaged colour over frames; it saw neither colour flicker nor what is smaller."""


def _fvd(name: str, **changes: Any) -> Protocol:
    return replace(Protocol(name=name, extractor="i3d", weights=I3D_WEIGHTS, size=224, resize="half-pixel"), **changes)


FVD_PRESETS: dict[str, Protocol] = {
    protocol.name: protocol
    for protocol in (
        # What current codebases agree on: half-pixel resize, [-1, 1], N - 1, the clips' own length.
        _fvd("standard"),
        # Skorokhodov et al. 2022 (StyleGAN-V): covariance over N, 2048 clips a side.
        _fvd("fvd2048_16f", divisor="n", frames=16, window="first", clips=2048),
        _fvd("fvd2048_128f", divisor="n", frames=128, window="first", clips=2048),
        _fvd("fvd2048_128f_subsample8f", divisor="n", frames=16, stride=8, window="first", clips=2048),
        # Unterthiner et al. 2018: TensorFlow 1's resize without half-pixel centres.
        _fvd("tf1", resize="legacy"),
        # Oshima et al. 2024: fed [0, 1] instead of [-1, 1], whole clips; comparable with that paper alone.
        _fvd("oshima2024", resize="legacy", value_range="unit", comparable=False),
        # Windows of 16 frames over the whole length of long video.
        _fvd("windows16", frames=16, window="all"),
    )
}
