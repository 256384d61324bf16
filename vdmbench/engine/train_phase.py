"""The training phase of a cell: its batches, what the network is told of them, warm-up steps, and steps that count."""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Iterator
from contextlib import AbstractContextManager
from dataclasses import asdict

import torch
from torch import nn

from vdmbench.data.loading import TrainingBatches
from vdmbench.engine.acceleration import graph_breaks
from vdmbench.engine.conditioning import Teller
from vdmbench.engine.distributed import Ranks
from vdmbench.engine.events import CheckpointDue, Emit, HeldOut, Progress, SnapshotDue, Stopped, Trained, TrainingState
from vdmbench.engine.experiment import Experiment
from vdmbench.engine.held_out_loss import HeldOutExamples, points_of
from vdmbench.engine.latents import Batches, LatentBatches
from vdmbench.engine.training import Trainer, thin
from vdmbench.measure import StepTimer
from vdmbench.networks.conditional import Told
from vdmbench.records import HeldOutLoss, Spread, Training


class TrainPhase:
    """Steps of a :class:`Trainer` on the declared data.

    Args:
        ranks: this process among those that take every step together.
        teller: what the network is told of each batch; None where it has no condition.
        apart: a context whose body is no part of what the phase measures.
        checkpoint_every: steps between states that are told.
        judged_steps: steps before the last after which the weights are told that would be sampled.
        stop: asked after every step that counts.
    """

    def __init__(
        self,
        cell: Experiment,
        emit: Emit,
        ranks: Ranks,
        teller: Teller | None,
        judged_steps: Collection[int],
        apart: Callable[[], AbstractContextManager[None]],
        checkpoint_every: int,
        stop: Callable[[], bool],
    ) -> None:
        self.cell, self.emit, self.ranks, self.teller, self.apart = cell, emit, ranks, teller, apart
        self.checkpoint_every, self.stop = checkpoint_every, stop
        self.settings = cell.inputs.train
        self.compile_seconds: float | None = None
        declared = cell.inputs.evaluate.val_loss
        self.held_out = None if declared is None else HeldOutExamples(cell, ranks, teller)
        self.snapshot_after = judged_steps
        own = [] if declared is None else points_of(self.settings.steps, declared.points)
        self.held_out_after = {*own, *self.snapshot_after} if declared is not None else set()
        frames, batch_size, seed = cell.inputs.data.frames, self.settings.batch_size, cell.inputs.seed
        self.batches: Batches
        if cell.latents is not None:
            self.batches = LatentBatches(cell.latents, frames, batch_size, seed)
        else:
            self.batches = TrainingBatches(
                cell.train_source, frames=frames, batch_size=batch_size // ranks.count, seed=seed, rank=ranks.index
            )

    def warm_up(self, trainer: Trainer) -> None:
        """Steps that do not count, on the first batches; the first one's time, where kernels are compiled, is kept."""
        began = time.perf_counter()
        for step, clips in enumerate(self._step_batches(0, self.settings.warm_up)):
            trainer.step(clips, self._told(step))
            if self.compile_seconds is None and self.settings.compile:
                self.compile_seconds = time.perf_counter() - began
            self.emit(Progress("warm-up", step + 1, self.settings.warm_up))

    def train(self, trainer: Trainer, resume: TrainingState | None) -> nn.Module:
        """Every declared step from ``resume`` on; returns the network to sample. Raises NonFiniteLoss, and Stopped as asked."""
        if resume is not None:
            trainer.restore(resume)
        first, steps = trainer.done, self.settings.steps
        timer = StepTimer(device=str(self.cell.device))
        for step, clips in enumerate(self._step_batches(first, steps), start=first):
            told = self._told(step)
            with timer.step():
                loss = trainer.step(clips, told)
            trainer.seconds += timer.seconds[-1]
            self.emit(Progress("train", step + 1, steps, loss))
            if step + 1 in self.held_out_after:
                self._take_held_out_loss(trainer)
            if step + 1 in self.snapshot_after:
                self._keep_snapshot(trainer)
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
        in_a_step = self.settings.batch_size * self.settings.accumulate
        self.emit(
            Trained(
                Training(
                    steps=steps,
                    first_step=first,
                    step_seconds=Spread(**asdict(spread)) if spread else None,
                    frames_per_second=timer.per_second(in_a_step * self.cell.inputs.data.frames),
                    final_loss=sum(tail) / len(tail),
                    loss_steps=ends,
                    loss=means,
                    clips=in_a_step * steps,
                    train_seconds=trainer.seconds,
                    val_loss=self._curve(trainer),
                    compile_seconds=self.compile_seconds,
                    graph_breaks=graph_breaks() if self.settings.compile else None,
                )
            )
        )
        return trainer.sampled_network

    def _take_held_out_loss(self, trainer: Trainer) -> None:
        """Of the weights that would be sampled now; apart from what the phase measures."""
        assert self.held_out is not None, "taken where it is declared"
        with self.apart():
            taken = HeldOut(trainer.done, self.held_out.loss(trainer.sampled_network), trainer.seconds)
        trainer.held_out.append(taken)
        self.emit(taken)

    def _keep_snapshot(self, trainer: Trainer) -> None:
        """The weights that would be sampled now, to be sampled and judged later; apart from what the phase measures."""
        with self.apart():
            snapshot = trainer.snapshot()
            if snapshot is not None:
                self.emit(SnapshotDue(snapshot))

    def _curve(self, trainer: Trainer) -> HeldOutLoss | None:
        if self.held_out is None:
            return None
        return HeldOutLoss(
            clips=self.held_out.clips,
            levels=self.held_out.levels,
            steps=[taken.step for taken in trainer.held_out],
            values=[taken.value for taken in trainer.held_out],
            train_seconds=[taken.seconds for taken in trainer.held_out],
        )

    def _step_batches(self, first: int, steps: int) -> Iterator[list[torch.Tensor]]:
        """The batches of each step. Beside a GPU they are made ahead of use; a CPU has no core that is not measured."""
        parts = self.settings.accumulate
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
        parts = range(step * self.settings.accumulate, (step + 1) * self.settings.accumulate)
        windows, source = self.batches.windows, self.cell.train_source
        return [self.teller.told(source, self.batches.chosen(part), windows.frames) for part in parts]
