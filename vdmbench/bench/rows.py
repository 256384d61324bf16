"""What a bench found: one row a case, whatever became of it."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict, dataclass, field
from typing import Any

from vdmbench.bench.contest import Contender
from vdmbench.bench.workload import Workload

STATUSES = ("ok", "skipped", "oom", "unavailable", "error", "interrupted")


@dataclass(frozen=True)
class Row:
    """One contender at one size. Numbers are None wherever ``status`` is not ``ok``, and ``reason`` says why.

    A row that ran out of time or memory in the second pass keeps what the first one measured.
    """

    kind: str
    subject: str
    backend: str
    """As asked for; ``used`` says what ran."""
    frames: int
    sites: int
    channels: int
    dtype: str
    device: str
    direction: str
    threads: int
    status: str
    reason: str | None = None
    used: str | None = None
    seconds: float | None = None
    """Median over rounds by ``clock``; ``seconds_q1`` and ``seconds_q3`` are its quartiles."""
    seconds_q1: float | None = None
    seconds_q3: float | None = None
    clock: str | None = None
    """``cpu``, the process's CPU time (one thread of a CPU), or ``wall``."""
    wall_seconds: float | None = None
    """Median by the wall's clock: over ``seconds`` where the core had other work."""
    extra_peak_bytes: int | None = None
    """Above what was there before the step."""
    held_bytes: int | None = None
    """Likewise, between its forward and backward pass: what a network holds for each of its layers at once."""
    memory_source: str | None = None
    flops: int | None = None
    """Ideal, of the whole step; so is ``bytes``."""
    bytes: int | None = None
    copy_bytes_per_second: float | None = None
    """Median over the same rounds, of a copy of as many bytes."""
    matmul_flops_per_second: float | None = None
    """Median over the same rounds, of a large matrix product."""
    roofline_share: float | None = None
    roofline_bound: str | None = None
    relative_error: float | None = None
    """From the float64 reference, at a small size; None where there is no reference."""
    samples: tuple[float, ...] = ()
    """Seconds of one step in each round."""

    @property
    def label(self) -> str:
        return f"{self.subject} {self.backend}"


def bare_row(kind: str, contender: Contender, workload: Workload, threads: int, status: str, reason: str | None = None) -> Row:
    """A row of a case without numbers."""
    return Row(kind, contender.subject, contender.backend, threads=threads, status=status, reason=reason, **asdict(workload))


@dataclass
class Findings:
    """Everything that a run of the bench leaves behind."""

    rows: list[Row]
    environment: dict[str, Any]
    settings: dict[str, Any]
    load_before: float | None = None
    """Load average of the machine over the last minute before the run; null where the system has none."""
    load_after: float | None = None
    interrupted: bool = field(default=False)

    @property
    def failed(self) -> list[Row]:
        """Rows that should have numbers and have not, through no declared limit."""
        return [row for row in self.rows if row.status == "error"]


def distinct(values: Iterable[str]) -> list[str]:
    """Each once, in order of first appearance."""
    return list(dict.fromkeys(values))
