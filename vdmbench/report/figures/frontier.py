"""Distance against memory: who is better at the same memory, who needs less for the same distance."""

from __future__ import annotations

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from vdmbench.report.figures.panels import NothingToDraw, Panel, first_panels, main_status, panels, say_if_cut
from vdmbench.report.figures.style import (
    INK,
    STATUS_MARKERS,
    Look,
    Style,
    applied,
    failure_handle,
    log_axis,
    looks,
    share_labels,
    shared_legend,
    small_multiples,
    tag,
    variant_handle,
)
from vdmbench.report.quantities import Quantity, Scale, header
from vdmbench.report.study import Study
from vdmbench.report.tables import column_scales, metric_header, shown_value


def draw_frontier(axes: Axes, study: Study, metric: Quantity, panel: Panel, scale: Scale, look: dict[str, Look]) -> dict[str, str]:
    """One panel: the mean of each variant with bars of one deviation, its seeds as faint dots, its widths joined by a line.

    Returns the variants that have no point here, with their status.
    """
    memory = study.quantity("peak_train_memory")
    every_x: list[float] = []
    every_y: list[float] = []
    lost: dict[str, str] = {}
    drawn: set[str] = set()
    for label in study.labels:
        points = []
        for group in panel.groups:
            if label not in study.outcomes(metric)[group]:
                continue
            distance, used = study.outcomes(metric)[group][label], study.outcomes(memory)[group][label]
            seeds = sorted(set(distance.values) & set(used.values))
            if seeds:
                points.append((np.array([scale(used.values[seed]) for seed in seeds]), np.array([distance.values[seed] for seed in seeds])))
            else:
                lost[label] = main_status(distance if distance.failures else used)
        if not points:
            continue
        points.sort(key=lambda point: point[0].mean())
        style = {"color": look[label].colour, "zorder": 3}
        for x, y in points:
            if len(x) > 1:
                tag(axes.plot(x, y, marker=".", markersize=3, linestyle="none", alpha=0.45, **style)[0], look[label])
                bars = axes.errorbar(x.mean(), y.mean(), yerr=y.std(ddof=1), xerr=x.std(ddof=1), fmt="none", elinewidth=0.8, **style)
                for bar in bars.lines[2]:
                    tag(bar, look[label])
            every_x += [*x, x.mean()]
            every_y += [*y, y.mean() + (y.std(ddof=1) if len(y) > 1 else 0), y.mean() - (y.std(ddof=1) if len(y) > 1 else 0)]
        line = axes.plot([x.mean() for x, _ in points], [y.mean() for _, y in points], marker=look[label].marker, markersize=5.5,
                         markeredgecolor="white", markeredgewidth=0.5, color=look[label].colour, zorder=4)[0]
        tag(line, look[label], [f"{label}: {metric.label} {shown_value(y.mean(), y.std(ddof=1) if len(y) > 1 else None)} at "
                                f"{shown_value(x.mean())} {scale.unit}, {len(x)} seeds" for x, y in points])
        drawn.add(label)
        if look[label].dashes:
            line.set_dashes(look[label].dashes)
    lost = {label: status for label, status in lost.items() if label not in drawn}
    log_axis(axes.xaxis, every_x)
    log_axis(axes.yaxis, [y for y in every_y if y > 0], head_room=min(0.5, 0.09 * len(lost) + 0.02) if lost else 0.0)
    axes.set_title(panel.title)
    axes.set_xlabel(header(memory, scale))
    for row, (label, status) in enumerate(lost.items()):
        y = 0.95 - 0.09 * row
        cross = axes.plot([0.97], [y], marker=STATUS_MARKERS.get(status, "1"), color=look[label].colour, markersize=5.5, markeredgewidth=1.5,
                          linestyle="none", transform=axes.transAxes, clip_on=False)
        tag(cross[0], look[label], [f"{label}: {status}"])
        tag(axes.text(0.93, y, label, ha="right", va="center", fontsize="small", color=INK, transform=axes.transAxes), look[label])
    return lost


def frontier_figure(study: Study, style: Style) -> Figure:
    """Distance against peak training memory, a panel a sweep point and metric; a line joins what differs in width alone."""
    if not study.metrics:
        raise NothingToDraw("no metric was evaluated")
    memory = study.quantity("peak_train_memory")
    widths = [name for name in study.coordinates if name not in ("frames", "size")]
    along = widths[0] if len(widths) == 1 else None
    shown = []
    for metric in map(study.quantity, study.metrics):
        for panel in panels(study, along):
            both = any(set(outcome.values) & set(study.outcomes(memory)[group][label].values)
                       for group in panel.groups for label, outcome in study.outcomes(metric)[group].items())
            if both:
                shown.append((metric, panel))
    if not shown:
        raise NothingToDraw("no cell has both a distance and a memory peak")
    scale = column_scales(study, [memory])[memory.name]
    look = looks(study.labels)
    with applied(style):
        figure, all_axes = small_multiples(style, len(first_panels(shown)), height=0.85)
        say_if_cut(figure, len(shown))
        statuses: set[str] = set()
        for axes, (metric, panel) in zip(all_axes, first_panels(shown), strict=True):
            statuses |= set(draw_frontier(axes, study, metric, panel, scale, look).values())
            axes.set_ylabel(metric_header(study, metric.name))
        handles = [variant_handle(label, look[label]) for label in study.labels]
        share_labels(figure)
        shared_legend(figure, [*handles, *map(failure_handle, sorted(statuses))], style)
    return figure
