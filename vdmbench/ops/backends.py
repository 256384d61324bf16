"""Which kernel computes an op: the backends of each op, best first, the choice between them, and what was chosen.

An op holds a list of backends. ``auto`` takes the first that can run on the tensor's device and takes these arguments; a
backend asked for by name runs or raises, and never gives way to another. What ran is told to the recorders around it, so that
a record can say which kernel produced a number.
"""

from __future__ import annotations

import difflib
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

Recorder = dict[str, set[str]]
"""What ran: op name to the names of the backends that computed it."""

_recorders: ContextVar[tuple[Recorder, ...]] = ContextVar("vdmbench_ops_recorders", default=())
_any_backend: ContextVar[bool] = ContextVar("vdmbench_ops_any_backend", default=False)
_simulated: ContextVar[_Simulated | None] = ContextVar("vdmbench_ops_simulated", default=None)


class BackendUnavailable(ValueError):
    """A backend was asked for by name and cannot run here; the message says why and how to get it."""


class UnknownBackend(ValueError):
    """No backend of the op carries the name; the message names the closest one."""


@dataclass(frozen=True)
class Backend:
    """One way to compute an op.

    Attributes:
        run: computes the op from its arguments.
        devices: the device types it runs on, empty for all of them.
        missing: None where the software it needs is present, else one line that says what is absent and how to install it.
        package: the optional package that brings its kernel, as pip names it; None where vdmbench and PyTorch have it.
        by_name_only: ``auto`` never takes it.
        refuses: None where it takes these arguments of ``run``, else the reason in one line.
        ran: the kernel that took these arguments, where it hands them to another library's choice.
    """

    name: str
    run: Callable[..., Any]
    devices: tuple[str, ...] = ()
    missing: Callable[[], str | None] = lambda: None
    by_name_only: bool = False
    refuses: Callable[..., str | None] | None = None
    ran: Callable[..., str] | None = None
    package: str | None = None

    def why_not(self, device: str, packages: Collection[str] | None = None) -> str | None:
        """None where it can run on tensors of that device type, else the reason.

        ``packages`` are the optional packages of another machine; None is this machine, with what is installed here.
        """
        if self.devices and device not in self.devices:
            return f"it runs on {' and '.join(self.devices)} tensors, not on {device}"
        if packages is None:
            return self.missing()
        if self.package is None or self.package in packages:
            return None
        return f"memory is planned without the package {self.package}, which is not installed here; plan --with-packages has it"


@dataclass(frozen=True)
class _Simulated:
    """The machine that backends are chosen for where none runs."""

    device: str
    packages: frozenset[str]


@dataclass(frozen=True)
class Status:
    """One line of ``vdmbench doctor``: whether a backend can run on a device type, and if not, why."""

    op: str
    backend: str
    device: str
    why_not: str | None

    @property
    def available(self) -> bool:
        return self.why_not is None


_ops: dict[str, tuple[Backend, ...]] = {}


def declare(op: str, *backends: Backend) -> None:
    """Enter an op with its backends, best first; the last one must run everywhere."""
    if op in _ops:
        raise ValueError(f"op '{op}' is declared already")
    _ops[op] = backends


def choose(op: str, requested: str, tensor: Tensor, *arguments: Any) -> Backend:
    """The backend that computes ``op`` on the device of ``tensor``, from these arguments of its ``run`` where they are given.

    Raises :class:`UnknownBackend` for a name that the op does not have, :class:`BackendUnavailable` for one that cannot run.
    """
    backends = {backend.name: backend for backend in _ops[op]}
    simulated = _simulated.get()
    device = simulated.device if simulated else tensor.device.type

    def why_not(backend: Backend) -> str | None:
        reason = backend.why_not(device, simulated.packages if simulated else None)
        if reason is None and arguments and backend.refuses is not None:
            reason = backend.refuses(*arguments)
        return reason

    if requested == "auto":
        return next(backend for backend in backends.values() if not backend.by_name_only and why_not(backend) is None)
    if requested not in backends:
        raise UnknownBackend(f"{op} has no backend '{requested}', {_hint(requested, ['auto', *backends])}")
    reason = why_not(backends[requested])
    if reason is not None and _any_backend.get():
        return choose(op, "auto", tensor, *arguments)
    if reason is not None:
        raise BackendUnavailable(f"backend '{requested}' of {op} cannot run: {reason}")
    return backends[requested]


