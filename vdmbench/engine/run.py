"""One cell from start to end: build, warm-up, train, sample, evaluate, each measured on its own.

What happens is told through ``emit``. A callback rather than a generator, because progress is told from inside the samplers.
The engine reads no file but the data's, starts no process, and knows nothing of suites beyond one cell's declared inputs.
"""

from __future__ import annotations

import gc
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, replace
from pathlib import Path

import torch
from torch import nn

from vdmbench.data.loading import TrainingBatches
from vdmbench.data.told import ClipFacts
from vdmbench.engine.acceleration import compiled, graph_breaks, prepared_for_sampling
from vdmbench.engine.conditioning import Teller, of_each_batch
from vdmbench.engine.distributed import Ranks
from vdmbench.engine.events import (
    BackendsUsed,
    Built,
    CheckpointDue,
    Encoded,
    EngineEvent,
    PhaseEnded,
    PhaseStarted,
    Progress,
    RolledOut,
    Sampled,
    Stopped,
    Trained,
    TrainingState,
)
from vdmbench.engine.experiment import Experiment
from vdmbench.engine.judging import judge
from vdmbench.engine.latents import Batches, LatentBatches, LatentSpace, decoded
from vdmbench.engine.prediction import Continued
from vdmbench.engine.real_clips import choose_real_clips
from vdmbench.engine.reconstruction import reconstruction
from vdmbench.engine.rollout import roll_out
from vdmbench.engine.sampling import PerBatch, sample_clips
from vdmbench.engine.training import Trainer, autocast, thin
from vdmbench.measure import PhaseMeter, StepTimer
from vdmbench.networks import count_parameters
from vdmbench.networks.conditional import Told
from vdmbench.networks.denoiser import Denoiser
from vdmbench.ops.backends import recording
from vdmbench.records import Parameters, Phase, PhaseReading, Sampling, Spread, Training

SHOWN_REAL = 8

