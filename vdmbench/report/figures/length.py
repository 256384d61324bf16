"""Does quality last? The distance of each window along generated video, with what held-out real video has there."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import numpy as np
from matplotlib.axes import Axes
from matplotlib.lines import Line2D
from matplotlib.ticker import FixedLocator, MaxNLocator

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
from vdmbench.records import Record
from vdmbench.report.figures.panels import NothingToDraw, first_panels, say_if_cut
from vdmbench.report.panels import Panel, panels
from vdmbench.report.study import Study

FLOOR = "0.55"
MOST_TICKS = 6
"""Windows that are named one by one."""
Curve = Mapping[float, float]
"""Value by frame."""


def length_figure(study: Study, style: Style) -> ReportFigure:
    """A panel for each metric and sweep point, lengths of sampling among them."""
    shown = [
        (metric, panel, found)
        for metric in study.metrics
        for panel in panels(study)
        if (found := _drifts(study, panel, metric))
    ]
    if not shown:
        raise NothingToDraw("no metric was taken window by window: declare one with 'frames' and 'window: all'")
    look = looks(study.labels)
    with applied(style):
        figure, all_axes = small_multiples(style, len(first_panels(shown)), height=0.8)
        say_if_cut(figure, len(shown))
        for axes, (metric, panel, found) in zip(all_axes, first_panels(shown), strict=True):
            seen: list[float] = []
            for label, records in found.items():
                seen += draw_along(axes, label, look[label], [_curve(record, metric, "value") for record in records])
            floor = _mean([_curve(record, metric, "floor") for records in found.values() for record in records])
            axes.plot(list(floor), list(floor.values()), color=FLOOR, linewidth=1.6, zorder=2)
            log_axis(axes.yaxis, [*seen, *floor.values()])
            _mark_training(axes, [record for records in found.values() for record in records])
            few = len(floor) <= MOST_TICKS
            axes.xaxis.set_major_locator(FixedLocator(list(floor)) if few else MaxNLocator(5, integer=True))
            axes.set_title(panel.title)
            axes.set_xlabel("First frame of the window")
            axes.set_ylabel(f"{metric.upper()} of a window")
        handles = [variant_handle(label, look[label]) for label in study.labels if any(label in found for *_, found in shown)]
        share_labels(figure)
        shared_legend(figure, [*handles, Line2D([], [], color=FLOOR, linewidth=1.6, label="real")], style)
    return figure


def draw_along(axes: Axes, label: str, look: Look, curves: list[Curve]) -> list[float]:
    """The mean over seeds along the video, with a band from the lowest to the highest; returns all values."""
    mean = _mean(curves)
    frames = list(mean)
    line = axes.plot(
        frames,
        list(mean.values()),
        color=look.colour,
        marker=look.marker if len(frames) <= 24 else "",
        markersize=3.5,
        markeredgecolor="white",
        markeredgewidth=0.3,
        zorder=3,
    )[0]
    tag(line, look, [f"{label}, frame {frame:g}: {value:.3g}" for frame, value in mean.items()])
    if look.dashes:
        line.set_dashes(look.dashes)
    if len(curves) > 1:
        rows = np.array([[curve[frame] for frame in frames] for curve in curves])
        band = axes.fill_between(frames, rows.min(axis=0), rows.max(axis=0), color=look.colour, alpha=0.14, linewidth=0)
        tag(band, look)
    return [value for curve in curves for value in curve.values()]


def _mean(curves: Iterable[Curve]) -> dict[float, float]:
    """Over the curves, at frames that all of them have."""
    curves = list(curves)
    shared = sorted(set.intersection(*(set(curve) for curve in curves)))
    return {frame: float(np.mean([curve[frame] for curve in curves])) for frame in shared}


def _drifts(study: Study, panel: Panel, metric: str) -> dict[str, list[Record]]:
    """By variant, the records with a curve of at least two windows."""
    found: dict[str, list[Record]] = {}
    for label in study.labels:
        records = [cell.record for group in panel.groups for cell in study.cells_in(group, label)]
        kept = [record for record in records if len(_curve(record, metric, "value")) > 1]
        if kept:
            found[label] = kept
    return found


def _curve(record: Record, metric: str, value: str) -> Curve:
    result = record.metrics.get(metric)
    return {point["frame"]: point[value] for point in (result.details.get("drift") or [] if result else [])}


def _mark_training(axes: Axes, records: list[Record]) -> None:
    """A dotted line where training's clips ended, if sampled ones go on."""
    trained = {record.declared.get("data", {}).get("frames") for record in records}
    sampled = {record.declared.get("sample", {}).get("frames") for record in records}
    if len(trained) == 1 and None not in trained | sampled and min(sampled) > min(trained):
        axes.axvline(min(trained), color=FLOOR, linewidth=0.8, linestyle=":", zorder=1)
