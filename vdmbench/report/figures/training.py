"""Training curves: loss against steps, the mean over seeds with the range they span."""

from __future__ import annotations

import numpy as np
from matplotlib.axes import Axes
from matplotlib.ticker import EngFormatter, MaxNLocator

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
from vdmbench.report.figures.panels import NothingToDraw, first_panels, say_if_cut
from vdmbench.report.panels import Panel, panels
from vdmbench.report.study import Study


def curves(study: Study, panel: Panel, label: str) -> tuple[np.ndarray, np.ndarray] | None:
    """Steps (points,) and losses (seeds, points) on the steps that all seeds share; cells that failed later count as far as
    they came only where nothing else is there. None without a curve."""
    found = [
        cell.record.training
        for group in panel.groups
        for cell in study.cells_in(group, label)
        if cell.record.training is not None and len(cell.record.training.loss) > 1
    ]
    if not found:
        return None
    complete = max(training.loss_steps[-1] for training in found)
    found = [training for training in found if training.loss_steps[-1] == complete]
    steps = np.array(found[0].loss_steps, dtype=float)
    losses = np.array([np.interp(steps, training.loss_steps, training.loss) for training in found])
    return steps, losses


def draw_training(axes: Axes, study: Study, panel: Panel, look: dict[str, Look]) -> list[str]:
    """One panel; returns the variants that have a curve."""
    drawn: list[str] = []
    visible: list[float] = []
    for label in study.labels:
        curve = curves(study, panel, label)
        if curve is None:
            continue
        steps, losses = curve
        mean = losses.mean(axis=0)
        settled = steps >= steps[-1] * 0.02
        visible += [value for value in (*losses.min(axis=0)[settled], *losses.max(axis=0)[settled]) if np.isfinite(value)]
        line = axes.plot(steps, mean, color=look[label].colour, linewidth=1.0)[0]
        tag(line, look[label])
        if look[label].dashes:
            line.set_dashes(look[label].dashes)
        if len(losses) > 1:
            band = axes.fill_between(
                steps, losses.min(axis=0), losses.max(axis=0), color=look[label].colour, alpha=0.16, linewidth=0
            )
            tag(band, look[label])
        drawn.append(label)
    if visible:
        log_axis(axes.yaxis, visible)
    axes.xaxis.set_major_locator(MaxNLocator(4, integer=True))
    axes.xaxis.set_major_formatter(EngFormatter(sep=""))
    axes.set_title(panel.title)
    axes.set_xlabel("Optimiser steps")
    return drawn


def training_figure(study: Study, style: Style) -> ReportFigure:
    """A panel a sweep point."""
    shown = [panel for panel in panels(study) if any(curves(study, panel, label) for label in study.labels)]
    if not shown:
        raise NothingToDraw("no training curve was recorded")
    look = looks(study.labels)
    with applied(style):
        figure, all_axes = small_multiples(style, len(first_panels(shown)), height=0.8)
        say_if_cut(figure, len(shown))
        drawn: dict[str, None] = {}
        for axes, panel in zip(all_axes, first_panels(shown), strict=True):
            drawn |= dict.fromkeys(draw_training(axes, study, panel, look))
            axes.set_ylabel("Training loss (MSE)")
        handles = [variant_handle(label, look[label]) for label in study.labels if label in drawn]
        for handle in handles:
            handle.set_marker("")
        share_labels(figure)
        shared_legend(figure, handles, style)
    return figure
