"""Quantities against clip length on logarithmic axes: peak memory, throughput, step time, distance."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from matplotlib.axes import Axes

from vdmbench.figure_style import (
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
from vdmbench.report.figures.panels import (
    NothingToDraw,
    first_panels,
    has_numbers,
    lower_end,
    main_status,
    mark_failures,
    rows_of_failures,
    say_if_cut,
)
from vdmbench.report.panels import Panel, panels
from vdmbench.report.quantities import Quantity, Scale, header
from vdmbench.report.study import Study
from vdmbench.report.tables import column_scales, memory_header, metric_header, shown_value


def draw_scaling(axes: Axes, study: Study, quantity: Quantity, panel: Panel, scale: Scale, look: dict[str, Look]) -> set[str]:
    """One panel: a line a variant with the deviation over seeds, crosses at lengths where it has no number."""
    length = {group: float(group["frames"]) for group in panel.groups}
    values: list[float] = []
    failed: dict[str, list[tuple[float, str]]] = {}
    for label in study.labels:
        outcomes = [
            (length[group], study.outcomes(quantity)[group][label])
            for group in panel.groups
            if label in study.outcomes(quantity)[group]
        ]
        lost = [(x, main_status(outcome)) for x, outcome in outcomes if outcome.mean is None]
        if lost:
            failed[label] = lost
        known = [
            (x, scale(outcome.mean), scale(outcome.deviation or 0.0)) for x, outcome in outcomes if outcome.mean is not None
        ]
        if not known:
            continue
        x, mean, deviation = map(np.array, zip(*known, strict=True))
        lower = np.array([lower_end(*each) for each in zip(mean, deviation, strict=True)])
        values += [*(mean + deviation), *lower]
        line = axes.plot(
            x, mean, color=look[label].colour, marker=look[label].marker, markeredgecolor="white", markeredgewidth=0.4, zorder=3
        )[0]
        tag(
            line,
            look[label],
            [
                f"{label}, {frames:g} frames: {shown_value(value, spread or None)} {scale.unit}".strip()
                for frames, value, spread in known
            ],
        )
        if look[label].dashes:
            line.set_dashes(look[label].dashes)
        if np.any(deviation > 0):
            band = axes.fill_between(x, lower, mean + deviation, color=look[label].colour, alpha=0.18, linewidth=0)
            tag(band, look[label])
    log_axis(axes.xaxis, sorted(length.values()), exact=True)
    log_axis(axes.yaxis, values, head_room=min(0.5, 0.085 * rows_of_failures(failed) + 0.02) if failed else 0.0)
    axes.set_title(panel.title)
    axes.set_xlabel("Frames")
    return mark_failures(axes, failed, look)


def _label(study: Study, quantity: Quantity, scale: Scale) -> str:
    if quantity == study.memory:
        return memory_header(study, scale)
    return metric_header(study, quantity.name) if quantity.name in study.metrics else header(quantity, scale)


def scaling_figure(name: str) -> Callable[[Study, Style], ReportFigure]:
    """The figure of one quantity against frames; ``memory`` is the study's, ``distance`` every metric, a panel each."""

    def draw(study: Study, style: Style) -> ReportFigure:
        if name == "distance":
            quantities = [study.quantity(metric) for metric in study.metrics]
        else:
            quantities = [study.memory if name == "memory" else study.quantity(name)]
        shown = [
            (quantity, panel)
            for quantity in quantities
            for panel in panels(study, ["frames"])
            if len({group["frames"] for group in panel.groups}) > 1 and has_numbers(study, quantity, panel)
        ]
        if not shown:
            lengths = set(study.frame["frames"].dropna())
            raise NothingToDraw("only one clip length was run" if len(lengths) < 2 else "no cell has this number")
        scales = column_scales(study, quantities)
        look = looks(study.labels)
        with applied(style):
            figure, all_axes = small_multiples(style, len(first_panels(shown)))
            say_if_cut(figure, len(shown))
            statuses: set[str] = set()
            for axes, (quantity, panel) in zip(all_axes, first_panels(shown), strict=True):
                statuses |= draw_scaling(axes, study, quantity, panel, scales[quantity.name], look)
                axes.set_ylabel(_label(study, quantity, scales[quantity.name]))
            handles = [variant_handle(label, look[label]) for label in study.labels]
            share_labels(figure)
            shared_legend(figure, [*handles, *map(failure_handle, sorted(statuses))], style)
        return figure

    return draw
