"""How long cells will take, told from the plan and corrected by what was measured; and so which goes first.

Training costs three forward passes a clip and step (one forward, and about two for the backward pass), sampling one a clip and
level, and in a rollout one more that lets each chunk in. A cell is expected to take

    fixed + work x (seconds per FLOP of its variant)

where *fixed* is the mean time that measured cells spent outside training and sampling (start, build, warm-up, evaluation), and
the rate is of the variant's own measured cells, or of all where it has none. Until the first cell has ended, one that trains
stands in: the time before its first step is *fixed*, and its steps give the rate. Before that there are no seconds, only
work. A cell whose network another one trains (:mod:`vdmbench.runner.trained_alike`) only samples, and so goes behind it.
"""

from __future__ import annotations

import heapq
from collections import defaultdict
from collections.abc import Iterable, Sequence
from datetime import datetime

from vdmbench.records import Progress, Record
from vdmbench.runner.planning import Planned
from vdmbench.suite import Cell
from vdmbench.suite.diffusion import evaluations

_FORWARDS_A_STEP = 3


def work(planned: Planned, first_step: int = 0) -> int:
    """FLOPs of training, from a resumed step on, and of sampling; 0 for a cell that is not to be run."""
    if planned.solved is None:
        return 0
    inputs = planned.cell.inputs
    passes = evaluations(inputs.diffusion, inputs.sample) + (inputs.sample.rollout is not None)
    # Longer clips in proportion: counted passes are of the trained length, and a rollout makes frames one after the other.
    frames = inputs.sampled_frames / inputs.data.frames if inputs.sample.frames else 1
    return _training(planned, first_step) + round(planned.solved.flops_forward * inputs.sample.clips * passes * frames)


def _training(planned: Planned, first_step: int = 0) -> int:
    if planned.solved is None:
        return 0
    inputs, solved = planned.cell.inputs, planned.solved
    moved = solved.knobs.get("batch_size") if inputs.match and inputs.match.phase != "sample" else None
    clips = int(moved or inputs.train.batch_size) * inputs.train.accumulate
    return _FORWARDS_A_STEP * solved.flops_forward * clips * (inputs.train.steps - first_step)


def trains_as(cell: Cell) -> tuple[str, int, str]:
    """Equal for cells of one suite that train alike; cheaper than their key, for it is asked of all that wait."""
    point = sorted((path, repr(value)) for path, value in cell.point.items() if not path.startswith(("sample.", "evaluate.")))
    return cell.variant, cell.seed, repr(point)


class Estimates:
    """Expected seconds of cells; every finished one that is learnt from corrects the next."""

    def __init__(self) -> None:
        self._fixed: list[float] = []
        self._measured: dict[str, tuple[float, int]] = defaultdict(lambda: (0.0, 0))
        """Seconds and FLOPs of training and sampling, by variant."""
        self._trained: set[tuple[str, int, str]] = set()
        """What cells that have begun train."""
        self._samples_only: set[str] = set()
        """Cells that began behind one that trains alike."""
        self._provisional: tuple[float, float] | None = None
        """Fixed seconds, and seconds per FLOP, of a cell that has not ended."""

    def begin(self, planned: Planned) -> None:
        """A cell begins: others that train alike will find its network."""
        key = trains_as(planned.cell)
        if key in self._trained:
            self._samples_only.add(planned.cell.identity)
        self._trained.add(key)

    def learn(self, planned: Planned, record: Record) -> None:
        """From a cell that ended ok; others say nothing of how long one takes."""
        taken = seconds_taken(record)
        if record.status != "ok" or taken is None:
            return
        trained_here = record.training is None or record.training.measured_in is None
        spent = ("train", "sample") if trained_here else ("sample",)
        busy = sum(record.phases[phase].seconds for phase in spent if phase in record.phases)
        self._fixed.append(max(0.0, taken - busy))
        seconds, flops = self._measured[planned.cell.variant]
        done = work(planned, record.training.first_step if record.training else 0)
        self._measured[planned.cell.variant] = seconds + busy, flops + done

    def learn_early(self, planned: Planned, before_training: float, progress: Progress) -> None:
        """From a cell that trains; it counts until one has ended."""
        step = progress.seconds_per_step
        if not self._fixed and progress.phase == "train" and step is not None and progress.steps:
            self._provisional = before_training, step / max(1, _training(planned) / planned.cell.inputs.train.steps)

    @property
    def known(self) -> bool:
        """Whether there are seconds to be told."""
        return bool(self._fixed) or self._provisional is not None

    def seconds(self, planned: Planned, first_step: int = 0) -> float | None:
        """From a step of training on. None before anything was learnt; 0 for a cell that needs no worker."""
        if planned.solved is None:
            return 0.0
        if not self._fixed:
            if self._provisional is None:
                return None
            fixed, rate = self._provisional
            return fixed + rate * work(planned, first_step)
        own = self._measured.get(planned.cell.variant)
        seconds, flops = own if own is not None and own[1] else self._all()
        rate = seconds / flops if flops else 0.0
        return sum(self._fixed) / len(self._fixed) + rate * work(planned, first_step)

    def _expected(self, cells: Iterable[Planned]) -> list[tuple[float, Planned]]:
        """Seconds of each, or work before there are any, where the first of those that train alike trains."""
        trained, expected = set(self._trained), []
        for planned in cells:
            key = trains_as(planned.cell)
            first_step = planned.cell.inputs.train.steps if key in trained else 0
            trained.add(key)
            cost = (self.seconds(planned, first_step) or 0.0) if self.known else float(work(planned, first_step))
            expected.append((cost, planned))
        return expected

    def _all(self) -> tuple[float, int]:
        return sum(seconds for seconds, _ in self._measured.values()), sum(flops for _, flops in self._measured.values())

    def longest_first(self, waiting: Iterable[Planned]) -> list[Planned]:
        """By expected seconds, or by work before there are any; equal ones stay in their order."""
        return [planned for _, planned in sorted(self._expected(waiting), key=lambda each: -each[0])]

    def _found_done(self, planned: Planned) -> int:
        """Steps of a cell that runs which it found done."""
        return planned.cell.inputs.train.steps if planned.cell.identity in self._samples_only else 0

    def time_left(self, waiting: Sequence[Planned], running: Iterable[tuple[Planned, float]], slots: int) -> float | None:
        """Seconds until all have ended: cells in that order, each in the first of ``slots`` places that is free.

        :param running: cells and the seconds that each has had.
        """
        if not self.known:
            return None
        free = [max(0.0, (self.seconds(planned, self._found_done(planned)) or 0.0) - had) for planned, had in running]
        free += [0.0] * (slots - len(free))
        heapq.heapify(free)
        for seconds, _ in self._expected(waiting):
            heapq.heapreplace(free, free[0] + seconds)
        return max(free)


def seconds_taken(record: Record) -> float | None:
    """Wall-clock time of an attempt; None where it has not ended, or the clock was set back meanwhile."""
    if record.attempt.ended is None:
        return None
    ended, started = map(datetime.fromisoformat, (record.attempt.ended, record.attempt.started))
    seconds = (ended - started).total_seconds()
    return seconds if seconds > 0 else None
