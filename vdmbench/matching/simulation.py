"""The peak of GPU memory in training and sampling, simulated on any machine.

The engine's own training step and sampler run on fake tensors of a stand-in CUDA device. Every storage is followed from birth
to death, and the births and deaths are replayed through a model of CUDA's caching allocator.
"""

from __future__ import annotations

import gc
import re
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch._subclasses.fake_tensor import (
    DataDependentOutputException,
    DynamicOutputShapeException,
    UnsupportedOperatorException,
)

from vdmbench.diffusion import KnownFrames, Process
from vdmbench.engine.acceleration import prepared_for_sampling
from vdmbench.engine.conditioning import of_each_batch
from vdmbench.engine.process import make_process
from vdmbench.engine.rollout import rollout
from vdmbench.engine.sampling import PerBatch, sample_clips
from vdmbench.engine.training import Trainer
from vdmbench.matching.cost import built_on_meta, structure
from vdmbench.matching.workload import Workload
from vdmbench.memory.allocator import least_capacity, replay
from vdmbench.memory.cuda_kernels import CUBLAS_WORKSPACE
from vdmbench.memory.stand_in import DEVICE, stand_in_device
from vdmbench.memory.storages import StorageTracker
from vdmbench.memory.trace import MemoryTrace
from vdmbench.networks import build
from vdmbench.networks.conditional import Conditional, Told
from vdmbench.networks.denoiser import Denoiser
from vdmbench.networks.streaming import Stream
from vdmbench.ops import recording, simulating
from vdmbench.ops.backends import packages_of
from vdmbench.records import PlannedMemory
from vdmbench.suite.blocks import Sample
from vdmbench.suite.diffusion import DiscreteDiffusion
from vdmbench.suite.pattern import described

PHASES = ("train", "sample")
STEPS = 2
"""Optimiser steps that are planned: the first makes the optimiser's state, the second begins with it. Where both do the same
besides, the second is written down from the first (:meth:`~vdmbench.memory.storages.StorageTracker.repeat`)."""
LEVELS = 2
"""Noise levels that are run: what is alive at the second is alive at every later one."""
MULTISTEP_LEVELS = 3
"""Of a sampler with a history, which the first level lacks and the last does not need."""


class CannotSimulate(ValueError):
    """The network does something that has no simulated form; the message, one line, names the mixer and what it is."""


def simulate(workload: Workload, phases: Collection[str] = PHASES) -> dict[Any, PlannedMemory]:
    """CUDA peaks of the ``phases`` asked for.

    :raises CannotSimulate: see there.
    :raises ValueError: network, mixer and size do not fit together.
    """
    return planned_memory(workload, traced(workload, phases))


def traced(workload: Workload, phases: Collection[str] = PHASES) -> MemoryTrace:
    """:func:`trace_workload` on the stand-in for CUDA, of what can be simulated; raises as :func:`simulate`."""
    refuse_sharded(workload)
    _refuse_compiled(workload, phases)
    structure(workload.network, workload.mixer)  # what cannot be built says so in its own words
    with recording() as used:
        trace = trace_workload(workload, phases)
    trace.packages = sorted(packages_of(used))
    return trace


def planned_memory(workload: Workload, trace: MemoryTrace) -> dict[Any, PlannedMemory]:
    """The peaks of each phase of a trace, and who holds them."""
    temporal = list(built_on_meta(workload.network, workload.mixer).temporal_layers())
    replayed = replay(trace)
    return {
        phase.name: PlannedMemory(
            allocated_peak_bytes=replayed[phase.name].allocated_peak,
            reserved_peak_bytes=replayed[phase.name].reserved_peak,
            least_capacity_bytes=least_capacity(trace, phase),
            holders=_by_kind(replayed[phase.name].holders, temporal),
            packages=trace.packages,
        )
        for phase in trace.phases
    }


def refuse_sharded(workload: Workload) -> None:
    """Raise :class:`CannotSimulate` for a network that is divided among devices: each holds less than is built here."""
    if workload.train.sharding != "none":
        raise CannotSimulate(
            f"train.sharding is '{workload.train.sharding}', and what each device then holds is neither simulated nor probed: "
            "match parameters, FLOPs or state instead, or leave sharding out"
        )


def _refuse_compiled(workload: Workload, phases: Collection[str]) -> None:
    for phase, block in (("train", workload.train), ("sample", workload.sample)):
        if block.compile and phase in phases:
            raise CannotSimulate(
                f"{phase}.compile is set, and what compiled kernels keep is not simulated: match parameters, FLOPs or "
                "state instead, or leave compile out"
            )


