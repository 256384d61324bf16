"""The rows as tables of text: a line a contender, a column a clip length; printed by the command and written as Markdown."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from vdmbench.bench.exponents import Exponent, fit_exponent
from vdmbench.bench.rows import Findings, Row, distinct

Quantity = Callable[[Row], float | None]
UNKNOWN = "–"


@dataclass(frozen=True)
class Grid:
    """A table; headers that start with a space are of numbers."""

    title: str
    headers: list[str]
    lines: list[list[str]]

    def markdown(self) -> str:
        """With its title as a heading."""
        rule = ["---:" if header.startswith(" ") else "---" for header in self.headers]
        lines = [[header.strip() for header in self.headers], rule, *self.lines]
        return f"## {self.title}\n\n" + "".join(f"| {' | '.join(_escaped(line))} |\n" for line in lines)


def _escaped(line: Sequence[str]) -> list[str]:
    return [cell.replace("|", "\\|") for cell in line]


def grouped(rows: Sequence[Row]) -> dict[str, list[Row]]:
    """The rows of each contender, frames ascending."""
    return {
        label: sorted((row for row in rows if row.label == label), key=lambda row: row.frames)
        for label in distinct(row.label for row in rows)
    }


def exponent(rows: Sequence[Row], quantity: Quantity) -> Exponent | None:
    """Of one contender's rows."""
    known = [(row.frames, value) for row in rows if (value := quantity(row)) is not None]
    return fit_exponent([frames for frames, _ in known], [value for _, value in known])


def seconds(row: Row) -> float | None:
    return row.seconds


def extra_memory(row: Row) -> float | None:
    """None also below what the instrument resolves."""
    return _resolved(row, row.extra_peak_bytes)


def held_memory(row: Row) -> float | None:
    """Likewise."""
    return _resolved(row, row.held_bytes)


def _resolved(row: Row, size: int | None) -> float | None:
    return float(size) if size is not None and size > resolution(row) else None


def resolution(row: Row) -> int:
    """Bytes below which a peak is noise: resident memory is counted in batches of pages, the CUDA allocator's in blocks."""
    return 2**18 if row.device == "cpu" else 0


def pivots(findings: Findings) -> list[Grid]:
    """Time, memory at its peak and between the passes, share of the roofline; what is unavailable stands in the first alone."""
    present = [row for row in findings.rows if row.status != "unavailable"]
    where = _where(findings)
    return [
        _pivot(f"Seconds of a step, median ({where})", findings.rows, seconds, _seconds_text),
        _pivot(f"Peak memory beyond the inputs ({where})", present, extra_memory, _bytes_text),
        *(
            [_pivot(f"Memory held between forward and backward ({where})", present, held_memory, _bytes_text)]
            if findings.settings["direction"] == "training"
            else []
        ),
        _pivot(
            f"Share of the roofline ({where})",
            present,
            lambda row: row.roofline_share,
            lambda share: f"{share:.0%}",
            fitted=False,
        ),
    ]


def _where(findings: Findings) -> str:
    settings = findings.settings
    threads = f", {settings['threads']} thread{'s' if settings['threads'] > 1 else ''}" if settings["device"] == "cpu" else ""
    return (
        f"{settings['direction']}, {settings['sites']} sites, {settings['channels']} channels, {settings['dtype']}, "
        f"{settings['device']}{threads}"
    )


def _pivot(title: str, rows: Sequence[Row], quantity: Quantity, text: Callable[[float], str], *, fitted: bool = True) -> Grid:
    frames = sorted({row.frames for row in rows})
    headers = ["", "backend", "ran", *(f" {number}" for number in frames), *([" exponent"] if fitted else [])]
    lines = []
    for group in grouped(rows).values():
        first, by_frames = group[0], {row.frames: row for row in group}
        cells = []
        for number in frames:
            row = by_frames.get(number)
            value = None if row is None else quantity(row)
            cells.append(_absent(row, quantity) if value is None else text(value))
        if fitted:
            slope = exponent(group, quantity)
            cells.append(UNKNOWN if slope is None else str(slope))
        lines.append([first.subject, first.backend, _ran(group), *cells])
    return Grid(title, headers, lines)


def _absent(row: Row | None, quantity: Quantity) -> str:
    if row is None:
        return UNKNOWN
    if quantity in (extra_memory, held_memory) and row.extra_peak_bytes is not None:
        return f"< {_bytes_text(resolution(row))}"
    return UNKNOWN if row.status == "ok" else row.status


def _ran(group: Sequence[Row]) -> str:
    """The backends that ran, without the op's name where it is the subject."""
    used = distinct(row.used for row in group if row.used)
    return ", ".join(part.removeprefix(f"{group[0].subject}=") for part in used) or UNKNOWN


def reasons(findings: Findings) -> list[str]:
    """Why rows lack numbers, a line for each contender and reason."""
    lines: dict[str, list[int]] = {}
    for row in findings.rows:
        if row.status != "ok":
            lines.setdefault(f"{row.label}: {row.status}" + (f": {row.reason}" if row.reason else ""), []).append(row.frames)
    every = {row.frames for row in findings.rows}
    return [
        text if set(frames) == every else f"{text} ({', '.join(map(str, frames))} frames)" for text, frames in lines.items()
    ]


def _seconds_text(value: float) -> str:
    """Three digits and a unit."""
    for scale, unit in ((1.0, "s"), (1e-3, "ms")):
        if value >= scale:
            return f"{value / scale:.3g} {unit}"
    return f"{value / 1e-6:.3g} µs"


def _bytes_text(value: float) -> str:
    for scale, unit in ((2**30, "GiB"), (2**20, "MiB"), (2**10, "KiB")):
        if value >= scale:
            return f"{value / scale:.4g} {unit}" if value / scale >= 1000 else f"{value / scale:.3g} {unit}"
    return f"{value:.0f} B"
