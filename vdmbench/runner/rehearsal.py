"""The rehearsal of a cell, in a process that is not the measured one.

The worker forks before it has touched a device, computed anything or started a thread pool, and waits. The child runs the
cell's own steps (:mod:`vdmbench.matching.rehearsal`), says what it found through a pipe, and is gone with all that compiling
and profiling have left in its memory: the worker compiles nothing, and its resident set is that of the cell.
"""

from __future__ import annotations

import importlib
import os
import signal
import sys
import warnings

from vdmbench.records import Rehearsal
from vdmbench.runner.lifeline import end_with_parent
from vdmbench.runner.task import Task


def rehearsed(task: Task) -> Rehearsal:
    """Rehearse the task in a child; how the child ended, where it came to no answer."""
    _import_compiler()
    reader, writer = os.pipe()
    sys.stdout.flush()
    sys.stderr.flush()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # the one other thread waits for the supervisor and holds no lock
        try:
            child = os.fork()
        except OSError as error:  # no process more is to be had: the cell itself may still run
            os.close(reader)
            os.close(writer)
            return Rehearsal(seconds=0.0, failed=f"no process could be made for it: {error.strerror}")
    if child == 0:
        code = 1
        try:
            os.close(reader)
            end_with_parent()
            for stream in (1, 2):  # what the cell says, it says itself
                os.dup2(os.open(os.devnull, os.O_WRONLY), stream)
            with os.fdopen(writer, "w") as answer:
                answer.write(_rehearse(task).model_dump_json())
            code = 0
        finally:
            os._exit(code)
    os.close(writer)
    with os.fdopen(reader) as answer:
        said = answer.read()
    _, status = os.waitpid(child, 0)
    if os.WIFSIGNALED(status):
        return Rehearsal(seconds=0.0, failed=f"ended by {signal.Signals(os.WTERMSIG(status)).name}")
    return Rehearsal.model_validate_json(said) if said else Rehearsal(seconds=0.0, failed="it gave no answer")


def _import_compiler() -> None:
    """Import what asking for deterministic algorithms imports, before the fork: once, and not in each process anew.

    Only where PyTorch knows no CUDA: there the import might look for devices, which would bar the child from them.
    """
    import torch

    if not torch.backends.cuda.is_built():
        importlib.import_module("torch._inductor")


def _rehearse(task: Task) -> Rehearsal:
    """Without ``run.memory_limit``: what a compiler takes is none of the cell's, which is held to the limit later."""
    import torch

    from vdmbench import engine
    from vdmbench.engine.determinism import repeat_bits
    from vdmbench.matching import resolve
    from vdmbench.matching.rehearsal import rehearse

    device = engine.pick_device(task.run.device)
    if task.run.threads is not None:
        torch.set_num_threads(task.run.threads)
    repeat_bits()
    return rehearse(resolve(task.inputs, task.solved.knobs).workload, device)
