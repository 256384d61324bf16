"""Peak memory of a contender, in a fresh process of its own.

The process builds the inputs, runs one whole step to load kernels and fill pools, gives freed memory back, and then measures a
second step: how far its peak rises above what was resident before, output and gradients included. On a CPU that is resident
memory (``measure/process_memory.py``, which names its source); on CUDA it is the allocator's peak. A process takes one
contender through ascending frames; whatever happens to it is an answer: out of memory, killed, too slow.
"""

from __future__ import annotations

import ctypes
import gc
import multiprocessing
import resource
import signal
import sys
import time
from contextlib import suppress
from dataclasses import dataclass
from multiprocessing.connection import Connection
from types import TracebackType
from typing import Self

import psutil
import torch

from vdmbench.bench.contest import Contender, Contest, backward, forward, make_inputs, step
from vdmbench.bench.tryout import one_line
from vdmbench.bench.workload import Workload
from vdmbench.measure import AllocatorPeaks, RssPeak, is_out_of_memory, synchronise
from vdmbench.measure.environment import container_memory_limit
from vdmbench.measure.process_memory import trim_heap

START_SECONDS = 120.0
"""Imports and the first compilation of kernels, on a slow machine."""
_PR_SET_THP_DISABLE, _M_MMAP_THRESHOLD, _M_MMAP_MAX = 41, -3, -4
SHARE = 0.9
"""Of the memory available, what a process may take before its allocation fails."""


@dataclass(frozen=True)
class Weight:
    """``status`` is ``ok``, ``oom``, ``skipped`` (too slow) or ``error``; the numbers are None in all but the first."""

    status: str
    reason: str | None = None
    extra_bytes: int | None = None
    """Peak above what was there before the step."""
    held_bytes: int | None = None
    """Likewise, between its forward and backward pass; None where there is no backward pass."""
    source: str | None = None
    """``VmHWM``, ``ru_maxrss``, ``polling ...`` or ``CUDA allocator``."""
    seconds: float | None = None
    """Of the step that was weighed, a first impression."""


def available_bytes(device: str) -> int:
    """What a new process may take of the device's memory now."""
    if device == "cuda":
        return int(torch.cuda.mem_get_info()[0])
    free, limit = psutil.virtual_memory().available, container_memory_limit()
    return free if limit is None else min(free, limit - psutil.Process().memory_info().rss)


class Scale:
    """A process that weighs one contender; a context manager, at whose end the process is gone."""

    def __init__(self, contest: Contest, contender: Contender, *, threads: int) -> None:
        context = multiprocessing.get_context("spawn")  # a fork would share what is measured
        self._pipe, theirs = context.Pipe()
        self._process = context.Process(target=_serve, args=(theirs, contest, contender, threads), daemon=True)
        self._process.start()
        theirs.close()
        self._patience = START_SECONDS

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._process.kill()
        self._process.join()
        self._pipe.close()

    def weigh(self, workload: Workload, *, seconds: float) -> Weight:
        """The weight at one size; ``skipped`` where its two steps take more than ``seconds``. After anything but ``ok`` the
        process is of no use any more."""
        try:
            self._pipe.send(workload)
            if not self._pipe.poll(seconds + self._patience):
                return Weight("skipped", f"two steps take over {seconds:.0f} s")
            self._patience = 0.0
            weight = self._pipe.recv()
            assert isinstance(weight, Weight)
            return weight
        except (EOFError, ConnectionError):
            self._process.join()
            return _death(self._process.exitcode)


def _death(code: int | None) -> Weight:
    if code is not None and code < 0:
        name = signal.Signals(-code).name
        # The kernel's out-of-memory killer is the one that sends KILL to a process that nobody else knows.
        return Weight("oom" if name == "SIGKILL" else "error", f"its process was ended by {name}")
    return Weight("error", f"its process ended with exit code {code}")


def _serve(pipe: Connection, contest: Contest, contender: Contender, threads: int) -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent ends this process
    torch.set_num_threads(threads)
    _weigh_tensors_alone()
    with suppress(EOFError, BrokenPipeError):  # the parent is gone
        while True:
            pipe.send(_answer(contest, contender, pipe.recv()))


def _weigh_tensors_alone() -> None:
    """On Linux, so that resident memory is that of live tensors: pages of 4 KiB and not 2 MiB, and (glibc) every block from 128
    KiB on given back when it is freed, where the allocator would keep those up to 32 MiB for reuse, in pieces."""
    if sys.platform == "linux":
        library = ctypes.CDLL(None)
        library.prctl(_PR_SET_THP_DISABLE, 1, 0, 0, 0)
        if hasattr(library, "mallopt"):
            library.mallopt(_M_MMAP_THRESHOLD, 128 * 1024)
            library.mallopt(_M_MMAP_MAX, 2**30)


def _answer(contest: Contest, contender: Contender, workload: Workload) -> Weight:
    try:
        with _limited(workload.device):
            return _weigh(contest, contender, workload)
    except Exception as error:  # a peer may raise anything, and all of it is an answer
        return Weight("oom" if is_out_of_memory(error) else "error", one_line(error))


class _limited:
    """On a CPU, an allocation beyond what is available fails instead of calling the system's killer (Linux)."""

    def __init__(self, device: str) -> None:
        self._applies = device == "cpu" and sys.platform == "linux"

    def __enter__(self) -> None:
        if self._applies:
            self._before = resource.getrlimit(resource.RLIMIT_AS)
            room = psutil.Process().memory_info().vms + int(SHARE * available_bytes("cpu"))
            resource.setrlimit(resource.RLIMIT_AS, (room, self._before[1]))

    def __exit__(self, *exception: object) -> None:
        if self._applies:
            resource.setrlimit(resource.RLIMIT_AS, self._before)


def _weigh(contest: Contest, contender: Contender, workload: Workload) -> Weight:
    inputs, task = make_inputs(contest, workload), contender.prepare(workload)
    gradient = torch.randn_like(forward(task, inputs, workload))
    step(task, inputs, workload, gradient)
    gc.collect()
    trim_heap()
    on_cuda = workload.device == "cuda"
    allocator, rss = AllocatorPeaks(workload.device), RssPeak(interval=0.001)
    allocator.reset()
    before = _in_use(workload.device)
    rss.start()
    begin = time.perf_counter()
    y = forward(task, inputs, workload)
    held = max(0, _in_use(workload.device) - before) if workload.training else None
    if workload.training:
        backward(task, inputs, y, gradient)
    synchronise(workload.device)
    seconds = time.perf_counter() - begin
    reading = rss.stop()
    peak, source = reading.peak_bytes, reading.source
    if on_cuda:
        peak, source = allocator.read().allocated_peak_bytes, "CUDA allocator"
    if peak is None:
        return Weight("error", f"its memory could not be read: {source}")
    return Weight("ok", None, max(0, peak - before), held, source, seconds)


def _in_use(device: str) -> int:
    return int(torch.cuda.memory_allocated()) if device == "cuda" else int(psutil.Process().memory_info().rss)
