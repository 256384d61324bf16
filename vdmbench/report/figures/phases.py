"""Where the memory goes: peak of every phase, side by side for all variants."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.lines import Line2D
from matplotlib.ticker import MaxNLocator

from vdmbench.figure_style import (
    Look,
    ReportFigure,
    Style,
    applied,
    looks,
    share_labels,
    shared_legend,
    small_multiples,
    tag,
)
from vdmbench.records import PHASES, Record, reading_of
from vdmbench.report.figures.panels import NothingToDraw, first_panels, say_if_cut
from vdmbench.report.quantities import Scale, choose_scale
from vdmbench.report.study import Group, Study
from vdmbench.report.tables import memory_header


def phase_peaks(study: Study, group: Group, label: str) -> dict[str, float]:
    """Mean peak in bytes of each phase, by the memory that the study speaks of."""
    found: dict[str, list[int]] = {}
    for cell in study.cells_in(group, label):
        for phase, peak in _peaks(cell.record, planned=study.memory_is_planned).items():
            found.setdefault(phase, []).append(peak)
    return {phase: float(np.mean(peaks)) for phase, peaks in found.items()}


def _peaks(record: Record, *, planned: bool) -> dict[str, int]:
    """Of phases that were planned, or else completed on a GPU."""
    if planned:
        return {phase: peaks.allocated_peak_bytes for phase, peaks in (record.solved.memory if record.solved else {}).items()}
    readings = {phase: reading_of(record, phase) for phase in PHASES}
    return {phase: peak for phase, each in readings.items() if each and (peak := each.allocated_peak_bytes) is not None}


def draw_phases(axes: Axes, study: Study, group: Group, phases: Sequence[str], scale: Scale, looks: dict[str, Look]) -> None:
    """One panel: phases across, a bar a variant in each."""
    labels = [label for label in study.labels if study.cells_in(group, label)]
    width = 0.8 / max(1, len(labels))
    for index, label in enumerate(labels):
        for phase, peak in phase_peaks(study, group, label).items():
            x = phases.index(phase) + (index - (len(labels) - 1) / 2) * width
            bar = axes.bar(x, scale(peak), width * 0.9, color=looks[label].colour, linewidth=0)
            tag(bar[0], looks[label])
    axes.set_xticks(range(len(phases)), phases)
    axes.set_xlim(-0.6, len(phases) - 0.4)
    axes.grid(axis="x", visible=False)
    axes.yaxis.set_major_locator(MaxNLocator(5))
    axes.set_title(study.title(group))


def phases_figure(study: Study, style: Style) -> ReportFigure:
    """A panel a sweep point."""
    peaks = {
        group: [peak for label in study.labels for peak in phase_peaks(study, group, label).values()] for group in study.groups
    }
    shown = [group for group, values in peaks.items() if values]
    found = {phase for group in shown for label in study.labels for phase in phase_peaks(study, group, label)}
    phases = [phase for phase in PHASES if phase in found]
    if not shown:
        raise NothingToDraw("no phase has a memory peak")
    scale = choose_scale(study.memory, [max(values) for values in peaks.values() if values])
    look = looks(study.labels)
    with applied(style):
        figure, all_axes = small_multiples(style, len(first_panels(shown)), height=0.6, columns=min(2, len(shown)))
        say_if_cut(figure, len(shown))
        for axes, group in zip(all_axes, first_panels(shown), strict=True):
            draw_phases(axes, study, group, phases, scale, look)
            axes.set_ylabel(memory_header(study, scale, "Peak memory"))
        share_labels(figure)
        shared_legend(
            figure, [Line2D([], [], color=look[label].colour, linewidth=5, label=label) for label in study.labels], style
        )
    return figure
