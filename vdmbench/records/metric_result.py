"""What a record keeps of one metric: its value, and all that is needed to doubt it."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import Field

from vdmbench.records.recorded import Recorded


class Memorisation(Recorded):
    """How near generated clips lie to training clips, in a metric's own features, beside real clips that nobody trained on."""

    among: str
    """What they are held against: ``training`` clips; or ``real`` ones, where two folders are compared."""
    training_clips: int
    training_videos: int
    clips: int
    """Generated ones that count: one a video."""
    held_out_clips: int
    nearest: float
    """Distance of a generated clip to the nearest training clip, the median."""
    nearest_held_out: float
    ratio: float
    """That distance over the mean of those to the nearest 50 other videos, the median; a copy has nearly 0."""
    ratio_held_out: float
    nearer: int
    """Generated clips whose ratio is below that of every held-out clip."""
    p: float
    """Of the rank test that generated clips are no nearer than held-out ones."""
    alarm: bool
    """Whether p is at most 0.01, the rate of false alarms."""


class MetricResult(Recorded):
    """A distance, the protocol in its name, and all that is needed to doubt it."""

    name: str
    value: float
    lower_is_better: bool = True
    n_real: int
    n_generated: int
    debiased: float | None = None
    """The distance without the bias of few clips; null under the count that it needs, and of other metrics."""
    debiased_interval: tuple[float, float] | None = None
    """Bootstrap interval of it over videos."""
    debiased_needs: int | None = None
    """Videos a side from which it orders models rightly; null where too few were there to tell even that."""
    kvd: float | None = None
    """Unbiased polynomial-3 MMD on the same features."""
    floor: float | None = None
    """What held-out real clips get in place of generated ones, at the same N; no bound, a distance may lie below it."""
    floor_n: list[int] | None = None
    """Clips on the two sides of the floor; where they are fewer than in the distance, the floor lies too high."""
    interval: tuple[float, float] | None = None
    """Bootstrap interval over videos; null where a side is of one video."""
    confidence: float | None = None
    """Coverage of the interval."""
    videos_real: int | None = None
    """Distinct videos that the clips were cut from."""
    windows_real: int | None = None
    """Clips that share no frame with one another, at most."""
    videos_generated: int | None = None
    windows_generated: int | None = None
    controls: dict[str, float] = Field(default_factory=dict)
    """The distance of held-out real clips spoilt on purpose."""
    control_clean: float | None = None
    """The distance of the same clips before they were spoilt."""
    control_n: int | None = None
    blind: list[str] = Field(default_factory=list)
    """Controls that the metric did not see."""
    memorisation: Memorisation | None = None
    """Null where training clips were not at hand, or no training video is as long as a judged clip."""
    rank_deficient: bool = False
    warnings: list[str] = Field(default_factory=list)
    protocol: dict[str, Any] = Field(default_factory=dict)
    """How it was measured; numbers compare only where this is equal."""
    details: dict[str, Any] = Field(default_factory=dict)
    """Further numbers of this metric's own."""

    @classmethod
    def from_metric(cls, result: dict[str, Any], better: Literal["lower", "higher"] | None = None) -> MetricResult:
        """What a metric returned, its own under ``details``; torchmetrics' ``higher_is_better`` is understood.

        :param better: the direction of a result that does not say its own.
        """
        if "higher_is_better" in result:
            result = {"lower_is_better": not result["higher_is_better"], **result}
            del result["higher_is_better"]
        if better is not None:
            result = {"lower_is_better": better == "lower", **result}
        own = {key: value for key, value in result.items() if key not in cls.model_fields}
        shared = {key: value for key, value in result.items() if key in cls.model_fields}
        return cls.model_validate({**shared, "details": {**shared.get("details", {}), **own}})
