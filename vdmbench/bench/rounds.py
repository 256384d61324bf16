"""Time of contenders that take turns, so that a slow moment of the machine falls on all of them.

On one thread of a CPU it is the process's CPU time: on a quiet machine the same as the clock, and on one that has other work
what the clock would have said on a quiet one. With more threads, and on CUDA, it is the clock, since waiting is part of it.
"""

from __future__ import annotations

import gc
import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Literal, NamedTuple

import torch

from vdmbench.bench.contest import Contender, Contest, forward, make_inputs, step
from vdmbench.bench.roofline import Copy, Ideal, MatrixProduct, ideal
from vdmbench.bench.workload import Workload
from vdmbench.measure import synchronise

SAMPLE_SECONDS = 2e-3
"""A sample lasts at least about this long: a shorter step is repeated within it, so that the clock's grain and a single
interrupt do not show."""
MOST_REPEATS = 200


Clock = Literal["cpu", "wall"]


@dataclass(frozen=True)
class Timing:
    """Seconds of one step in each round, the machine's rates in the same rounds, and what the step must do."""

    seconds: tuple[float, ...]
    wall_seconds: tuple[float, ...]
    copy_bytes_per_second: tuple[float, ...]
    """Of a copy of as many bytes."""
    matmul_flops_per_second: tuple[float, ...]
    work: Ideal


def time_in_rounds(
    contest: Contest, contenders: Sequence[Contender], workload: Workload, *, rounds: int, clock: Clock
) -> list[Timing]:
    """One timing a contender; who begins a round changes from round to round."""
    inputs = make_inputs(contest, workload)
    steps: list[_Step] = []
    works = []
    for contender in contenders:
        task = contender.prepare(workload)
        y = forward(task, inputs, workload).detach()
        gradient = torch.randn_like(y)
        works.append(ideal(task, inputs, y, workload))
        steps.append(_Step(partial(step, task, inputs, workload, gradient), workload.device))
        del y
    copy, product = Copy(max(work.bytes for work in works), workload.device), MatrixProduct(workload)
    steps += [_Step(copy, workload.device), _Step(product, workload.device)]
    gc.collect()
    samples: list[list[Sample]] = [[] for _ in steps]
    collecting = gc.isenabled()
    gc.disable()
    try:
        for number in range(rounds):
            for turn in range(len(steps)):
                place = (number + turn) % len(steps)
                samples[place].append(steps[place]())
    finally:
        if collecting:
            gc.enable()
    *taken, copying, multiplying = samples

    def seconds(column: list[Sample]) -> tuple[float, ...]:
        return tuple(getattr(each, clock) for each in column)

    copies = tuple(copy.work / each for each in seconds(copying))
    products = tuple(product.work / each for each in seconds(multiplying))
    return [
        Timing(seconds(column), tuple(each.wall for each in column), copies, products, work)
        for column, work in zip(taken, works, strict=True)
    ]


def clock_of(workload: Workload, threads: int) -> Clock:
    """Which time is taken of such work."""
    return "cpu" if workload.device == "cpu" and threads == 1 else "wall"


class Sample(NamedTuple):
    """Seconds of one step."""

    wall: float
    cpu: float


class _Step:
    """Seconds of one step, by as many repeats as a sample needs; two steps before the first sample warm it up."""

    def __init__(self, work: Callable[[], object], device: str) -> None:
        self._work, self._device = work, device
        self._repeats = 1
        self()
        self._repeats = min(MOST_REPEATS, max(1, math.ceil(SAMPLE_SECONDS / self().wall)))

    def __call__(self) -> Sample:
        synchronise(self._device)
        begin, begin_cpu = time.perf_counter(), time.process_time()
        for _ in range(self._repeats):
            self._work()
        synchronise(self._device)
        return Sample((time.perf_counter() - begin) / self._repeats, (time.process_time() - begin_cpu) / self._repeats)
