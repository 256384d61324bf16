"""The record: everything one attempt at one cell leaves behind.

Units are bytes, seconds and UTC. Whatever could not be known is null, never 0; displays convert and name units. A record
is written once, by the supervising parent, and never changed.
"""

from __future__ import annotations

from typing import Any, Literal

from pydantic import Field

from vdmbench.cell_label import cell_label
from vdmbench.records.encoding import Encoding
from vdmbench.records.metric_result import MetricResult
from vdmbench.records.origin import Initialised, Tuned
from vdmbench.records.planned import PlannedFor, PlannedMemory, Probe, Rehearsal
from vdmbench.records.prediction import Prediction
from vdmbench.records.recorded import Recorded

RECORD_SCHEMA = 2
"""Since 2 the file of a record holds a digest of the rest of it (:data:`vdmbench.records.store.DIGEST`)."""
READABLE_SCHEMAS = (1, RECORD_SCHEMA)

Status = Literal["started", "ok", "oom", "timeout", "error", "signal", "nan", "interrupted", "infeasible", "skipped"]
UNFINISHED: frozenset[Status] = frozenset({"started", "interrupted", "skipped"})
"""Statuses that say nothing of the cell: it is still to be run."""
Phase = Literal["build", "warm-up", "train", "sample", "evaluate"]
PHASES: tuple[Phase, ...] = ("build", "warm-up", "train", "sample", "evaluate")


class Attempt(Recorded):
    """Which execution of the cell this was, and by which process."""

    id: str = Field(pattern=r"^[0-9A-Za-z]{1,40}$")
    """Unique name of the attempt, and of its folder."""
    ordinal: int = Field(ge=1)
    """1 for the first attempt at the cell."""
    host: str
    boot_id: str
    """Kernel boot id: with host, pid and process start it tells a live worker from a reused pid."""
    pid: int
    """The supervising parent."""
    process_started: float
    """Start time of that process, seconds since boot (so that a clock set back changes nothing)."""
    started: str
    """UTC, ISO 8601."""
    ended: str | None = None


class Parameters(Recorded):
    """Parameters, each counted once, frozen ones included (as the published counts do)."""

    network: int
    temporal: int
    """Those inside the temporal mixers alone."""


class LayerCost(Recorded):
    """One temporal layer as built."""

    channels: int
    inner_width: int
    parameters: int
    state_elements: int
    """Recurrent state or cache of one spatial site after all frames."""


class Matched(Recorded):
    """A quantity that was brought to a goal, and how near it came."""

    quantity: str | None = None
    """What was matched, e.g. ``parameters.network`` or ``memory.train``; null where nothing was."""
    target: int | None = None
    achieved: int | None = None
    mismatch: float | None = None
    """(achieved - target) / target."""
    tolerance: float | None = None


class Solved(Matched):
    """What the plan made of the cell: the knobs that moved, what they reached, and what the network costs."""

    knobs: dict[str, int | float] = Field(default_factory=dict)
    also: Matched | None = None
    """The second quantity that was matched, where there was one."""
    probes: list[Probe] = Field(default_factory=list)
    """What the solver tried where memory was matched, in order."""
    memory: dict[Literal["train", "sample"], PlannedMemory] = Field(default_factory=dict)
    """Simulated peaks by phase; without the phases that could not be simulated."""
    planned_for: PlannedFor | None = None
    """What they were simulated for; null in records from before it was kept, and where none were asked for."""
    not_simulated: str | None = None
    """Why a phase could not be; null where both were, or were not asked for."""
    parameters: Parameters
    state_elements: int
    """Sum over temporal layers and the sites of each, one clip."""
    flops_forward: int
    """One forward pass of one clip; a multiply-add counts 2; scans analytically."""
    flops_temporal: int
    layers: dict[str, LayerCost] = Field(default_factory=dict)


class RankReading(Recorded):
    """Peaks of one of the processes that train together, in one phase."""

    seconds: float
    rss_peak_bytes: int | None = None
    allocated_peak_bytes: int | None = None
    reserved_peak_bytes: int | None = None
    alloc_retries: int | None = None
    ooms: int | None = None


class PhaseReading(Recorded):
    """Time and peaks of one phase, reset at its start; with several ranks the largest peaks of any."""

    seconds: float
    rss_peak_bytes: int | None = None
    rss_source: str | None = None
    allocated_peak_bytes: int | None = None
    reserved_peak_bytes: int | None = None
    alloc_retries: int | None = None
    ooms: int | None = None
    nvml_peak_bytes: int | None = None
    """Of any device, where there are several: the largest."""
    others_busy_cores: float | None = None
    """Cores' worth of time that other processes, or other guests of the hypervisor, took meanwhile, of the cores that the
    worker may use: times are read beside it. Null in a phase of under half a second, and with several ranks."""
    ranks: list[RankReading] | None = None
    """Of each rank, in order, where several took part; null where one process did."""


