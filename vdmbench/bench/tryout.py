"""Before a contender is timed it runs once, small, and is held to the contest's reference."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from vdmbench.bench.contest import Contender, Contest, Inputs, Task, forward, leaves, make_inputs
from vdmbench.bench.workload import Workload
from vdmbench.ops.backends import BackendUnavailable, recording

FRAMES, SITES = 37, 3
TOLERANCE = {"float64": 1e-8, "float32": 1e-3, "float16": 2e-2, "bfloat16": 1e-1}
"""Of the relative norm of the difference: room for rounding, none for computing something else."""


@dataclass(frozen=True)
class TryOut:
    """What a small run told: ``status`` is ``ok``, ``unavailable`` or ``error``, the latter two with a reason."""

    status: str
    reason: str | None = None
    used: str | None = None
    """Backends that ran, as the ops recorded them: ``op=backend``, by commas; ``torch`` where there was no choice."""
    relative_error: float | None = None
    """The worst relative norm, over output and gradients, of the difference from the reference; None without a reference."""


def try_out(contest: Contest, contender: Contender, workload: Workload) -> TryOut:
    """Run the contender at a small size of the workload's kind, and compare."""
    reason = contender.why_not(workload.device)
    if reason is not None:
        return TryOut("unavailable", reason)
    small = workload.resized(frames=min(FRAMES, workload.frames), sites=min(SITES, workload.sites))
    try:
        inputs = make_inputs(contest, small)
        with recording() as chosen:
            got = _output_and_gradients(contender.prepare(small), inputs, small)
    except BackendUnavailable as unavailable:
        return TryOut("unavailable", str(unavailable))
    except Exception as error:  # a peer may raise anything, and all of it is an answer
        return TryOut("error", one_line(error))
    used = ", ".join(f"{op}={name}" for op, names in sorted(chosen.items()) for name in sorted(names))
    used = used or ("torch" if contender.backend == "auto" else contender.backend)
    if contest.reference is None:
        return TryOut("ok", used=used)
    wide = [_wide(part) for part in inputs]
    want = _output_and_gradients(Task(contest.reference), tuple(wide), small)
    stray, allowed = max(_relative(one, other) for one, other in zip(got, want, strict=True)), TOLERANCE[small.dtype]
    if not stray <= allowed:  # a NaN is no agreement
        return TryOut("error", f"strays from the float64 reference by {stray:.1e}, allowed {allowed:.0e}", used, stray)
    return TryOut("ok", used=used, relative_error=stray)


def one_line(error: BaseException) -> str:
    """An error's name and message without line breaks, at most 300 characters."""
    return " ".join(f"{type(error).__name__}: {error}".split())[:300]


def _output_and_gradients(task: Task, inputs: Inputs, workload: Workload) -> list[Tensor]:
    """The output, then in training the gradients of the inputs, from a fixed direction."""
    y = forward(task, inputs, workload)
    if not workload.training:
        return [y]
    towards = torch.randn(y.shape, generator=torch.Generator().manual_seed(1), dtype=torch.float64).to(y.device, y.dtype)
    gradients = torch.autograd.grad(y, leaves(inputs, task), towards)
    return [y.detach(), *gradients[: len(leaves(inputs, Task(task.call)))]]


def _wide(part: Tensor) -> Tensor:
    return part.detach().to(torch.complex128 if part.is_complex() else torch.float64).requires_grad_(part.requires_grad)


def _relative(one: Tensor, other: Tensor) -> float:
    one = one.to(other.dtype)
    return float((one - other).norm() / other.norm().clamp(min=1e-12))
