"""Clips of networks that are not trained to their end: the same run, read at several points of its training.

What will be sampled is kept at each point (a snapshot), and sampled and judged once training is over: so no step waits for it,
no memory of training holds it, and a run that was cut short judges the same networks.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from jaxtyping import UInt8
from torch import Tensor, nn

from vdmbench.data.told import ClipFacts
from vdmbench.engine.conditioning import Teller
from vdmbench.engine.distributed import Ranks
from vdmbench.engine.events import Emit, EngineEvent, Judged, JudgedEarlier, NonFinite, Predicted, Profiled, Progress, Snapshot
from vdmbench.engine.experiment import Experiment
from vdmbench.engine.judging import judge
from vdmbench.engine.latents import decoded
from vdmbench.engine.prediction import Continued
from vdmbench.engine.real_clips import RealClips
from vdmbench.engine.sample_phase import SamplePhase
from vdmbench.engine.training import load_whole
from vdmbench.records import EarlierPoint, MetricResult, Prediction, TemporalProfiles
from vdmbench.suite import CellInputs

ReadSnapshot = Callable[[int], Snapshot]
"""A snapshot that was told, by its step; on every rank."""


def judged_steps(inputs: CellInputs) -> dict[int, float]:
    """The steps before the last after which clips are judged, each with the share of training that declares it.

    A share is rounded up to a step; of two that are one step the later names it.
    """
    steps = inputs.train.steps
    found = {math.ceil(share * steps - 1e-9): share for share in inputs.evaluate.at}
    return {step: share for step, share in found.items() if step < steps}


@dataclass
class _Collected:
    """Hears what sampling and judging tell of one point."""

    metrics: dict[str, MetricResult] = field(default_factory=dict)
    prediction: Prediction | None = None
    profiles: TemporalProfiles | None = None

    def __call__(self, event: EngineEvent) -> None:
        match event:
            case Judged():
                self.metrics[event.metric] = event.result
            case Predicted():
                self.prediction = event.prediction
            case Profiled():
                self.profiles = event.profiles


@dataclass(frozen=True)
class SampledEarlier:
    """Clips of one snapshot, not judged yet; None where they hold NaN or infinity."""

    snapshot: Snapshot
    clips: UInt8[Tensor, "clips frames channels height width"] | Tensor | None
    real: UInt8[Tensor, "real frames channels height width"] | None
    facts: ClipFacts | None
    message: str | None


class Earlier:
    """The points of one cell before the end of its training.

    Args:
        read: gives back the snapshots of these points.
    """

    def __init__(
        self,
        cell: Experiment,
        emit: Emit,
        ranks: Ranks,
        real_clips: RealClips,
        teller: Teller | None,
        continued: Continued | None,
        read: ReadSnapshot,
    ) -> None:
        self.cell, self.emit, self.ranks, self.read = cell, emit, ranks, read
        self.real_clips, self.continued, self.teller = real_clips, continued, teller
        self.shares = judged_steps(cell.inputs)

    def sample(self, network: nn.Module) -> list[SampledEarlier]:
        """Clips of each point, by the weights of its snapshot in ``network``, whose own are lost. All ranks of a sharded
        network ask together."""
        found = []
        for step in self.shares:
            snapshot = self.read(step)
            load_whole(network, snapshot.tensors, self.ranks)
            phase = SamplePhase(self.cell, _Collected(), self.real_clips, self.teller, self.continued, None)
            try:
                sampled = phase.sample(network)
            except NonFinite as error:
                found.append(SampledEarlier(snapshot, None, None, None, str(error)))
            else:
                found.append(SampledEarlier(snapshot, sampled.clips, sampled.real, sampled.facts, None))
            self.emit(Progress("evaluate", len(found), 2 * len(self.shares)))
        return found

    def judge(self, found: list[SampledEarlier], reference_cache: Path | None) -> None:
        """Tell of each point what each metric makes of its clips. Copies of training clips are looked for at the end alone."""
        for number, each in enumerate(found, start=1):
            collected, clips = _Collected(), each.clips
            if clips is not None:
                if self.cell.latents is not None:
                    clips = decoded(self.cell.latents.autoencoder(self.cell.device), clips, self.cell.device)
                judge(
                    self.cell.inputs,
                    clips,
                    self.real_clips,
                    self.cell.device,
                    collected,
                    continued=self.continued,
                    reference_cache=reference_cache,
                )
            point = EarlierPoint(
                share=self.shares[each.snapshot.step],
                step=each.snapshot.step,
                clips=each.snapshot.clips,
                train_seconds=each.snapshot.seconds,
                metrics=collected.metrics,
                prediction=collected.prediction,
                temporal_profiles=collected.profiles,
                message=each.message,
            )
            self.emit(JudgedEarlier(point, clips, each.real, each.facts))
            self.emit(Progress("evaluate", len(found) + number, 2 * len(found)))