def trace_workload(workload: Workload, phases: Collection[str] = PHASES, *, device: str = "cuda") -> MemoryTrace:
    """Births and deaths of all storages on ``cuda``, whether there is one or not, or on ``cpu``; nothing is computed."""
    try:
        with (
            _garbage_collected_between_steps(),
            stand_in_device(device, workload.target.card) as stand_in,
            simulating(device, workload.target.packages),
            StorageTracker(stand_in.type, workload.target.card) as tracker,
        ):
            return run_steps(workload, stand_in, tracker, phases)
    except Exception as error:  # a user's mixer may do anything, and fake tensors answer in as many ways
        raise CannotSimulate(f"the memory of {described(workload.mixer)} cannot be simulated: {_why(error)}") from None


@contextmanager
def _garbage_collected_between_steps() -> Iterator[None]:
    """What refers to itself, as blocks that are computed again do, dies where :func:`run_steps` says so, and not when Python's
    counts of objects come round: those depend on what the process did before, and a plan must not."""
    automatic = gc.isenabled()
    gc.freeze()  # what is there already is not searched again at every step
    gc.disable()
    try:
        yield
    finally:
        gc.unfreeze()
        if automatic:
            gc.enable()


_OP = re.compile(r"aten[.:]+(\w+)")
_LONGEST = 200


def _why(error: Exception) -> str:
    """In a line: PyTorch's own words are a dump of its dispatcher."""
    said = " ".join(str(error).split())
    op = next(iter(_OP.findall(said)), None)
    if isinstance(error, DataDependentOutputException):
        return f"it reads a value from the device ({op or said}), which has none while memory is simulated"
    if isinstance(error, DynamicOutputShapeException):
        return f"the shape of a tensor follows from values ({op or said}), which are not there while memory is simulated"
    if isinstance(error, UnsupportedOperatorException) or (isinstance(error, NotImplementedError) and "Could not run" in said):
        return f"the op {op or said} has no simulated form"
    text = said if isinstance(error, ValueError | NotImplementedError) and said else f"{type(error).__name__}: {said}"
    return text if len(text) <= _LONGEST else f"{text[:_LONGEST]}…"


def _by_kind(owners: dict[str, int], temporal: list[str]) -> dict[str, int]:
    """Bytes by kind of owner: activations are those of the temporal layers, or of the rest of the network."""
    holders: dict[str, int] = {}
    for owner, nbytes in owners.items():
        kind, _, path = owner.partition(": ")
        if kind == "activations":
            inside = any(path == layer or path.startswith(f"{layer}.") for layer in temporal)
            kind = "temporal activations" if inside else "other activations"
        holders[kind] = holders.get(kind, 0) + nbytes
    return holders


