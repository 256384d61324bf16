"""Simulated memory as figures and numbers: peaks against frames with the cards' limits, who holds the peak, and crossovers.

All of it is computed from a plan, before anything ran; nothing here has an interval, for nothing here is random.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.patches import Patch

from vdmbench.cell_label import coordinate_text
from vdmbench.figure_style import (
    INK,
    ReportFigure,
    Style,
    applied,
    find_style,
    log_axis,
    looks,
    share_labels,
    shared_legend,
    small_multiples,
)
from vdmbench.records import Solved
from vdmbench.report.figures import save
from vdmbench.report.scaling import MINIMUM_LENGTHS
from vdmbench.suite import Cell

LIMITS_GIB = (16, 24, 40, 80, 141)
"""Memory of common cards, as their makers name it."""
_PHASES = (("train", "Training"), ("sample", "Sampling"))
_HOLDERS = {
    "parameters": "#0072B2", "gradients": "#56B4E9", "optimiser": "#009E73", "EMA": "#8C8C8C",
    "temporal activations": "#D55E00", "other activations": "#E69F00", "temporaries": "#CC79A7",
    "workspaces": "#F0E442",
}  # fmt: skip
_TAIL = 8
"""Exponents are fitted over lengths from the longest over this on: in shorter clips fixed costs hide the growth."""


@dataclass(frozen=True)
class Curve:
    """One variant's simulated peak in bytes by clip length, in one phase."""

    variant: str
    phase: str
    peaks: dict[int, int]
    point: str = ""
    """What else is swept, such as ``checkpointing True``; empty where nothing is."""

    @property
    def exponent(self) -> float | None:
        """b of peak ~ frames ** b over the longer clips; None with fewer than three: through two goes a line, whatever they
        are."""
        kept = [(n, peak) for n, peak in self.peaks.items() if n * _TAIL >= max(self.peaks)]
        if len(kept) < MINIMUM_LENGTHS:
            return None
        frames, peaks = np.log(np.array(kept, dtype=float)).T
        return float(np.polyfit(frames, peaks, 1)[0])

    def longest(self, limit: float) -> float | None:
        """Frames up to which it stays under ``limit`` bytes, between two lengths by a power law; None where it always does."""
        return _where(self.peaks, dict.fromkeys(self.peaks, limit))


def crossover(one: Curve, other: Curve) -> float | None:
    """Frames at which ``one`` begins to take more, or less, than ``other``: the first change of order; None where there is
    none among the lengths that both have."""
    return _where(one.peaks, other.peaks)


def _where(one: dict[int, int], other: dict[int, float] | dict[int, int]) -> float | None:
    """The first length at which two curves meet, straight between points in logarithms."""
    frames = sorted(set(one) & set(other))
    gaps = [math.log(one[n] / other[n]) for n in frames]
    for (n, gap), (following, after) in zip(
        zip(frames, gaps, strict=True), zip(frames[1:], gaps[1:], strict=False), strict=False
    ):
        if (gap < 0) != (after < 0):
            share = gap / (gap - after)
            return math.exp(math.log(n) + share * math.log(following / n))
    return None


def curves(planned: Iterable[tuple[Cell, Solved | None]]) -> list[Curve]:
    """A curve a phase, variant and point of what else is swept, in declared order; the first cell of each length counts, for
    seeds take the same."""
    found: dict[tuple[str, str, str], dict[int, int]] = {}
    for cell, solved in planned:
        for phase, memory in (solved.memory if solved else {}).items():
            length = int(cell.point.get("data.frames", cell.inputs.data.frames))
            others = [_coordinate(path, value) for path, value in cell.point.items() if path != "data.frames"]
            key = (cell.variant, phase, ", ".join(others))
            found.setdefault(key, {}).setdefault(length, memory.allocated_peak_bytes)
    return [Curve(variant, phase, dict(sorted(peaks.items())), point) for (variant, phase, point), peaks in found.items()]