class Spread(Recorded):
    """Median and quartiles of repeated timings."""

    median: float
    q1: float
    q3: float
    count: int


class HeldOutLoss(Recorded):
    """The training loss of the weights that are sampled, on clips of the test split that no step has seen, along training."""

    clips: int
    """Clips; the same ones in every variant, at every seed and at every point."""
    levels: int
    """Noise levels of each."""
    steps: list[int]
    """Optimiser steps done at each point; the last point is the end."""
    values: list[float]
    """Mean over clips and levels; NaN or infinite where the network gives such numbers."""
    train_seconds: list[float]
    """Seconds of all optimiser steps until then, those of earlier attempts included."""


class Training(Recorded):
    """What training did."""

    steps: int
    first_step: int = 0
    """Above 0 where an earlier attempt's checkpoint was resumed."""
    measured_in: str | None = None
    """The attempt that trained, ``cell/attempt`` where another cell trained the same network: where this one found every step
    done, times and the train phase are of that one."""
    step_seconds: Spread | None = None
    frames_per_second: float | None = None
    final_loss: float | None = None
    """Mean over the last tenth of the steps."""
    loss_steps: list[int] = Field(default_factory=list)
    loss: list[float] = Field(default_factory=list)
    """Training curve, thinned to at most 200 points, each the mean since the one before."""
    clips: int | None = None
    """Clips that all steps were made of, the same ones again included; null in records from before they were counted."""
    train_seconds: float | None = None
    """Seconds of all optimiser steps, those of earlier attempts included; null in records from before they were summed."""
    val_loss: HeldOutLoss | None = None
    """Null where none was declared."""
    compile_seconds: float | None = None
    """Of the first warm-up step, in which kernels are compiled; null where they are not."""
    graph_breaks: int | None = None
    """Places at which compiled code hands over to Python; null where nothing is compiled."""

    @property
    def of_another_cell(self) -> bool:
        """Whether the network was trained by another cell that trains alike."""
        return "/" in (self.measured_in or "")


class Sampling(Recorded):
    """What sampling did."""

    clips: int
    seconds_per_clip: float
    frames_per_second: float
    sampler: str
    steps: int
    compile_seconds: float | None = None
    """Of a pass through the network before the first clip, in which kernels are compiled; null where they are not."""


class TemporalProfile(Recorded):
    """What time does in clips, measured on their own pixels."""

    clips: int
    flicker: float
    """Deviation of a frame's luma from the mean of its neighbours, a share of the range; zero for a still video."""
    colour_flicker: float | None = None
    """The same of chroma; null in records from before it was measured."""
    dynamic_degree: float
    """Share of pixels that move, to be read beside flicker."""
    similarity: dict[int, float] = Field(default_factory=dict)
    """Correlation of two frames, by the gap between them."""
    cut_rate: float | None = None
    """Cuts per 100 frames; null where no detector was asked."""


class TemporalProfiles(Recorded):
    """Generated clips beside as many real ones."""

    generated: TemporalProfile
    real: TemporalProfile


class Rollout(Recorded):
    """What it took to make clips chunk by chunk. The series are of the first batch, at most 200 points."""

    chunk: int
    """Frames denoised together."""
    clips: int
    """Clips made at once, which all numbers are of together."""
    first_chunk_seconds: float
    """Apart from the others: it finds no kernel warm."""
    frame_seconds: Spread | None = None
    """Seconds of a chunk over its frames, the first chunk left out; all batches."""
    at: list[int]
    """Frames made."""
    seconds: list[float]
    """Median seconds a frame since the point before."""
    rss_bytes: list[int]
    """Resident memory of the process."""
    allocated_bytes: list[int] | None = None
    """Live memory of the CUDA allocator; null without a device."""
    state_bytes: list[int]
    """Of what the mixers carry."""
    state_elements: list[int]


class EarlierPoint(Recorded):
    """What a network was worth before its training ended: its clips, made and judged as those at the end."""

    share: float
    """Of the steps of training, as declared."""
    step: int
    """Optimiser steps done."""
    clips: int
    """Clips that these steps were made of."""
    train_seconds: float
    """Seconds of these steps, those of earlier attempts included."""
    metrics: dict[str, MetricResult] = Field(default_factory=dict)
    prediction: Prediction | None = None
    temporal_profiles: TemporalProfiles | None = None
    artifacts: dict[str, str] = Field(default_factory=dict)
    """Its samples beside the record, as those of the end."""
    message: str | None = None
    """Why there are no clips; null where there are some."""


