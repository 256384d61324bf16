"""Tuning curves: the mean score of the trials of each value, and which value was chosen."""

from __future__ import annotations

import math

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
from vdmbench.records import Tuned
from vdmbench.report.figures.panels import NothingToDraw, first_panels, say_if_cut
from vdmbench.report.panels import Panel, panels
from vdmbench.report.study import Study
from vdmbench.report.tuning import tuned_in


def tuning_figure(study: Study, style: Style) -> ReportFigure:
    """A panel a sweep point; a ring is round the value that was chosen."""
    shown = [panel for panel in panels(study) if _curves(study, panel)]
    if not shown:
        raise NothingToDraw("no field was tuned")
    look = looks(study.labels)
    with applied(style):
        figure, all_axes = small_multiples(style, len(first_panels(shown)), height=0.8)
        say_if_cut(figure, len(shown))
        drawn: dict[str, None] = {}
        for axes, panel in zip(all_axes, first_panels(shown), strict=True):
            drawn |= dict.fromkeys(_draw(axes, study, panel, look))
        handles = [variant_handle(label, look[label]) for label in study.labels if label in drawn]
        share_labels(figure)
        shared_legend(figure, handles, style)
    return figure


def _curves(study: Study, panel: Panel) -> dict[str, Tuned]:
    """By variant, the choice that has two scores or more to draw."""
    found = {
        label: tuned for label in study.labels for group in panel.groups if (tuned := tuned_in(study, group, label)) is not None
    }
    return {label: tuned for label, tuned in found.items() if sum(mean is not None for mean in tuned.means().values()) > 1}


def _draw(axes: Axes, study: Study, panel: Panel, look: dict[str, Look]) -> list[str]:
    curves = _curves(study, panel)
    names = list(dict.fromkeys(name for tuned in curves.values() for name in tuned.means()))
    numbers = _numbers(curves)
    scores: list[float] = []
    for label, tuned in curves.items():
        points = [
            (numbers[name] if numbers else float(names.index(name)), mean, name == str(tuned.chosen))
            for name, mean in tuned.means().items()
            if mean is not None and math.isfinite(mean)
        ]
        points.sort()
        scores += [mean for _, mean, _ in points]
        where, means = [x for x, _, _ in points], [mean for _, mean, _ in points]
        line = axes.plot(where, means, color=look[label].colour, marker=look[label].marker, markersize=4, linewidth=1.0)[0]
        if look[label].dashes:
            line.set_dashes(look[label].dashes)
        tag(line, look[label])
        rings = [x for x, _, taken in points if taken], [mean for _, mean, taken in points if taken]
        ring = axes.scatter(*rings, s=60, facecolors="none", edgecolors=look[label].colour, linewidths=1.2)
        tag(ring, look[label])
    if numbers:
        log_axis(axes.xaxis, list(numbers.values()), exact=True)
    else:
        axes.set_xticks(range(len(names)), names)
    log_axis(axes.yaxis, scores)
    one = next(iter(curves.values()))
    axes.set_title(panel.title)
    axes.set_xlabel(one.field)
    axes.set_ylabel(_label(study, one.by))
    return list(curves)


def _numbers(curves: dict[str, Tuned]) -> dict[str, float]:
    """The values of a grid of numbers, by their text; empty where one is none."""
    values = {str(trial.value): trial.value for tuned in curves.values() for trial in tuned.trials}
    if any(isinstance(value, bool) or not isinstance(value, int | float) for value in values.values()):
        return {}
    return {name: float(value) for name, value in values.items()}


def _label(study: Study, name: str) -> str:
    """The quantity's name for an axis; as it was declared where these records do not know it."""
    return next((each.label for each in study.known if each.name == name), name)