def _coordinate(path: str, value: Any) -> str:
    return f"{path.rpartition('.')[2]} {coordinate_text(path, value)}"


def _points(found: Sequence[Curve]) -> list[str]:
    return list(dict.fromkeys(curve.point for curve in found))


def scaling_figure(found: Sequence[Curve], style: Style) -> ReportFigure:
    """Peak against frames, a panel a phase and point of what else is swept; lines where cards end, crosses at the first length
    beyond the largest. All panels have the same axes."""
    look = looks(list(dict.fromkeys(curve.variant for curve in found)))
    panels = [(point, phase, title) for point in _points(found) for phase, title in _PHASES]
    values = [peak / 2**30 for curve in found for peak in curve.peaks.values()]
    with applied(style):
        figure, all_axes = small_multiples(style, len(panels), height=0.9, columns=len(_PHASES))
        handles: dict[str, Any] = {}
        for axes, (point, phase, title) in zip(all_axes, panels, strict=True):
            for curve in found:
                if (curve.point, curve.phase) != (point, phase):
                    continue
                frames, peaks = list(curve.peaks), [peak / 2**30 for peak in curve.peaks.values()]
                line = axes.plot(
                    frames,
                    peaks,
                    color=look[curve.variant].colour,
                    marker=look[curve.variant].marker,
                    markeredgecolor="white",
                    markeredgewidth=0.3,
                    label=curve.variant,
                    zorder=3,
                )[0]
                if look[curve.variant].dashes:
                    line.set_dashes(look[curve.variant].dashes)
                handles.setdefault(curve.variant, line)
                beyond = [(n, peak) for n, peak in zip(frames, peaks, strict=True) if peak > LIMITS_GIB[-1]]
                if beyond:
                    axes.plot(*beyond[0], marker="x", color=INK, markersize=6, zorder=4)
            _limits(axes)
            log_axis(axes.yaxis, [*values, LIMITS_GIB[0], LIMITS_GIB[-1]])
            log_axis(axes.xaxis, sorted({float(n) for curve in found for n in curve.peaks}))
            axes.set_title(f"{title}, {point}" if point else title)
            axes.set_xlabel("Frames")
            axes.set_ylabel("Simulated peak, allocated (GiB)")
        share_labels(figure)
        shared_legend(figure, list(handles.values()), style)
    return figure


def _limits(axes: Axes) -> None:
    for limit in LIMITS_GIB:
        axes.axhline(limit, color=INK, linewidth=0.5, linestyle=(0, (1, 2)), zorder=1)
        axes.annotate(
            f"{limit} GB", (1, limit), xycoords=("axes fraction", "data"), ha="right", va="bottom", fontsize=5.5, color=INK
        )


def holders_figure(planned: Iterable[tuple[Cell, Solved | None]], style: Style) -> ReportFigure:
    """Who holds the peak of training, stacked, a bar a variant, a panel a sweep point; infeasible ones are named and stay."""
    points: dict[str, dict[str, dict[str, int]]] = {}
    absent: dict[tuple[str, str], str] = {}
    for cell, solved in planned:
        title = "\n".join(_coordinate(path, value) for path, value in cell.point.items())
        memory = None if solved is None else solved.memory.get("train")
        holders = {} if memory is None else memory.holders
        points.setdefault(title, {}).setdefault(cell.variant, holders)
        if solved is not None and memory is None:
            absent[title, cell.variant] = "not simulated"
    with applied(style):
        figure, all_axes = small_multiples(style, len(points), height=0.8)
        for axes, (title, variants) in zip(all_axes, points.items(), strict=True):
            base = np.zeros(len(variants))
            for holder, colour in _HOLDERS.items():
                sizes = np.array([held.get(holder, 0) / 2**30 for held in variants.values()])
                axes.barh(list(variants), sizes, left=base, color=colour, height=0.75, linewidth=0)
                base += sizes
            for row, (name, held) in enumerate(variants.items()):
                if not held:
                    axes.annotate(
                        f" {absent.get((title, name), 'infeasible')}", (0, row), va="center", fontsize=style.size - 2, color=INK
                    )
            axes.invert_yaxis()
            axes.grid(axis="y", visible=False)
            axes.set_title(title)
            axes.set_xlabel("Simulated training peak (GiB)")
            if axes is not all_axes[0] and list(variants) == list(next(iter(points.values()))):
                axes.set_yticklabels([])
        share_labels(figure)
        handles = [Patch(color=colour, label=holder) for holder, colour in _HOLDERS.items()]
        shared_legend(figure, handles, style)  # type: ignore[arg-type]
    return figure