def compute(op: str, requested: str, tensor: Tensor, *arguments: Any) -> Any:
    """Run the backend of :func:`choose` on the arguments, and tell the recorders which one it was."""
    if torch.compiler.is_compiling():
        return _chosen_for_the_compiler(op, requested, tensor.device.type, *arguments).run(*arguments)
    chosen = choose(op, requested, tensor, *arguments)
    result = chosen.run(*arguments)
    if _recorders.get():
        _told(op, chosen.name if chosen.ran is None else chosen.ran(*arguments))
    return result


def _chosen_for_the_compiler(op: str, requested: str, device: str, *arguments: Any) -> Backend:
    """As :func:`choose` and the recorders, in what the compiler can follow: what asks the machine is called while it traces."""
    able = _able(op, requested, device).split()
    tried = (each for each in _ops[op] if each.name in able)
    chosen = next(each for each in tried if each.refuses is None or each.refuses(*arguments) is None)
    _told(op, chosen.name)
    return chosen


def _able(op: str, requested: str, device: str) -> str:
    """Names of those that can run on the device, if they take the arguments: one string, a constant to the compiler."""
    asked = [each for each in _ops[op] if each.name == requested or (requested == "auto" and not each.by_name_only)]
    return " ".join(each.name for each in asked if each.why_not(device) is None)


def _told(op: str, name: str) -> None:
    for recorder in _recorders.get():
        recorder.setdefault(op, set()).add(name)


def settle_for_the_compiler() -> None:
    """Let the compiler call what it cannot trace here, once a trace, and take the answer for a constant."""
    for function in (_able, _told):
        torch.compiler.assume_constant_result(function)


def _hint(name: str, known: list[str]) -> str:
    close = difflib.get_close_matches(name, known, n=1, cutoff=0.5)
    return f"did you mean '{close[0]}'?" if close else f"known: {', '.join(known)}"


@contextmanager
def any_backend() -> Iterator[None]:
    """Let a backend that is asked for by name, and cannot run on these tensors, give way to ``auto``: where a value is wanted
    and nothing is measured, on another device than the network will run on."""
    token = _any_backend.set(True)
    try:
        yield
    finally:
        _any_backend.reset(token)


@contextmanager
def recording() -> Iterator[Recorder]:
    """Collect the backends that compute ops inside the block, nested blocks included: ``{op: {backend, ...}}``."""
    used: Recorder = {}
    token = _recorders.set((*_recorders.get(), used))
    try:
        yield used
    finally:
        _recorders.reset(token)


@contextmanager
def simulating(device: str, packages: Collection[str] | None = None) -> Iterator[None]:
    """Choose as a machine would that has ``device`` and these optional packages, every one where none are named.

    For planning memory with fake tensors, where no kernel runs and none need be installed.
    """
    token = _simulated.set(_Simulated(device, frozenset(optional_packages() if packages is None else packages)))
    try:
        yield
    finally:
        _simulated.reset(token)


def simulated_device() -> str | None:
    """The device type of :func:`simulating`, None outside it, as always where the compiler traces."""
    simulated = None if torch.compiler.is_compiling() else _simulated.get()
    return simulated.device if simulated else None


def optional_packages() -> dict[str, bool]:
    """Every package that brings a kernel of an op, and whether all its kernels can be loaded here."""
    found: dict[str, bool] = {}
    for backend in (each for backends in _ops.values() for each in backends):
        if backend.package is not None:
            found[backend.package] = found.get(backend.package, True) and backend.missing() is None
    return found


def packages_of(used: Recorder) -> set[str]:
    """The optional packages whose kernels computed what :func:`recording` saw."""
    tables = {op: {backend.name: backend for backend in backends} for op, backends in _ops.items()}
    chosen = [tables[op].get(name.partition(" ")[0]) for op, names in used.items() for name in names]
    return {backend.package for backend in chosen if backend is not None and backend.package is not None}


def statuses(device: str) -> list[Status]:
    """Every backend of every op, best first, with whether it can run on tensors of that device type."""
    return [Status(op, backend.name, device, backend.why_not(device)) for op, backends in _ops.items() for backend in backends]