def run_steps(
    workload: Workload, device: torch.device, tracker: StorageTracker, phases: Collection[str] = PHASES
) -> MemoryTrace:
    """Build, train for two steps, sample for two levels: on fake tensors, or on real ones to hold the simulation against."""
    train, sample = workload.train, workload.sample
    levels = MULTISTEP_LEVELS if sample.sampler == "dpmpp-2m" else LEVELS
    declared = workload.diffusion
    if isinstance(declared, DiscreteDiffusion):
        # As few levels as are run, of any schedule: it decides numbers, and no shape.
        declared = declared.model_copy(update={"steps": levels, "schedule": "cosine"})
    diffusion = make_process(declared, device)
    with torch.device(device):
        network = build(workload.network, workload.mixer)
    if device.type == DEVICE:  # of the forward and of the backward pass; real ones are made where they are asked for
        workspaces = [torch.empty(CUBLAS_WORKSPACE, dtype=torch.uint8, device=device) for _ in range(2)]
        tracker.claim("workspaces", *workspaces)
    tracker.watch(network)
    tracker.claim("parameters", *network.parameters(), *network.buffers())
    trainer = Trainer(network, diffusion, train, 0, device)
    if trainer.average is not None:
        tracker.claim("EMA", *trainer.average.parameters(), *trainer.average.buffers())
    channels = network.channels
    del network
    shape = (workload.frames, channels, workload.size, workload.size)
    tracker.trace.empty_cache()
    if "train" in phases:
        # A third batch of a step finds what the second found: gradients that are there already.
        # Of several devices each has its part of the batch; the buckets that gradients are exchanged in are not simulated.
        own = train.batch_size // train.devices
        stored = torch.float16 if workload.latents else torch.uint8
        batches = [torch.zeros(own, *shape, dtype=stored) for _ in range(min(train.accumulate, 2))]
        with tracker.phase("train"):
            for _ in range(STEPS):
                begin = len(tracker.trace.events)
                trainer.update(batches, _stand_ins(trainer.network, [(len(each), workload.frames) for each in batches]))
                _claim_state(tracker, trainer.optimiser)
                gc.collect()
                if device.type == DEVICE and _is_repeated(tracker, begin, trainer):
                    break
    sampled = prepared_for_sampling(trainer.sampled_network, train, sample)
    del trainer
    gc.collect()  # as the engine does: blocks that are computed again refer to themselves
    tracker.trace.empty_cache()
    # Two batches where there are two: the clips of one are alive while the next is begun.
    shortened = sample.model_copy(
        update={"clips": min(sample.clips, 2 * sample.batch_size), "steps": sample.steps and min(sample.steps, levels)}
    )
    if "sample" in phases:
        shape = (workload.sampled_frames, *shape[1:])

        def beginnings(clips: range) -> KnownFrames:
            return KnownFrames.first(sample.known_frames or 1, torch.zeros(len(clips), *shape, device=device))

        with tracker.phase("sample"):
            if sample.rollout is not None:
                _last_chunks(sampled, diffusion, shortened, shape, device)
                return tracker.finish()
            sample_clips(
                sampled,
                diffusion,
                shortened,
                shape,
                0,
                device,
                lambda done, total: None,
                known=beginnings if sample.known_frames else None,
                denoiser=_denoiser(sampled, workload.sampled_frames, sample.guidance, device),
            )
    return tracker.finish()


def _stand_ins(network: torch.nn.Module, clips: list[tuple[int, int]]) -> list[Told] | None:
    """Something to be told of batches of so many clips and frames, from the CPU; None of a network without a condition."""
    if not isinstance(network, Conditional):
        return None
    return [network.stand_in(count, frames, torch.device("cpu")) for count, frames in clips]


def _denoiser(network: torch.nn.Module, frames: int, guidance: float, device: torch.device) -> PerBatch | None:
    if not isinstance(network, Conditional):
        return None
    return of_each_batch(network, lambda clips: network.stand_in(len(clips), frames, torch.device("cpu")), guidance, device)


def _last_chunks(
    network: torch.nn.Module, diffusion: Process, sample: Sample, shape: tuple[int, int, int, int], device: torch.device
) -> None:
    """The last two chunks of a rollout, of which the second finds what mixers carry as large as it becomes."""
    assert isinstance(network, Denoiser)
    assert sample.rollout is not None
    before = max(0, shape[0] - 2 * sample.rollout.chunk)
    clips = range(min(sample.batch_size, sample.clips))
    told = network.stand_in(len(clips), shape[0], device) if isinstance(network, Conditional) else None
    stream = Stream(len(clips) * (1 if sample.guidance == 1 else 2), *shape[2:], frames=before)
    for _ in rollout(network, diffusion, sample, shape, 0, device, clips=clips, told=told, stream=stream):
        pass


def _is_repeated(tracker: StorageTracker, begin: int, trainer: Trainer) -> bool:
    """Whether the second step could be written down without running it: a user's module may do another thing every time."""
    if not all(type(module).__module__.startswith(_ALIKE_EVERY_TIME) for module in trainer.network.modules()):
        return False
    parameters = [each for group in trainer.optimiser.param_groups for each in group["params"]]  # as zero_grad goes
    return tracker.repeat(
        begin,
        replaced=[each.grad for each in parameters if each.grad is not None],
        lasting=_state(trainer.optimiser),
    )


_ALIKE_EVERY_TIME = ("vdmbench.", "torch.")
"""Packages whose modules ask for the same memory at every step of the same shapes, but for what lasts from the first one on."""


def _state(optimiser: torch.optim.Optimizer) -> list[torch.Tensor]:
    return [each for state in optimiser.state.values() for each in state.values() if isinstance(each, torch.Tensor)]


def _claim_state(tracker: StorageTracker, optimiser: torch.optim.Optimizer) -> None:
    """In a function of its own, whose names hold none of the state once it returns."""
    tracker.claim("optimiser", *_state(optimiser))