def crossovers_table(found: Sequence[Curve], phase: str = "train") -> str:
    """Markdown: frames from which the row's variant takes less, or more, than the column's; a table a point of what else is
    swept."""
    return "\n".join(
        _crossovers([curve for curve in found if curve.phase == phase and curve.point == point], phase, point)
        for point in _points(found)
    )


def _crossovers(shown: Sequence[Curve], phase: str, point: str) -> str:
    at = f" ({point})" if point else ""
    lines = [
        f"Simulated peak in {dict(_PHASES)[phase].lower()}{at}: frames at which the row begins to take less (<) or more (>) "
        "memory than the column; a lone sign holds at every length.",
        "",
        "| | " + " | ".join(curve.variant for curve in shown) + " |",
        "|---" * (len(shown) + 1) + "|",
    ]
    for row in shown:
        entries = [_order(row, column) for column in shown]
        lines.append(f"| {row.variant} | " + " | ".join(entries) + " |")
    return "\n".join(lines) + "\n"


def _order(row: Curve, column: Curve) -> str:
    common = sorted(set(row.peaks) & set(column.peaks))
    if row is column or not common:
        return "–"
    at, last = crossover(row, column), common[-1]
    sign = "=" if row.peaks[last] == column.peaks[last] else "<" if row.peaks[last] < column.peaks[last] else ">"
    return sign if at is None else f"{sign} {at:,.0f}"


def limits_table(found: Sequence[Curve], phase: str = "train") -> str:
    """Markdown: the clip length up to which each variant fits each card's memory, and the exponent of its growth."""
    shown = [curve for curve in found if curve.phase == phase]
    lines = [
        f"Frames up to which {dict(_PHASES)[phase].lower()} stays under each size (simulated, allocated), and the exponent.",
        "",
        "| variant | " + " | ".join(f"{limit} GB" for limit in LIMITS_GIB) + " | exponent |",
        "|---" * (len(LIMITS_GIB) + 2) + "|",
    ]
    for curve in shown:
        entries = []
        for limit in LIMITS_GIB:
            longest, least = curve.longest(limit * 2**30), min(curve.peaks.values())
            none = "none" if least > limit * 2**30 else "all"
            entries.append(none if longest is None else f"{longest:,.0f}")
        slope = "–" if curve.exponent is None else f"{curve.exponent:.2f}"
        name = f"{curve.variant}, {curve.point}" if curve.point else curve.variant
        lines.append(f"| {name} | " + " | ".join(entries) + f" | {slope} |")
    return "\n".join(lines) + "\n"


def write_figures(planned: Sequence[tuple[Cell, Solved | None]], folder: Path, style: str = "default") -> list[Path]:
    """The figures and tables of a plan, in ``folder``; those of lengths only where several were planned."""
    look = find_style(style)
    folder.mkdir(parents=True, exist_ok=True)
    found = curves(planned)
    if not found:
        raise ValueError("no cell has simulated memory: there is nothing to draw")
    written = save(holders_figure(planned, look), folder / "holders", look)
    if any(len(curve.peaks) > 1 for curve in found):
        written += save(scaling_figure(found, look), folder / "memory-against-frames", look)
        for phase, _ in _PHASES:
            path = folder / f"frames-{phase}.md"
            path.write_text(limits_table(found, phase) + "\n" + crossovers_table(found, phase))
            written.append(path)
    return written
