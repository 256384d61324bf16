"""The evaluate phase: generated clips against held-out real ones, by every declared metric and on their own pixels."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path

import torch
from jaxtyping import UInt8
from torch import Tensor

from vdmbench import registry
from vdmbench.data.told import facts_of
from vdmbench.engine.conditioning import attributes_told
from vdmbench.engine.events import EngineEvent, Judged, Predicted, Profiled, Progress
from vdmbench.engine.experiment import make_faithfulness, make_metrics
from vdmbench.engine.prediction import Continued
from vdmbench.engine.real_clips import RealClips
from vdmbench.engine.training_clips import TrainingClips
from vdmbench.metrics import temporal
from vdmbench.records import MetricResult, TemporalProfile, TemporalProfiles
from vdmbench.suite import CellInputs


def judge(
    inputs: CellInputs,
    clips: UInt8[Tensor, "clips frames channels height width"],
    real: RealClips,
    device: torch.device,
    emit: Callable[[EngineEvent], None],
    *,
    training: TrainingClips | None = None,
    continued: Continued | None = None,
    reference_cache: Path | None = None,
) -> None:
    """Tell ``emit`` what each metric makes of ``clips``, how they and as many real ones behave in time, and, where they
    continue real ones, how near they come to these."""
    # Made here and not before: the weights of an extractor are no part of what training or sampling takes.
    metrics, faithful = make_metrics(inputs), make_faithfulness(inputs)
    profiled = clips.shape[1] >= temporal.MINIMUM_FRAMES
    # Clips that continue a held-out one, or are told what it shows, depend on each other as the videos of these do.
    dependent = continued is not None or inputs.condition is not None
    origins = real.origins(real.held_out[: len(clips)]) if dependent else None
    parts = len(metrics) + len(faithful) + profiled + (continued is not None)
    for number, (name, metric) in enumerate(metrics.items(), start=1):
        reference = real.reference(metric.to(device), reference_cache)
        read = None if training is None else training.features(metric, real.frames, reference_cache)
        emit(Judged(name, MetricResult.from_metric(metric(reference, clips, origins, read), registry.metrics[name].better)))
        emit(Progress("evaluate", number, parts))
    for name, reading in faithful.items():
        shown = real.held_out[: len(clips)]
        captions = facts_of(real.source, shown, real.frames, ["caption"]).captions or []
        videos = real.origins(shown).videos
        result = reading(clips, real.batches(shown), captions, attributes_told(inputs.condition), videos=videos)
        emit(Judged(name, MetricResult.from_metric(result, registry.metrics[name].better)))
        emit(Progress("evaluate", len(metrics) + 1, parts))
    if profiled:
        emit(Profiled(_profiles(inputs, clips, real, device)))
        emit(Progress("evaluate", len(metrics) + len(faithful) + 1, parts))
    if continued is not None:
        emit(Predicted(continued.scores(clips, with_lpips=inputs.evaluate.lpips)))
        emit(Progress("evaluate", parts, parts))


def _profiles(inputs: CellInputs, clips: Tensor, real: RealClips, device: torch.device) -> TemporalProfiles:
    cuts = None
    if inputs.evaluate.cuts:
        from vdmbench.metrics.cuts import load_cut_detector

        cuts = load_cut_detector(device)
    sides = {"generated": clips, "real": real.batches(real.real[: len(clips)])}
    profiles = {side: temporal.temporal_profile(each, cuts=cuts) for side, each in sides.items()}
    return TemporalProfiles(**{side: TemporalProfile(**asdict(profile)) for side, profile in profiles.items()})
