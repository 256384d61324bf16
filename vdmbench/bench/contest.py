"""Who is measured: contenders that take turns on the same inputs."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import torch
from torch import Tensor

from vdmbench.bench.workload import Workload

Inputs = tuple[Tensor, ...]


def always_available(device: str) -> str | None:
    """What a contender answers that needs nothing."""
    return None


@dataclass(frozen=True)
class Task:
    """A contender at one workload: what it computes from the contest's inputs, its own parameters, its ideal forward FLOPs."""

    call: Callable[..., Tensor]
    parameters: tuple[Tensor, ...] = ()
    flops: int | None = None


@dataclass(frozen=True)
class Contender:
    """One line of a figure: a mixer or an op, as one backend or one peer computes it.

    It is sent to a process of its own, so what it holds are functions of modules, or partials of them. A peer is a contender
    that a script enters: see :func:`peer`.
    """

    subject: str
    """The mixer or op, options included."""
    backend: str
    """Asked for by that name; what ran is recorded beside it."""
    prepare: Callable[[Workload], Task]
    why_not: Callable[[str], str | None] = always_available
    """None where it can run on that device type, else the reason with the install line."""

    @property
    def label(self) -> str:
        return f"{self.subject} {self.backend}"


@dataclass(frozen=True)
class Contest:
    """Contenders that take turns, since they compute the same or could stand in one another's place.

    ``inputs`` makes the tensors that all of them get, seeded. Where ``reference`` is given, a call on the same inputs in
    float64, whoever strays from it is an error and not a row of numbers.
    """

    name: str
    kind: str
    """``op`` or ``mixer``."""
    inputs: Callable[[Workload], Inputs]
    contenders: tuple[Contender, ...]
    reference: Callable[..., Tensor] | None = field(default=None)

    def with_peers(self, *peers: Contender) -> Contest:
        """The same contest with more contenders."""
        return Contest(self.name, self.kind, self.inputs, (*self.contenders, *peers), self.reference)


@dataclass(frozen=True)
class _PeerTask:
    call: Callable[..., Tensor]
    flops: Callable[[Workload], int] | None

    def __call__(self, workload: Workload) -> Task:
        return Task(self.call, flops=None if self.flops is None else self.flops(workload))


def peer(
    subject: str,
    name: str,
    call: Callable[..., Tensor],
    *,
    flops: Callable[[Workload], int] | None = None,
    why_not: Callable[[str], str | None] = always_available,
) -> Contender:
    """A contender from a script: ``call`` is a function of its module that takes the contest's inputs as they come."""
    return Contender(subject, name, _PeerTask(call, flops), why_not)


def make_inputs(contest: Contest, workload: Workload) -> Inputs:
    """The contest's inputs, the same at every call; leaves of the graph where the workload trains."""
    torch.manual_seed(0)
    inputs = contest.inputs(workload)
    if workload.training:
        for part in inputs:
            if part.is_floating_point() or part.is_complex():
                part.requires_grad_()
    return inputs


def leaves(inputs: Inputs, task: Task) -> list[Tensor]:
    """What gets a gradient."""
    return [part for part in (*inputs, *task.parameters) if part.requires_grad]


def forward(task: Task, inputs: Inputs, workload: Workload) -> Tensor:
    """The forward pass, with a graph where the workload trains."""
    with torch.set_grad_enabled(workload.training):
        return task.call(*inputs)


def step(task: Task, inputs: Inputs, workload: Workload, gradient: Tensor) -> None:
    """One forward pass; in training also the backward pass from ``gradient``, into gradients that are dropped."""
    y = forward(task, inputs, workload)
    if workload.training:
        backward(task, inputs, y, gradient)


def backward(task: Task, inputs: Inputs, y: Tensor, gradient: Tensor) -> None:
    """Gradients of all leaves, computed and dropped."""
    torch.autograd.grad(y, leaves(inputs, task), gradient)