class DeviceMemory(Recorded):
    """Device memory as the supervising parent saw it through NVML; of several devices the one with the largest peak."""

    status: str
    """``ok``, or why the rest is null."""
    device_uuid: str | None = None
    interval_seconds: float | None = None
    samples: int | None = None
    peak_used_bytes: int | None = None
    """Of the whole device."""
    peak_process_bytes: int | None = None
    """Of the worker alone, where the driver tells."""
    foreign_processes: int | None = None
    devices: list[DeviceMemory] | None = None
    """Each of them, where a cell had several; null where it had one."""


class OutOfMemory(Recorded):
    """Of a cell that ran out of memory: what a simulation says it needed, and what would have fitted."""

    capacity_bytes: int | None
    """What it had: the declared limit, or the device's memory without what CUDA itself takes; null where unknown."""
    simulated_need_bytes: dict[Literal["train", "sample"], int]
    """The smallest CUDA memory that each phase runs in."""
    largest: dict[str, int | None]
    """Knob to the largest setting that fits the capacity, the others as they were; null where not even the smallest does."""


class Exit(Recorded):
    """How the worker process ended."""

    code: int | None = None
    signal: str | None = None
    stderr_tail: str = ""


class Record(Recorded):
    """One attempt at one cell."""

    record_schema: int = RECORD_SCHEMA
    identity: str
    """Hash of the cell's declared inputs."""
    suite: str
    variant: str
    point: dict[str, Any] = Field(default_factory=dict)
    """Sweep coordinates, by field path."""
    seed: int
    declared: dict[str, Any]
    """The declared inputs that the identity is the hash of."""
    attempt: Attempt
    status: Status
    phase: Phase | None = None
    """Where it ended, if not ok."""
    message: str | None = None
    for_tuning: bool = False
    """Whether the cell only served to choose a tuned field of others; reports leave it out of tables and figures."""
    tuned: Tuned | None = None
    """What trials chose for the cell; null where nothing is tuned."""
    initialised: Initialised | None = None
    """The weights that it began with; null where all were drawn."""
    solved: Solved | None = None
    out_of_memory: OutOfMemory | None = None
    """Beside status ``oom``."""
    rehearsal: Rehearsal | None = None
    """Null in records from before there was one, and of cells that never ran."""
    phases: dict[Phase, PhaseReading] = Field(default_factory=dict)
    training: Training | None = None
    sampling: Sampling | None = None
    metrics: dict[str, MetricResult] = Field(default_factory=dict)
    """By the name used in the suite."""
    temporal_profiles: TemporalProfiles | None = None
    """Null where clips have fewer than three frames."""
    prediction: Prediction | None = None
    """Null where clips were made from noise alone."""
    earlier: list[EarlierPoint] = Field(default_factory=list)
    """Points before the end of training at which clips were judged too, in order; of an older record none."""
    rollout: Rollout | None = None
    """Null where clips were made whole."""
    encoding: Encoding | None = None
    """Null where pixels were diffused."""
    backends: dict[str, list[str]] = Field(default_factory=dict)
    """Kernels that ran, by op."""
    device_memory: DeviceMemory | None = None
    environment: dict[str, Any] = Field(default_factory=dict)
    cohort: str | None = None
    """Hardware class; records of different cohorts are never averaged."""
    baseline_rss_bytes: int | None = None
    """Resident memory of the worker once its libraries are loaded and before it builds anything: what a CPU peak holds of
    interpreter and libraries rather than of the cell."""
    data: dict[str, Any] = Field(default_factory=dict)
    """Fingerprints of the data read, by split."""
    artifacts: dict[str, str] = Field(default_factory=dict)
    """Files left beside the record, relative to its folder."""
    warnings: list[str] = Field(default_factory=list)
    """Declared settings that cannot do what they say, each a line; of an older record none."""
    exit: Exit | None = None

    @property
    def numbers(self) -> int:
        """Version of the numbers (:mod:`vdmbench.suite.numbers`) that the cell declares; 1 from before there was one.

        Records of two versions are of two experiments, whatever else they declare.
        """
        return int(self.declared.get("numbers", 1))

    @property
    def label(self) -> str:
        """For people: variant, sweep coordinates, seed; as the cell was called when it was declared."""
        return cell_label(self.variant, self.point, self.seed, for_tuning=self.for_tuning)
