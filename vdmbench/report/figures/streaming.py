"""Clips made chunk by chunk: seconds a frame, memory and state against frames made."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from matplotlib.ticker import EngFormatter, MaxNLocator

from vdmbench.figure_style import (
    MAXIMUM_PANELS,
    ReportFigure,
    Style,
    applied,
    log_axis,
    looks,
    shared_legend,
    small_multiples,
    tag,
    variant_handle,
)
from vdmbench.report.figures.panels import NothingToDraw, say_if_cut
from vdmbench.report.quantities import Quantity, choose_scale, find_quantity, header
from vdmbench.report.streaming import MEMORY, Streamed, streamed
from vdmbench.report.study import Study

_SERIES = ("seconds", "memory", "state")


def streaming_figure(study: Study, style: Style) -> ReportFigure:
    """A row a sweep point: latency, memory, and the state that is part of it."""
    shown = {
        group: found
        for group in study.groups
        if (found := {label: each for label in study.labels if (each := streamed(study, group, label)) is not None})
    }
    if not shown:
        raise NothingToDraw("no clip was made chunk by chunk: 'sample.rollout' makes them so")
    rows = list(shown.items())[: MAXIMUM_PANELS // len(_SERIES)]
    look = looks(study.labels)
    with applied(style):
        figure, all_axes = small_multiples(style, len(rows) * len(_SERIES), height=0.8, columns=len(_SERIES))
        say_if_cut(figure, len(shown) * len(_SERIES))
        for number, (group, found) in enumerate(rows):
            for axes, series in zip(all_axes[number * len(_SERIES) :], _SERIES, strict=False):
                quantity = _quantity(series, found)
                scale = choose_scale(quantity, [float(np.median(getattr(each, series))) for each in found.values()])
                highest = 0.0
                for label, each in found.items():
                    values = getattr(each, series) / scale.factor
                    line = axes.plot(each.at, values, color=look[label].colour, linewidth=1.1)[0]
                    if look[label].dashes:
                        line.set_dashes(look[label].dashes)
                    last = f"{label}, frame {each.at[-1]:g}: {values[-1]:.3g} {scale.unit}"
                    tag(line, look[label], [last])
                    highest = max(highest, float(np.quantile(values, 0.99)))
                if series == "state":
                    log_axis(axes.yaxis, [value for each in found.values() for value in each.state / scale.factor])
                else:
                    axes.set_ylim(0, 1.1 * highest)
                    axes.yaxis.set_major_locator(MaxNLocator(4))
                axes.xaxis.set_major_locator(MaxNLocator(4, integer=True))
                axes.xaxis.set_major_formatter(EngFormatter(sep=""))
                axes.set_title(", ".join(filter(None, (header(quantity, scale), study.title(group)))))
                if number == len(rows) - 1:
                    axes.set_xlabel("Frames made")
        drawn = [label for label in study.labels if any(label in found for found in shown.values())]
        handles = [variant_handle(label, look[label]) for label in drawn]
        for handle in handles:
            handle.set_marker("")
        shared_legend(figure, handles, style)
    return figure


def _quantity(series: str, found: dict[str, Streamed]) -> Quantity:
    if series == "seconds":
        return _renamed(find_quantity("step_time", ()), "A frame")
    if series == "state":
        return _renamed(MEMORY, "State")
    on_device = next(iter(found.values())).source.startswith("CUDA")
    return _renamed(MEMORY, "Allocated" if on_device else "RSS beyond libraries")


def _renamed(quantity: Quantity, label: str) -> Quantity:
    return replace(quantity, label=label)
