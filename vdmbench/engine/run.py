"""One cell from start to end: build, warm-up, train, sample, evaluate, each measured on its own.

What happens is told through ``emit``. A callback rather than a generator, because progress is told from inside the samplers.
The engine reads no file but the data's, starts no process, and knows nothing of suites beyond one cell's declared inputs.
"""

from __future__ import annotations

import gc
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import torch
from torch import nn

from vdmbench.engine.conditioning import Teller
from vdmbench.engine.distributed import Ranks
from vdmbench.engine.earlier import Earlier, ReadSnapshot
from vdmbench.engine.events import (
    BackendsUsed,
    Built,
    Emit,
    EngineEvent,
    PhaseEnded,
    PhaseStarted,
    Snapshot,
    SnapshotDue,
    TrainingState,
)
from vdmbench.engine.experiment import Experiment
from vdmbench.engine.judging import judge
from vdmbench.engine.prediction import Continued
from vdmbench.engine.real_clips import choose_real_clips
from vdmbench.engine.sample_phase import SamplePhase
from vdmbench.engine.train_phase import TrainPhase
from vdmbench.engine.training import Trainer
from vdmbench.engine.training_clips import TrainingClips
from vdmbench.measure import PhaseMeter
from vdmbench.networks import count_parameters
from vdmbench.networks.denoiser import Denoiser
from vdmbench.ops.backends import recording
from vdmbench.records import Parameters, Phase, PhaseReading


def run_cell(
    cell: Experiment,
    emit: Emit,
    *,
    resume: TrainingState | None = None,
    checkpoint_every: int = 1000,
    reference_cache: Path | None = None,
    stop: Callable[[], bool] = lambda: False,
    ranks: Ranks | None = None,
    rollout_file: Path | None = None,
    read_snapshot: ReadSnapshot | None = None,
) -> None:
    """Run ``cell``, telling ``emit`` everything.

    :param resume: the state that an earlier attempt left; training goes on from it.
    :param reference_cache: folder in which features of real clips are kept between cells.
    :param stop: asked after every training step; where it says so, training leaves a checkpoint and ends.
    :param ranks: this process among those that train the cell together; ``emit`` hears each of them, and clips are sampled and
        judged by the one that leads.
    :param rollout_file: where the frames of a rollout are written as they are made; None keeps them in memory.
    :param read_snapshot: gives back, by its step, a snapshot that ``emit`` heard of in this attempt or an earlier one; None
        keeps them in memory.
    :raises NonFiniteLoss: training diverged.
    :raises Stopped: as ``stop`` asked.
    :raises torch.OutOfMemoryError: as it is; :func:`~vdmbench.measure.is_out_of_memory` knows every other form of it.
    """
    _Run(cell, emit, checkpoint_every, reference_cache, stop, ranks or Ranks(), rollout_file, read_snapshot).all(resume)


class _Run:
    def __init__(
        self,
        cell: Experiment,
        emit: Emit,
        checkpoint_every: int,
        reference_cache: Path | None,
        stop: Callable[[], bool],
        ranks: Ranks,
        rollout_file: Path | None,
        read_snapshot: ReadSnapshot | None,
    ) -> None:
        if read_snapshot is None:
            emit, read_snapshot = _in_memory(emit)
        self.cell, self.emit, self.ranks, self.reference_cache = cell, emit, ranks, reference_cache
        self.inputs = cell.inputs
        self.meter = PhaseMeter(str(cell.device))
        condition = self.inputs.condition
        teller = None if condition is None else Teller(condition, cell.train_source)
        self.real_clips = choose_real_clips(
            cell.test_source,
            self.inputs.sampled_frames,
            real=self.inputs.evaluate.real_clips,
            held_out=self.inputs.sample.clips,
        )
        self.continued = Continued.of(self.inputs, self.real_clips, cell.diffusion, cell.device)
        self.earlier = Earlier(cell, emit, ranks, self.real_clips, teller, self.continued, read_snapshot)
        self.training = TrainPhase(
            cell, emit, ranks, teller, self.earlier.shares, self.meter.interrupted, checkpoint_every, stop
        )
        self.sampling = SamplePhase(cell, emit, self.real_clips, teller, self.continued, rollout_file)

    def all(self, resume: TrainingState | None) -> None:
        """Every phase in its order; ranks that do not lead end where they are needed no more."""
        train = self.inputs.train
        with self._phase("build"):
            network = self._build()
            self.emit(Built(Parameters(**count_parameters(network)), str(self.cell.device)))
            trainer = self._trainer_of(network)
            del network
        if train.warm_up:
            with self._phase("warm-up"):
                untouched = trainer.state() if train.compile else None
                self.training.warm_up(trainer)
                if untouched is not None:  # compiled kernels belong to this network: it goes back to where it began
                    trainer.restore(untouched)
                    del untouched
                else:
                    # Built again from the seed, so that training starts from weights that no step has touched.
                    del trainer
                    self._release()
                    trainer = self._trainer_of(self._build())
        with self._phase("train"), recording() as used:
            trained = self.training.train(trainer, resume)
            # Sampling is measured without gradients, optimiser and raw weights.
            del trainer
            self._release()
        self.emit(BackendsUsed({op: sorted(backends) for op, backends in used.items()}))
        if not self.ranks.sharded:
            self.ranks.leave()  # before sampling, which the others need not wait for
        if not (self.ranks.leads or self.ranks.sharded):
            return
        with self._phase("sample", together=self.ranks.sharded):
            sampled = self.sampling.sample(trained)  # of a sharded network on every rank, which gather it for each other
        with self._phase("evaluate", together=False):
            sampled_earlier = self.earlier.sample(trained)
            self.ranks.leave()
            if not self.ranks.leads:
                return
            del trained
            self._release()
            if self.cell.latents is not None:
                sampled = self.sampling.decode(sampled, self.cell.latents, self.reference_cache)
            judge(
                self.inputs,
                sampled.clips,
                self.real_clips,
                self.cell.device,
                self.emit,
                training=TrainingClips.of(self.inputs, self.cell.train_source),
                continued=self.continued,
                reference_cache=self.reference_cache,
            )
            self.earlier.judge(sampled_earlier, self.reference_cache)

    @contextmanager
    def _phase(self, phase: Phase, *, together: bool = True) -> Iterator[None]:
        """Tells that a phase began and, unless it failed, that it ended and with what readings: of all ranks ``together``."""
        self.emit(PhaseStarted(phase))
        with self.meter.phase(phase) as reading:
            yield
        ended = PhaseReading(**reading)
        self.emit(PhaseEnded(phase, self.ranks.together(ended) if together else ended))

    def _build(self) -> Denoiser:
        """On the device; a network that is to be sharded stays on the CPU, for the device may not hold it whole."""
        return self.cell.build_network(torch.device("cpu") if self.ranks.sharded else None)

    def _trainer_of(self, network: nn.Module) -> Trainer:
        drop = self.inputs.condition.drop if self.inputs.condition else 0.0
        return Trainer(
            network, self.cell.diffusion, self.inputs.train, self.inputs.seed, self.cell.device, self.ranks, drop=drop
        )

    def _release(self) -> None:
        gc.collect()
        if self.cell.device.type == "cuda":
            torch.cuda.empty_cache()


def _in_memory(emit: Emit) -> tuple[Emit, ReadSnapshot]:
    """The same listener, and snapshots that it hears of kept as they are."""
    kept: dict[int, Snapshot] = {}

    def hear(event: EngineEvent) -> None:
        if isinstance(event, SnapshotDue):
            kept[event.snapshot.step] = event.snapshot
        emit(event)

    return hear, kept.__getitem__
