"""What a suite is run by: cells are handed in, and what is heard of them comes out."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from types import TracebackType
from typing import Protocol, Self

from vdmbench.records import Event, Record
from vdmbench.runner.planning import Planned


@dataclass(frozen=True)
class Heard:
    """An event of a running cell; the first is :data:`~vdmbench.runner.one_cell.ATTEMPT_STARTED`."""

    identity: str
    event: Event


@dataclass(frozen=True)
class Ended:
    """The last that is heard of a cell that was submitted."""

    identity: str
    record: Record | None = None
    """Durable; None where another supervisor holds the cell, or where it was not begun before a stop."""
    error: Exception | None = None
    """Why there is no record although there should be: the results folder cannot be written, for one. It ends the run."""


class Executor(Protocol):
    """Runs planned cells, ``slots`` at a time. Leaving its context waits for nothing and leaves no process behind."""

    @property
    def slots(self) -> int:
        """Cells that may be submitted and not ended yet."""

    def submit(self, cells: Sequence[Planned]) -> None:
        """Begin these, now or when a place is free; as many as are free at the time come together."""

    def next(self, timeout: float) -> Heard | Ended | None:
        """The next message, each once and in order for a cell; None after ``timeout`` seconds without one."""

    def stop(self, reason: str) -> None:
        """Let running cells checkpoint and end as ``interrupted``; every submitted cell still ends with :class:`Ended`."""

    def kill(self) -> None:
        """After :meth:`stop`: wait for no checkpoint. Every submitted cell still ends with :class:`Ended`."""

    def __enter__(self) -> Self: ...

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None: ...
