"""Paired differences to the reference: seeds as dots, the median with its interval, a row a variant."""

from __future__ import annotations

import numpy as np
import seaborn
from matplotlib.axes import Axes
from matplotlib.ticker import MaxNLocator

from vdmbench.figure_style import (
    INK,
    PAPER,
    Look,
    ReportFigure,
    Style,
    applied,
    looks,
    share_labels,
    shortened,
    small_multiples,
    tag,
)
from vdmbench.report.aggregation import effects
from vdmbench.report.figures.panels import NothingToDraw, first_panels, say_if_cut
from vdmbench.report.quantities import Quantity
from vdmbench.report.statistics import Effect
from vdmbench.report.study import Group, Study
from vdmbench.report.tables import difference_unit, metric_header


def draw_differences(axes: Axes, study: Study, quantity: Quantity, group: Group, looks: dict[str, Look]) -> None:
    """One panel: differences in per cent, or in the quantity's unit where it is compared by differences; a variant without
    shared seeds has its status instead."""
    reference = str(study.reference)
    outcomes = study.outcomes(quantity)[group]
    labels = [label for label in study.labels if label != reference and label in outcomes]
    against = effects(study, quantity)[group]
    for row, label in enumerate(labels):
        effect = against.get(label)
        if effect is None or not _can_be_drawn(effect):
            lost = outcomes[label].failed
            axes.text(
                0.5,
                row,
                lost or f"{reference}: {outcomes[reference].failed}",
                transform=axes.get_yaxis_transform(),
                ha="center",
                va="center",
                fontsize="small",
                style="italic",
                bbox={"facecolor": PAPER, "edgecolor": "none", "pad": 1},
            )
            continue
        look = looks[label]
        factor = 100.0 if effect.relative else 1.0
        seeds = [factor * value for value in effect.on_scale.values if np.isfinite(value)]
        rows = [row] * len(seeds)
        seaborn.stripplot(
            x=seeds, y=rows, orient="h", native_scale=True, jitter=False, color=look.colour, alpha=0.5, size=2.4, ax=axes
        )
        tag(axes.collections[-1], look)
        if effect.on_scale.interval is not None:
            ends = [factor * bound for bound in effect.on_scale.interval]
            tag(axes.plot(ends, [row, row], color=look.colour, linewidth=1.4)[0], look)
        middle = factor * float(effect.on_scale.median or 0.0)
        median = axes.plot(
            [middle],
            [row],
            marker=look.marker,
            color=look.colour,
            linestyle="none",
            markeredgecolor="white",
            markeredgewidth=0.4,
            zorder=4,
        )[0]
        tag(median, look, [f"{label}: {middle:+.3g}{difference_unit(quantity)}, {effect.n} pairs"])
    axes.axvline(0, color=INK, linewidth=0.8)
    axes.set_yticks(np.arange(len(labels)), [shortened(label) for label in labels])
    axes.set_ylim(len(labels) - 0.4, -0.6)
    axes.grid(axis="y", visible=False)
    axes.xaxis.set_major_locator(MaxNLocator(5))
    axes.xaxis.set_major_formatter(lambda value, _: f"{value:+g}" if value else "0")


def _can_be_drawn(effect: Effect) -> bool:
    return effect.on_scale.median is not None and bool(np.isfinite(effect.on_scale.median))


def differences_figure(study: Study, style: Style) -> ReportFigure:
    """Distance, training memory and step time, a panel each, for every sweep point."""
    if study.reference is None:
        raise NothingToDraw("no reference to compare with")
    names = [*study.metrics, *(name for name in (study.memory.name, "step_time") if study.frame[name].notna().any())]
    shown = [
        (quantity, group)
        for group in study.groups
        for quantity in map(study.quantity, names)
        if any(effect is not None and _can_be_drawn(effect) for effect in effects(study, quantity)[group].values())
    ]
    if not shown:
        raise NothingToDraw(f"no variant shares a seed with {study.reference}")
    look = looks(study.labels)
    with applied(style):
        figure, all_axes = small_multiples(style, len(first_panels(shown)), height=0.55, columns=len(names))
        say_if_cut(figure, len(shown))
        for index, (axes, (quantity, group)) in enumerate(zip(all_axes, first_panels(shown), strict=True)):
            draw_differences(axes, study, quantity, group, look)
            where = study.title(group)
            title = metric_header(study, quantity.name) if quantity.name in study.metrics else quantity.label
            axes.set_title(f"{title}\n{where}" if where else title, fontsize="medium")
            axes.set_xlabel(f"Difference to {study.reference}{difference_unit(quantity)}")
            if index % len(names):
                axes.tick_params(labelleft=False)
        share_labels(figure)
    return figure
