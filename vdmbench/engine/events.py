"""What the engine says while it runs a cell. Whoever listens decides what is shown, kept or written."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from jaxtyping import UInt8
from torch import Tensor

from vdmbench.data.told import ClipFacts
from vdmbench.records import (
    EarlierPoint,
    Encoding,
    MetricResult,
    Parameters,
    Phase,
    PhaseReading,
    Prediction,
    Rollout,
    Sampling,
    TemporalProfiles,
    Training,
)


@dataclass(frozen=True)
class PhaseStarted:
    """A phase begins; its counters have been reset."""

    phase: Phase


@dataclass(frozen=True)
class Progress:
    """Some way into a phase."""

    phase: Phase
    step: int
    steps: int
    loss: float | None = None


@dataclass(frozen=True)
class PhaseEnded:
    """A phase is over, with its time and peaks."""

    phase: Phase
    reading: PhaseReading


@dataclass(frozen=True)
class Built:
    """The network stands; what was counted on it is held against the plan."""

    parameters: Parameters
    device: str


@dataclass(frozen=True)
class HeldOut:
    """The held-out loss after ``step`` steps, which took ``seconds`` together."""

    step: int
    value: float
    seconds: float


@dataclass(frozen=True)
class TrainingState:
    """Everything that training needs to go on from a step as if it had never stopped. Tensors are on the CPU."""

    step: int
    tensors: dict[str, Any]
    losses: list[float]
    seconds: float = 0.0
    """Of all steps until then."""
    held_out: list[HeldOut] = field(default_factory=list)
    """Held-out losses until then."""


@dataclass(frozen=True)
class CheckpointDue:
    """A state worth keeping."""

    state: TrainingState


@dataclass(frozen=True)
class Snapshot:
    """The weights that would be sampled after ``step`` steps, whole and on the CPU."""

    step: int
    clips: int
    """Clips that these steps were made of."""
    seconds: float
    """Of these steps."""
    tensors: dict[str, Any]


@dataclass(frozen=True)
class SnapshotDue:
    """Weights to keep until training is over."""

    snapshot: Snapshot


@dataclass(frozen=True)
class Trained:
    training: Training


@dataclass(frozen=True)
class Sampled:
    """Generated clips, quantised, and a few held-out real ones to look at beside them."""

    sampling: Sampling
    clips: UInt8[Tensor, "clips frames channels height width"]
    real: UInt8[Tensor, "real frames channels height width"]
    stored: bool = False
    """Whether the clips are in the file that the engine was told to write them to."""
    facts: ClipFacts | None = None
    """What the network was told of each clip."""


@dataclass(frozen=True)
class Encoded:
    """The latents that were diffused, and what the autoencoder alone costs in quality."""

    encoding: Encoding


@dataclass(frozen=True)
class RolledOut:
    """Clips were made chunk by chunk, at that cost."""

    rollout: Rollout


@dataclass(frozen=True)
class Judged:
    """One metric of the generated clips, under its name in the suite."""

    metric: str
    result: MetricResult


@dataclass(frozen=True)
class JudgedEarlier:
    """What the network was worth before its training ended; its clips, where they are finite, and real ones to look at."""

    point: EarlierPoint
    clips: UInt8[Tensor, "clips frames channels height width"] | None
    real: UInt8[Tensor, "real frames channels height width"] | None
    facts: ClipFacts | None = None


@dataclass(frozen=True)
class Profiled:
    """How generated and real clips behave in time, each on its own pixels."""

    profiles: TemporalProfiles


@dataclass(frozen=True)
class Predicted:
    """Generated clips that continue real ones, frame by frame against those."""

    prediction: Prediction


@dataclass(frozen=True)
class BackendsUsed:
    """Kernels that ran, by op."""

    backends: dict[str, list[str]]


EngineEvent = (
    PhaseStarted
    | Progress
    | PhaseEnded
    | Built
    | HeldOut
    | CheckpointDue
    | SnapshotDue
    | JudgedEarlier
    | Trained
    | Sampled
    | Encoded
    | RolledOut
    | Judged
    | Profiled
    | Predicted
    | BackendsUsed
)

Emit = Callable[[EngineEvent], None]
"""What hears them, as they happen."""


class NonFinite(ArithmeticError):
    """Training or sampling diverged: a number is NaN or infinite."""


class NonFiniteLoss(NonFinite):
    """The loss of a step."""

    def __init__(self, step: int, loss: float) -> None:
        super().__init__(f"loss is {loss} at step {step}")
        self.step = step


class NonFiniteState(NonFinite):
    """What training would keep after a step whose loss was finite, by the names of the tensors."""

    def __init__(self, step: int, names: list[str]) -> None:
        which = f"{names[0]} and {len(names) - 1} more hold" if len(names) > 1 else f"{names[0]} holds"
        super().__init__(
            f"after step {step} {which} NaN or infinite values, though its loss was finite: this state is not kept"
        )
        self.step = step


class Stopped(Exception):
    """Training was asked to stop, and did at a step boundary, once its state had been told."""

    def __init__(self, step: int) -> None:
        super().__init__(f"asked to end, and did after step {step} with a checkpoint")
        self.step = step
