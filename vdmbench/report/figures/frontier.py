"""Distance against memory: who is better at the same memory, who needs less for the same distance."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes

from vdmbench.figure_style import (
    INK,
    STATUS_MARKERS,
    Look,
    ReportFigure,
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
from vdmbench.report.figures.panels import NothingToDraw, first_panels, lower_end, main_status, say_if_cut
from vdmbench.report.frontier import Point, enough_seeds, points_of, undominated, widths
from vdmbench.report.panels import Panel, panels
from vdmbench.report.quantities import Quantity, Scale
from vdmbench.report.study import Study
from vdmbench.report.tables import column_scales, memory_header, metric_header, shown_value


def draw_frontier(
    axes: Axes, study: Study, metric: Quantity, panel: Panel, scale: Scale, looks: dict[str, Look]
) -> dict[str, str]:
    """One panel: the mean of each variant with bars of one deviation, its seeds as faint dots, its widths joined by a line.

    Returns the variants that have no point here, with their status.
    """
    every_x: list[float] = []
    every_y: list[float] = []
    every_point: list[Point] = []
    lost: dict[str, str] = {}
    for label in study.labels:
        points = points_of(study, panel.groups, label, study.memory, metric)
        if not points:
            outcomes = [
                study.outcomes(metric)[group][label] for group in panel.groups if label in study.outcomes(metric)[group]
            ]
            if outcomes:
                lost[label] = main_status(outcomes[0]) if outcomes[0].failures else "no memory"
            continue
        look, means, tips = looks[label], [], []
        for point in points:
            x, y = np.array(list(point.x.values())) / scale.factor, np.array(list(point.y.values()))
            spread = float(y.std(ddof=1)) if len(y) > 1 else 0.0
            if len(x) > 1:
                tag(axes.plot(x, y, ".", color=look.colour, markersize=3, alpha=0.45, zorder=3)[0], look)
                bars = axes.errorbar(x.mean(), y.mean(), spread, x.std(ddof=1), fmt="none", elinewidth=0.8, ecolor=look.colour)
                for bar in bars.lines[2]:
                    tag(bar, look)
            means.append((float(x.mean()), float(y.mean())))
            distance, memory = shown_value(y.mean(), spread or None), shown_value(x.mean())
            tips.append(f"{label}: {metric.label} {distance} at {memory} {scale.unit}, {len(x)} seeds")
            every_x += [*x]
            every_y += [*y, y.mean() + spread, lower_end(y.mean(), spread)]
        every_point += points
        line = axes.plot(
            *zip(*means, strict=True),
            color=look.colour,
            marker=look.marker,
            markersize=5.5,
            markeredgecolor="white",
            markeredgewidth=0.5,
            zorder=4,
        )[0]
        tag(line, look, tips)
        if look.dashes:
            line.set_dashes(look.dashes)
    draw_front(axes, every_point, scale)
    log_axis(axes.xaxis, every_x)
    log_axis(axes.yaxis, every_y, head_room=min(0.5, 0.09 * len(lost) + 0.02) if lost else 0.0)
    axes.set_title(panel.title)
    axes.set_xlabel(memory_header(study, scale))
    for row, (label, status) in enumerate(lost.items()):
        height, marker = 0.95 - 0.09 * row, STATUS_MARKERS.get(status, "1")
        cross = axes.plot(
            [0.97],
            [height],
            marker=marker,
            color=looks[label].colour,
            markersize=5.5,
            markeredgewidth=1.5,
            linestyle="none",
            transform=axes.transAxes,
            clip_on=False,
        )
        tag(cross[0], looks[label], [f"{label}: {status}"])
        name = axes.text(0.93, height, label, ha="right", va="center", fontsize="small", color=INK, transform=axes.transAxes)
        tag(name, looks[label])
    return lost


def draw_front(axes: Axes, points: Sequence[Point], scale: Scale) -> None:
    """The common front as a grey staircase: what lies above and right of it is dominated, whatever variant it is. Points of
    fewer than three seeds are not part of it."""
    judged = enough_seeds(points)
    on_front = undominated([point.oriented for point in judged])
    front = sorted((scale(point.means[0]), point.means[1]) for point, on in zip(judged, on_front, strict=True) if on)
    if len(front) > 1:
        axes.step(*zip(*front, strict=True), where="post", color=INK, linewidth=0.8, alpha=0.35, zorder=2)


def frontier_figure(study: Study, style: Style) -> ReportFigure:
    """Distance against training memory, a panel a sweep point and metric; a line joins what differs in width alone.

    Behind the metrics stand their debiased values, where there are enough clips for one.
    """
    if not study.metrics:
        raise NothingToDraw("no metric was evaluated")
    memory = study.memory
    debiased = [quantity for quantity in study.judged if quantity.name == f"{quantity.metric}.debiased"]
    shown = [
        (metric, panel)
        for metric in (*map(study.quantity, study.metrics), *debiased)
        for panel in panels(study, widths(study))
        if any(points_of(study, panel.groups, label, memory, metric) for label in study.labels)
    ]
    if not shown:
        raise NothingToDraw("no cell has both a distance and a peak of memory, planned or counted by an allocator")
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