Emit = Callable[[EngineEvent], None]


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
) -> None:
    """Run ``cell``, telling ``emit`` everything.

    :param resume: the state that an earlier attempt left; training goes on from it.
    :param reference_cache: folder in which features of real clips are kept between cells.
    :param stop: asked after every training step; where it says so, training leaves a checkpoint and ends.
    :param ranks: this process among those that train the cell together; ``emit`` hears each of them, and clips are sampled and
        judged by the one that leads.
    :param rollout_file: where the frames of a rollout are written as they are made; None keeps them in memory.
    :raises NonFiniteLoss: training diverged.
    :raises Stopped: as ``stop`` asked.
    :raises torch.OutOfMemoryError: as it is; :func:`is_out_of_memory` knows the CPU's form of it too.
    """
    _Run(cell, emit, checkpoint_every, reference_cache, stop, ranks or Ranks(), rollout_file).all(resume)


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
    ) -> None:
        self.cell, self.emit, self.stop, self.ranks = cell, emit, stop, ranks
        self.checkpoint_every, self.reference_cache = checkpoint_every, reference_cache
        self.rollout_file = rollout_file
        self.inputs, self.train, self.sample = cell.inputs, cell.inputs.train, cell.inputs.sample
        self.meter = PhaseMeter(str(cell.device))
        self.compile_seconds: float | None = None
        self.batches: Batches
        if cell.latents is not None:
            self.batches = LatentBatches(cell.latents, self.inputs.data.frames, self.train.batch_size, self.inputs.seed)
        else:
            self.batches = TrainingBatches(
                cell.train_source,
                frames=self.inputs.data.frames,
                batch_size=self.train.batch_size // ranks.count,
                seed=self.inputs.seed,
                rank=ranks.index,
            )
        self.real_clips = choose_real_clips(
            cell.test_source, self.inputs.sampled_frames, real=self.inputs.evaluate.real_clips, held_out=self.sample.clips
        )
        condition = self.inputs.condition
        self.teller = None if condition is None else Teller(condition, cell.train_source)
        self.continued = Continued.of(self.inputs, self.real_clips, cell.diffusion, cell.device)

    def all(self, resume: TrainingState | None) -> None:
        with self._phase("build"):
            network = self._build()
            self.emit(Built(Parameters(**count_parameters(network)), str(self.cell.device)))
            trainer = self._trainer_of(network)
            del network
        if self.train.warm_up:
            with self._phase("warm-up"):
                untouched = trainer.state() if self.train.compile else None
                self._warm_up(trainer)
                if untouched is not None:  # compiled kernels belong to this network: it goes back to where it began
                    trainer.restore(untouched)
                    del untouched
                else:
                    # Built again from the seed, so that training starts from weights that no step has touched.
                    del trainer
                    self._release()
                    trainer = self._trainer_of(self._build())
        with self._phase("train"), recording() as used:
            trained = self._train(trainer, resume)
            # Sampling is measured without gradients, optimiser and raw weights.
            del trainer
            self._release()
        self.emit(BackendsUsed({op: sorted(backends) for op, backends in used.items()}))
        if not self.ranks.sharded:
            self.ranks.leave()  # before sampling, which the others need not wait for
        if not (self.ranks.leads or self.ranks.sharded):
            return
        with self._phase("sample", together=self.ranks.sharded):
            sampled = self._sample(trained)  # of a sharded network on every rank, which gather it for each other
        self.ranks.leave()
        if not self.ranks.leads:
            return
        with self._phase("evaluate", together=False):
            del trained
            self._release()
            if self.cell.latents is not None:
                sampled = self._decoded(sampled, self.cell.latents)
            judge(
                self.inputs,
                sampled.clips,
                self.real_clips,
                self.cell.device,
                self.emit,
                continued=self.continued,
                reference_cache=self.reference_cache,
            )

    @contextmanager
    def _phase(self, phase: Phase, *, together: bool = True) -> Iterator[None]:
        """Tells that a phase began and, unless it failed, that it ended and with what readings: of all ranks ``together``."""
        self.emit(PhaseStarted(phase))
        with self.meter.phase(phase) as reading:
            yield
        ended = PhaseReading(**reading)
        self.emit(PhaseEnded(phase, self.ranks.together(ended) if together else ended))

    def _decoded(self, sampled: Sampled, space: LatentSpace) -> Sampled:
        """The clips of sampled latents, told; and what the autoencoder makes of held-out real ones, told beside them."""
        device, began = self.cell.device, time.perf_counter()
        autoencoder = space.autoencoder(device)
        clips = decoded(autoencoder, sampled.clips, device)
        seconds = time.perf_counter() - began
        self.emit(sampled := replace(sampled, clips=clips))
        reconstructed = reconstruction(autoencoder, self.inputs, self.real_clips, device, self.reference_cache)
        self.emit(Encoded(space.encoding.model_copy(update={"decode_seconds": seconds, **reconstructed})))
        return sampled

    def _trainer_of(self, network: nn.Module) -> Trainer:
        drop = self.inputs.condition.drop if self.inputs.condition else 0.0
        return Trainer(network, self.cell.diffusion, self.train, self.inputs.seed, self.cell.device, self.ranks, drop=drop)

    def _build(self) -> Denoiser:
        """On the device; a network that is to be sharded on the CPU, for the device may not hold it whole."""
        return self.cell.build_network(torch.device("cpu") if self.ranks.sharded else None)

    def _release(self) -> None:
        gc.collect()
        if self.cell.device.type == "cuda":
            torch.cuda.empty_cache()

    def _step_batches(self, first: int, steps: int) -> Iterator[list[torch.Tensor]]:
        """The batches of each step. Beside a GPU they are made ahead of use; a CPU has no core that is not measured."""
        parts = self.train.accumulate
        start, stop = first * parts, steps * parts
        if self.cell.device.type == "cuda":
            batches = self.batches.prefetch(start, stop, ahead=2 * parts, workers=2)
        else:
            batches = map(self.batches.batch, range(start, stop))
        for _ in range(first, steps):
            yield [next(batches) for _ in range(parts)]

    def _told(self, step: int) -> list[Told] | None:
        """Of each batch of ``step``; None where the network has no condition."""
        if self.teller is None:
            return None
        parts = range(step * self.train.accumulate, (step + 1) * self.train.accumulate)
        windows, source = self.batches.windows, self.cell.train_source
        return [self.teller.told(source, self.batches.chosen(part), windows.frames) for part in parts]

    def _warm_up(self, trainer: Trainer) -> None:
        began = time.perf_counter()
        for step, clips in enumerate(self._step_batches(0, self.train.warm_up)):
            trainer.step(clips, self._told(step))
            if self.compile_seconds is None and self.train.compile:
                self.compile_seconds = time.perf_counter() - began
            self.emit(Progress("warm-up", step + 1, self.train.warm_up))

    def _train(self, trainer: Trainer, resume: TrainingState | None) -> nn.Module:
        if resume is not None:
            trainer.restore(resume)
        first, steps = trainer.done, self.train.steps
        timer = StepTimer(device=str(self.cell.device))
        for step, clips in enumerate(self._step_batches(first, steps), start=first):
            told = self._told(step)
            with timer.step():
                loss = trainer.step(clips, told)
            self.emit(Progress("train", step + 1, steps, loss))
            stopping = self.ranks.any(self.stop())
            due = stopping or (step + 1) % self.checkpoint_every == 0 or step + 1 == steps
            if due and (state := trainer.state()) is not None:
                self.emit(CheckpointDue(state))
                del state
            if stopping:
                raise Stopped(step + 1)
        ends, means = thin(trainer.losses)
        tail = trainer.losses[-max(1, steps // 10) :]
        spread = timer.spread()
        frames = self.train.batch_size * self.train.accumulate * self.inputs.data.frames
        self.emit(
            Trained(
                Training(
                    steps=steps,
                    first_step=first,
                    step_seconds=Spread(**asdict(spread)) if spread else None,
                    frames_per_second=timer.per_second(frames),
                    final_loss=sum(tail) / len(tail),
                    loss_steps=ends,
                    loss=means,
                    compile_seconds=self.compile_seconds,
                    graph_breaks=graph_breaks() if self.train.compile else None,
                )
            )
        )
        return trainer.sampled_network

    def _denoiser(self, network: nn.Module) -> PerBatch | None:
        """The network told of each clip what the held-out test clip of the same number shows; None without a condition."""
        teller, real = self.teller, self.real_clips
        if teller is None:
            return None

        def told(clips: range) -> Told:
            return teller.told(real.source, real.held_out[clips.start : clips.stop], real.frames)

        return of_each_batch(network, told, self.sample.guidance, self.cell.device)

    def _compiled(self, network: nn.Module, shape: tuple[int, ...]) -> tuple[nn.Module, float]:
        """``network`` compiled, and run for each size of batch that is to come; the seconds that took."""
        began = time.perf_counter()
        called, diffusion = compiled(network.eval()), self.cell.diffusion
        denoiser = self._denoiser(called)
        clips, most = self.sample.clips, self.sample.batch_size
        for count in dict.fromkeys([min(most, clips), clips % most or most]):
            noise = torch.zeros(count, *shape, device=self.cell.device)
            with torch.inference_mode(), autocast(self.sample.precision, self.cell.device):
                one = called if denoiser is None else denoiser(range(count))
                diffusion.denoise(one, noise, diffusion.visited(self.sample.steps)[0])
        return called, time.perf_counter() - began

    def _facts(self) -> ClipFacts | None:
        real = self.real_clips
        return None if self.teller is None else self.teller.facts(real.source, real.held_out, real.frames)

    def _sample(self, network: nn.Module) -> Sampled:
        frames, size = self.inputs.sampled_frames, self.inputs.denoised_size
        shape = (frames, self.inputs.denoised_channels, size, size)
        timer = StepTimer(device=str(self.cell.device))
        known = self.continued.beginnings if self.continued else None
        asked = (
            self.cell.diffusion,
            self.sample,
            shape,
            self.inputs.seed,
            self.cell.device,
            lambda done, total: self.emit(Progress("sample", done, total)),
        )
        rolled, compile_seconds = None, None
        network = prepared_for_sampling(network, self.train, self.sample)
        if self.sample.compile:
            network, compile_seconds = self._compiled(network, shape)
        with timer.step():
            if self.sample.rollout is None:
                clips = sample_clips(
                    network, *asked, known=known, denoiser=self._denoiser(network), latents=self.cell.latents is not None
                )
            else:
                assert isinstance(network, Denoiser), "a sharded network rolls nothing out"
                clips, rolled = roll_out(network, *asked, known=known, path=self.rollout_file)
        seconds = timer.total
        if rolled is not None:
            self.emit(RolledOut(rolled))
        # Beside continuations stands what they should have become.
        beside = self.real_clips.held_out if self.continued else self.real_clips.real
        shown = next(self.real_clips.batches(beside))[:SHOWN_REAL]
        sampled = Sampled(
            Sampling(
                clips=len(clips),
                seconds_per_clip=seconds / len(clips),
                frames_per_second=len(clips) * (frames - (self.sample.known_frames or 0)) / seconds,
                sampler=self.sample.sampler,
                steps=len(self.cell.diffusion.visited(self.sample.steps)),
                compile_seconds=compile_seconds,
            ),
            clips,
            shown,
            stored=rolled is not None and self.rollout_file is not None,
            facts=self._facts(),
        )
        if self.cell.latents is None:
            self.emit(sampled)
        return sampled
