"""What runs had learned against what they had spent: held-out loss and metrics over steps, FLOPs and seconds of training."""

from __future__ import annotations

import numpy as np
from matplotlib.axes import Axes

from vdmbench.figure_style import (
    Look,
    ReportFigure,
    Style,
    applied,
    log_axis,
    looks,
    share_labels,
    shared_legend,
    small_multiples,
    tag,
    variant_handle,
)
from vdmbench.quantities import ALONG_TRAINING
from vdmbench.report.figures.panels import NothingToDraw, first_panels, say_if_cut
from vdmbench.report.frontier import Point, points_of
from vdmbench.report.panels import Panel, panels
from vdmbench.report.quantities import Quantity, choose_scale, header
from vdmbench.report.study import Study
from vdmbench.report.tables import metric_header


def progress_of(study: Study, panel: Panel, label: str, x: Quantity, y: Quantity) -> list[Point]:
    """A variant's points along training, by x; empty with fewer than two."""
    points = points_of(study, panel.groups, label, x, y)
    return points if len(points) > 1 else []


def draw_progress(axes: Axes, study: Study, panel: Panel, x: Quantity, y: Quantity, look: dict[str, Look]) -> list[str]:
    """One panel: mean over seeds with the range that they span; returns the variants that have a curve."""
    curves = {label: points for label in study.labels if (points := progress_of(study, panel, label, x, y))}
    across = [point.means[0] for points in curves.values() for point in points]
    scale = choose_scale(x, across)
    seen: list[float] = []
    for label, points in curves.items():
        at = [scale(point.means[0]) for point in points]
        rows = [np.array(list(point.y.values())) for point in points]
        line = axes.plot(at, [row.mean() for row in rows], color=look[label].colour, marker=".", markersize=3.5, linewidth=1.0)[
            0
        ]
        tips = [f"{label}: {y.label} {row.mean():.4g} at {x:.4g}, {len(row)} seeds" for x, row in zip(at, rows, strict=True)]
        tag(line, look[label], tips)
        if look[label].dashes:
            line.set_dashes(look[label].dashes)
        if max(map(len, rows)) > 1:
            band = axes.fill_between(
                at, [row.min() for row in rows], [row.max() for row in rows], color=look[label].colour, alpha=0.16, linewidth=0
            )
            tag(band, look[label])
        seen += [value for row in rows for value in (row.min(), row.max())]
    log_axis(axes.yaxis, seen)
    log_axis(axes.xaxis, [scale(value) for value in across])
    axes.set_title(panel.title)
    axes.set_xlabel(header(x, scale))
    return list(curves)


def progress_figure(study: Study, style: Style) -> ReportFigure:
    """Three panels a sweep point and quantity: against steps, FLOPs and seconds."""
    learned = [quantity for quantity in study.quantities if quantity.own_points or quantity.name in study.metrics]
    spent = [study.quantity(name) for name in ALONG_TRAINING]
    shown = [
        (y, x, panel)
        for y in learned
        for panel in panels(study)
        for x in spent
        if any(progress_of(study, panel, label, x, y) for label in study.labels)
    ]
    if not shown:
        raise NothingToDraw("no run was judged before its end: neither evaluate.val_loss nor evaluate.at")
    look = looks(study.labels)
    with applied(style):
        figure, all_axes = small_multiples(style, len(first_panels(shown)), height=0.85, columns=3)
        say_if_cut(figure, len(shown))
        drawn: dict[str, None] = {}
        for axes, (y, x, panel) in zip(all_axes, first_panels(shown), strict=True):
            drawn |= dict.fromkeys(draw_progress(axes, study, panel, x, y, look))
            axes.set_ylabel(metric_header(study, y.name) if y.metric else y.label)
        share_labels(figure)
        shared_legend(figure, [variant_handle(label, look[label]) for label in study.labels if label in drawn], style)
    return figure
