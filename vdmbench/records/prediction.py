"""What a record holds of clips that continue real ones."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from vdmbench.records.recorded import Recorded


class PredictionScore(Recorded):
    """One score of predicted frames against the true ones."""

    value: float
    """Mean over clips and predicted frames."""
    interval: tuple[float, float] | None = None
    """Over draws of clips; null for one clip."""
    by_frame: list[float]
    """Mean over clips at each predicted frame."""
    copied: float
    """The same mean for the last known frame repeated: the floor that no model is needed for."""
    copied_by_frame: list[float]


class RecallScore(Recorded):
    """What is predicted where the camera is back at a view of the known frames; PSNR in dB, from the mean squared error."""

    revisits: int
    """Predicted frames that show a view of the known ones."""
    psnr: float | None
    """At revisits."""
    novel_psnr: float | None
    """At predicted frames of views that were not seen before."""
    gain: float | None
    """``psnr`` minus ``novel_psnr``; null where there are no revisits, or nothing novel."""
    interval: tuple[float, float] | None = None
    """Of the gain, over draws of clips; null where too few clips come back."""
    copied_gain: float | None = None
    """The gain of the last known frame repeated, which remembers nothing."""
    consistency: float | None = None
    """At every return, against the clip's own frame of the first visit."""
    by_gap: dict[int, float] = Field(default_factory=dict)
    """``psnr`` by frames since the first visit: up to 1, 2, 4, ..."""


class Prediction(Recorded):
    """Continuations of held-out test clips, against how they really went on."""

    known_frames: int
    """First frames of each clip, which were given."""
    clips: int
    rule: Literal["frame-levels", "replacement"]
    """How known frames entered: told as clean to a network trained with a noise level a frame, or noised to the level of the
    rest and put in their places at every step."""
    best_of: int = 1
    """Continuations drawn for each clip; one: nothing was picked."""
    confidence: float = 0.95
    """Coverage of the intervals."""
    psnr: PredictionScore
    """dB, mean over frames of each frame's own; 100 at most."""
    ssim: PredictionScore
    lpips: PredictionScore | None = None
    """Null where it was not asked for."""
    recall: RecallScore | None = None
    """Null where the source knows of no revisits among predicted frames."""
