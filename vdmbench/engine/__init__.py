"""The engine runs one cell: build, warm-up, train, sample, evaluate."""

from vdmbench.engine.distributed import Ranks, is_lost_peer, own_device
from vdmbench.engine.events import (
    BackendsUsed,
    Built,
    CheckpointDue,
    Encoded,
    EngineEvent,
    Judged,
    NonFinite,
    NonFiniteLoss,
    NonFiniteState,
    PhaseEnded,
    PhaseStarted,
    Predicted,
    Profiled,
    Progress,
    RolledOut,
    Sampled,
    Stopped,
    Trained,
    TrainingState,
    is_out_of_memory,
)
from vdmbench.engine.experiment import Experiment, make_metrics, make_source, pick_device, prepare
from vdmbench.engine.real_clips import choose_real_clips
from vdmbench.engine.run import run_cell
from vdmbench.engine.training import Trainer

__all__ = [
    "BackendsUsed",
    "Built",
    "CheckpointDue",
    "Encoded",
    "EngineEvent",
    "Experiment",
    "Judged",
    "NonFinite",
    "NonFiniteLoss",
    "NonFiniteState",
    "PhaseEnded",
    "PhaseStarted",
    "Predicted",
    "Profiled",
    "Progress",
    "Ranks",
    "RolledOut",
    "Sampled",
    "Stopped",
    "Trained",
    "Trainer",
    "TrainingState",
    "choose_real_clips",
    "is_lost_peer",
    "is_out_of_memory",
    "make_metrics",
    "make_source",
    "own_device",
    "pick_device",
    "prepare",
    "run_cell",
]
