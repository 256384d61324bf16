"""Log-log figures: seconds and peak memory against frames, with the fitted exponent beside each line's name."""

from __future__ import annotations

import io
import math
from collections.abc import Callable, Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import FixedLocator

from vdmbench.bench.rows import Row, distinct
from vdmbench.bench.tables import exponent, extra_memory, grouped, seconds
from vdmbench.figure_style import INK, STYLES, Look, Style, applied, log_axis, looks, share_labels, small_multiples

QUANTITIES: dict[str, tuple[str, Callable[[Row], float | None], float]] = {
    "seconds": ("milliseconds of a step", seconds, 1e-3),
    "memory": ("extra peak memory (MiB)", extra_memory, 2.0**20),
}
"""File name to the axis' label, the value of a row, and the unit that it is drawn in."""
FORMATS = ("png", "svg", "pdf")
MOST_IN_A_PANEL = 5


def cost_figure(rows: Sequence[Row], quantity: str, style: Style = STYLES["default"]) -> Figure | None:
    """One panel an op, a line a backend; mixers in panels of a few, since they share axes. None where nothing was measured.

    A backend has one colour in every panel, and so has a mixer. Crosses at the upper edge are clips that ran out of memory.
    What computes nothing (the identity) is left to the tables: its microseconds would flatten all else.
    """
    label, value, unit = QUANTITIES[quantity]
    groups = {
        name: group for name, group in grouped(rows).items() if any(value(row) is not None and row.flops != 0 for row in group)
    }
    if not groups:
        return None
    with applied(style):
        panels = _panels(groups)
        ops = rows[0].kind == "op"
        styles = looks(distinct(_key(group[0], ops=ops) for group in groups.values()))
        columns = min(3 if ops else 2, len(panels))
        figure, axes = small_multiples(style, len(panels), height=0.86 if ops else 0.7, columns=columns)
        # Points that the longest legend takes of a panel; panels of one scale keep the same room for theirs.
        panel_height = 0.75 * 72 * figure.get_figheight() / math.ceil(len(panels) / columns)
        longest = max(map(len, panels.values()))
        everywhere = [value(row) for group in groups.values() for row in group]
        for axis, (title, names) in zip(axes, panels.items(), strict=True):
            axis.set_title(title)
            axis.set_xlabel("frames F")
            axis.set_ylabel(label)
            own = [value(row) for name in names for row in groups[name]]
            room = 1.45 * (style.size - 2) * ((len(names) if ops else longest) + 1.3) / panel_height
            _draw(
                axis,
                {name: groups[name] for name in names},
                styles,
                value,
                unit,
                own if ops else everywhere,
                style,
                min(0.5, room),
                ops=ops,
            )
        share_labels(figure)
    return figure


def _key(row: Row, *, ops: bool) -> str:
    return row.backend if ops else row.label


def _panels(groups: dict[str, list[Row]]) -> dict[str, list[str]]:
    """Titles to the lines that they hold."""
    if next(iter(groups.values()))[0].kind == "op":
        subjects = distinct(group[0].subject for group in groups.values())
        return {
            subject.replace("_", " "): [name for name, group in groups.items() if group[0].subject == subject]
            for subject in subjects
        }
    names = list(groups)
    panels = math.ceil(len(names) / MOST_IN_A_PANEL)
    size = math.ceil(len(names) / panels)
    return {"" if panels == 1 else " " * (number + 1): names[number * size : (number + 1) * size] for number in range(panels)}


def _draw(
    axes: Axes,
    groups: dict[str, list[Row]],
    styles: dict[str, Look],
    value: Callable[[Row], float | None],
    unit: float,
    shown: Sequence[float | None],
    style: Style,
    head_room: float,
    *,
    ops: bool,
) -> None:
    handles = []
    failed = False
    for group in groups.values():
        look = styles[_key(group[0], ops=ops)]
        known = [row for row in group if value(row) is not None]
        heights = np.array([value(row) for row in known], dtype=float) / unit
        (line,) = axes.plot(
            [row.frames for row in known],
            heights,
            color=look.colour,
            marker=look.marker,
            markeredgecolor="white",
            markeredgewidth=0.4,
        )
        if look.dashes:
            line.set_dashes(look.dashes)
        if value is seconds:
            quartiles = ((row.seconds_q1, row.seconds_q3) for row in known)
            low, high = np.array(list(quartiles), dtype=float).T / unit
            axes.fill_between([row.frames for row in known], low, high, color=look.colour, alpha=0.18, linewidth=0)
        out = [row.frames for row in group if row.status == "oom" and value(row) is None]
        if out:
            failed = True
            axes.plot(out, [0.95] * len(out), "x", color=look.colour, markersize=5, transform=axes.get_xaxis_transform())
        handles.append(_handle(group, look, value, ops=ops))
    if failed:
        handles.append(Line2D([], [], color=INK, marker="x", linestyle="none", markersize=5, label="out of memory"))
    frames = sorted({row.frames for group in groups.values() for row in group})
    log_axis(axes.xaxis, frames, exact=True)
    axes.xaxis.set_major_locator(FixedLocator(frames[(len(frames) - 1) % _every(frames) :: _every(frames)]))
    log_axis(axes.yaxis, [each / unit for each in shown if each], head_room=head_room)
    axes.legend(handles=handles, loc="upper left", fontsize=style.size - 2, labelspacing=0.25, borderaxespad=0.1)


def _every(frames: Sequence[int]) -> int:
    """Lengths from one tick to the next, the longest one ticked."""
    return math.ceil(len(frames) / 5)


def _handle(group: Sequence[Row], look: Look, value: Callable[[Row], float | None], *, ops: bool) -> Line2D:
    slope = exponent(group, value)
    auto = group[0].backend == "auto" and not ops
    name = group[0].subject if auto else group[0].backend if ops else group[0].label
    text = name if slope is None else f"{name}   F$^{{\\mathregular{{{slope}}}}}$"
    handle = Line2D(
        [], [], color=look.colour, marker=look.marker, markersize=4, markeredgecolor="white", markeredgewidth=0.4, label=text
    )
    if look.dashes:
        handle.set_dashes(look.dashes)
    return handle


def rendered(figure: Figure, style: Style = STYLES["default"]) -> dict[str, bytes]:
    """Format to the file's bytes, the same at every run (no dates inside)."""
    files = {}
    with applied(style):
        for name in FORMATS:
            buffer = io.BytesIO()
            metadata = {"svg": {"Date": None}, "pdf": {"CreationDate": None}}.get(name)
            figure.savefig(buffer, format=name, metadata=metadata)
            files[name] = buffer.getvalue()
    return files
