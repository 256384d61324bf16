"""How panels are filled: which fit, and how failed cells are marked in them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TypeVar

from matplotlib.axes import Axes

from vdmbench.figure_style import MAXIMUM_PANELS, STATUS_MARKERS, Look, ReportFigure, tag
from vdmbench.report.panels import Panel
from vdmbench.report.quantities import Quantity
from vdmbench.report.study import Outcome, Study

T = TypeVar("T")


class NothingToDraw(ValueError):
    """These records hold nothing for this figure; the message says what is wanting."""


def has_numbers(study: Study, quantity: Quantity, panel: Panel) -> bool:
    return any(outcome.n for group in panel.groups for outcome in study.outcomes(quantity)[group].values())


def first_panels(shown: list[T]) -> list[T]:
    """As many as one figure can hold."""
    return shown[:MAXIMUM_PANELS]


def say_if_cut(figure: ReportFigure, count: int) -> None:
    """Name the panels that there was no room for."""
    if count > MAXIMUM_PANELS:
        figure.suptitle(f"the first {MAXIMUM_PANELS} of {count} panels; the tables hold all")


def lower_end(mean: float, deviation: float) -> float:
    """Where a bar of one deviation ends below: at half of a positive mean at the latest, which a logarithmic axis can show."""
    return max(mean - deviation, 0.5 * mean) if mean > 0 else mean - deviation


def main_status(outcome: Outcome) -> str:
    """The commonest failure of an outcome without any number."""
    statuses = list(outcome.failures.values())
    return max(sorted(set(statuses)), key=statuses.count)


def mark_failures(axes: Axes, failed: Mapping[str, list[tuple[float, str]]], looks: Mapping[str, Look]) -> set[str]:
    """Crosses in a strip at the top of the axes, at the x of what failed; those at one x stand below one another.

    ``failed``: label to (x, status). Returns the statuses drawn.
    """
    at: dict[float, int] = {}
    for label, marks in failed.items():
        for x, status in marks:
            row = at.get(x, 0)
            at[x] = row + 1
            cross = axes.plot(
                [x],
                [0.955 - 0.075 * row],
                marker=STATUS_MARKERS.get(status, "1"),
                color=looks[label].colour,
                zorder=5,
                linestyle="none",
                markersize=5.5,
                markeredgewidth=1.5,
                transform=axes.get_xaxis_transform(),
                clip_on=False,
            )
            tag(cross[0], looks[label], [f"{label} at {x:g}: {status}"])
    return {status for marks in failed.values() for _, status in marks}


def rows_of_failures(failed: Mapping[str, list[tuple[float, str]]]) -> int:
    """The most failures at one x."""
    xs = [x for marks in failed.values() for x, _ in marks]
    return max((xs.count(x) for x in xs), default=0)
