"""How every figure looks: one colour, marker and dash for each variant, sizes of a paper's columns, ticks that read.

Figures are built on :class:`matplotlib.figure.Figure` alone: no pyplot, so no global state and no window system.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import matplotlib
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.axis import Axis, XAxis
from matplotlib.figure import Figure
from matplotlib.font_manager import FontProperties
from matplotlib.layout_engine import ConstrainedLayoutEngine
from matplotlib.lines import Line2D
from matplotlib.textpath import TextPath
from matplotlib.ticker import FixedLocator, FuncFormatter, MaxNLocator, NullLocator

# Okabe & Ito, "Color Universal Design" (2008), yellow and black left out: told apart under every common colour blindness.
PALETTE = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#7A5195", "#8C8C8C")
MARKERS = ("o", "s", "^", "D", "v", "p", "<", "*", ">", "h", "d")
DASHES: tuple[tuple[float, ...], ...] = ((), (4, 1.5), (1.2, 1.2), (5, 1.2, 1.2, 1.2), (7, 2), (3, 1, 1, 1, 1, 1))
INK, FAINT, PAPER = "#1A1A1B", "#D9D9DA", "#FFFFFE"
"""Text and axes, grid, ground: odd values, so that the page can find them in an SVG and give them its own colours."""


@dataclass(frozen=True)
class Look:
    """What one variant looks like, everywhere."""

    key: str
    """``variant-<index>``: what the page finds its marks by."""
    colour: str
    marker: str
    dashes: tuple[float, ...]


def looks(labels: Sequence[str]) -> dict[str, Look]:
    """A look for each label, in declared order; the three lists have lengths without a common factor, so none comes twice
    within 264."""
    return {
        label: Look(
            f"variant-{index}", PALETTE[index % len(PALETTE)], MARKERS[index % len(MARKERS)], DASHES[index % len(DASHES)]
        )
        for index, label in enumerate(labels)
    }


@dataclass(frozen=True)
class Style:
    """Widths in inches, and type, of a place of publication."""

    name: str
    single: float
    double: float
    family: str = "sans-serif"
    size: float = 8.0


STYLES = {
    style.name: style
    for style in (
        Style("default", 3.5, 7.0),
        Style("neurips", 2.7, 5.5, "serif"),
        Style("icml", 3.25, 6.75, "serif"),
        Style("cvpr", 3.27, 6.88, "serif"),
        Style("talk", 5.0, 10.0, size=13.0),
    )
}


class ReportFigure(Figure):
    """A figure that also knows what to say of each of its points."""

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self.tips: dict[str, list[str]] = {}
        """Group id in the SVG to a line of text for each marker in it."""


def tag(artist: Artist, look: Look, tips: Sequence[str] = ()) -> None:
    """Name an artist after its variant, so that the page can hide it and say what its points are."""
    figure = artist.get_figure(root=True)
    if not isinstance(figure, ReportFigure):
        return
    gid = f"{look.key}-{len(figure.tips)}"
    figure.tips[gid] = list(tips)
    artist.set_gid(gid)


class UnknownStyle(ValueError):
    """No style of that name."""


def find_style(name: str) -> Style:
    """A style by name; raises :class:`UnknownStyle` with those there are."""
    if name not in STYLES:
        raise UnknownStyle(f"unknown style '{name}'; known: {', '.join(STYLES)}")
    return STYLES[name]


@contextmanager
def applied(style: Style) -> Iterator[None]:
    """Draw and save inside this: type, weights and embedded fonts of ``style``."""
    serif = ["Times New Roman", "Nimbus Roman", "STIX Two Text", "STIXGeneral", "DejaVu Serif"]
    settings: dict[Any, Any] = {
        "font.family": style.family,
        "font.serif": serif,
        "font.sans-serif": ["Arial", "Helvetica", "DejaVu Sans"],
        "font.size": style.size,
        "axes.labelsize": style.size,
        "axes.titlesize": style.size,
        "xtick.labelsize": style.size - 1,
        "ytick.labelsize": style.size - 1,
        "legend.fontsize": style.size - 0.5,
        "mathtext.fontset": "stix" if style.family == "serif" else "dejavusans",
        "pdf.fonttype": 42,
        "svg.fonttype": "path",
        "svg.hashsalt": "vdmbench",
        "savefig.dpi": 300,
        "figure.dpi": 150,
        "axes.linewidth": 0.6,
        "lines.linewidth": 1.2,
        "lines.markersize": 4.2,
        "xtick.major.width": 0.6,
        "ytick.major.width": 0.6,
        "xtick.major.size": 2.6,
        "ytick.major.size": 2.6,
        "axes.spines.top": False,
        "axes.spines.right": False,
        "axes.grid": True,
        "grid.color": FAINT,
        "grid.linewidth": 0.5,
        "axes.axisbelow": True,
        "legend.frameon": False,
        "legend.handlelength": 2.4,
        "text.color": INK,
        "axes.labelcolor": INK,
        "axes.edgecolor": INK,
        "xtick.color": INK,
        "ytick.color": INK,
        "figure.facecolor": PAPER,
        "axes.facecolor": "none",
        "savefig.facecolor": PAPER,
    }
    with matplotlib.rc_context(settings):
        yield


MAXIMUM_PANELS = 24


def small_multiples(
    style: Style, count: int, *, height: float = 0.72, columns: int | None = None
) -> tuple[ReportFigure, list[Axes]]:
    """A figure of ``count`` equal panels: one column wide for a single panel, two for more; height as a share of width."""
    columns = columns or (count if count <= 3 else 4 if count % 4 == 0 or count > 6 else 3 if count > 4 else 2)
    columns = min(columns, count)
    rows = math.ceil(count / columns)
    width = style.single if count == 1 else style.double
    panel = width / columns
    figure = ReportFigure(
        figsize=(width, rows * panel * height + 0.3 * style.size / 8),
        layout=ConstrainedLayoutEngine(w_pad=0.03, h_pad=0.03, wspace=0.03, hspace=0.05),
    )
    axes = [figure.add_subplot(rows, columns, index + 1) for index in range(count)]
    return figure, axes


def share_labels(figure: Figure) -> None:
    """Labels that all panels share are written once for the figure; of others, those that repeat the left neighbour's go."""
    panels = figure.axes
    if len(panels) < 2:
        return
    x_labels, y_labels = {axes.get_xlabel() for axes in panels}, {axes.get_ylabel() for axes in panels}
    if len(x_labels) == 1:
        figure.supxlabel(x_labels.pop(), fontsize=panels[0].xaxis.label.get_fontsize())
        for axes in panels:
            axes.set_xlabel("")
    if len(y_labels) == 1:
        figure.supylabel(y_labels.pop(), fontsize=panels[0].yaxis.label.get_fontsize())
        for axes in panels:
            axes.set_ylabel("")


LONGEST_NAME, LONGEST_TITLE = 40, 90
"""Characters that a figure has room for."""


def shortened(text: str, most: int = LONGEST_NAME) -> str:
    """A name that would take the room of the figure, without its middle."""
    return text if len(text) <= most else f"{text[: most // 2]}…{text[-(most // 2) :]}"


def shorten_names(figure: Figure) -> None:
    """Titles, legends and names within a figure; labels of axes stay as they are."""
    for axes in figure.axes:
        axes.title.set_text(shortened(axes.get_title(), LONGEST_TITLE))  # set_title would set the size of no style
        for text in axes.texts:
            text.set_text(shortened(text.get_text()))
    for legend in figure.legends:
        for text in legend.get_texts():
            text.set_text(shortened(text.get_text()))


def variant_handle(label: str, look: Look) -> Line2D:
    """The legend's entry of a variant."""
    line = Line2D(
        [], [], color=look.colour, marker=look.marker, markersize=5, markeredgecolor="white", markeredgewidth=0.4, label=label
    )
    if look.dashes:
        line.set_dashes(look.dashes)
    return line


STATUS_MARKERS = {"oom": "x", "infeasible": "+"}


def failure_handle(status: str) -> Line2D:
    """The legend's entry of a way to fail."""
    return Line2D(
        [],
        [],
        color=INK,
        marker=STATUS_MARKERS.get(status, "1"),
        linestyle="none",
        markersize=5.5,
        label={"oom": "out of memory"}.get(status, status),
    )


def _legend_columns(labels: Sequence[str], points: float, style: Style) -> int:
    """The most columns, evenly filled, that fit into a width: columns are filled one after the other, each as wide as its
    longest label with its handle and the gap to the next."""
    font = FontProperties(family=matplotlib.rcParams["font.family"], size=style.size - 0.5)
    widths = [TextPath((0, 0), label or " ", prop=font).get_extents().width + 4.4 * style.size for label in labels]
    for rows in range(1, len(labels) + 1):
        columns = [widths[start : start + rows] for start in range(0, len(widths), rows)]
        if sum(map(max, columns)) <= points:
            return len(columns)
    return 1


def shared_legend(figure: Figure, handles: Sequence[Line2D], style: Style) -> None:
    """One legend above all panels, in as few rows as fit."""
    columns = _legend_columns([str(handle.get_label()) for handle in handles], figure.get_figwidth() * 72, style)
    rows = math.ceil(len(handles) / columns)
    figure.set_figheight(figure.get_figheight() + rows * 1.5 * style.size / 72)
    figure.legend(
        handles=list(handles),
        loc="outside upper center",
        ncols=columns,
        columnspacing=1.4,
        handletextpad=0.6,
        borderaxespad=0.1,
        borderpad=0.2,
        labelspacing=0.35,
    )


def _linear_axis(axis: Axis, low: float, high: float, head_room: float) -> None:
    span = (high - low) or abs(high) or 1.0
    margin = 0.07 * span
    limits = low - margin, high + margin + (span + 2 * margin) * head_room / (1 - head_room)
    if isinstance(axis, XAxis):
        axis.axes.set_xlim(*limits)
    else:
        axis.axes.set_ylim(*limits)
    axis.set_major_locator(MaxNLocator(5))


_ROUNDEST_FIRST = (
    (1.0,),
    (2.0, 5.0),
    (3.0, 1.5, 7.0),
    (4.0, 6.0, 8.0),
    (2.5, 1.2, 3.5, 9.0, 4.5),
    tuple(value / 10 for value in range(10, 100)),
    tuple(value / 100 for value in range(100, 1000)),
    tuple(value / 1000 for value in range(1000, 10000)),
)


def log_ticks(low: float, high: float, gap: float) -> list[float]:
    """Three to seven round numbers between ``low`` and ``high``, the roundest first, none nearer to another than ``gap`` of
    the axis."""
    powers = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
    nearest = gap * math.log(high / low)
    ticks: list[float] = []
    for steps in _ROUNDEST_FIRST:
        for tick in (step * 10.0**power for step in steps for power in powers):
            if low <= tick <= high and all(abs(math.log(tick / other)) >= nearest for other in ticks):
                ticks.append(tick)
        if len(ticks) >= 4:
            break
    return sorted(ticks)


def log_axis(axis: Axis, values: Sequence[float], *, exact: bool = False, head_room: float = 0.0) -> None:
    """Logarithmic, a little wider than ``values``, with plain numbers at round places, or ``exact``ly at the values; linear
    where a value is zero or less, for it has no logarithm and would vanish.

    ``head_room`` is a share of the axis kept free above, for what failed. Values that are not finite are no part of the axis;
    without any other it stays as it is.
    """
    values = [float(value) for value in values if math.isfinite(value)]
    if not values:
        return
    low, high = min(values), max(values)
    if low <= 0:
        _linear_axis(axis, low, high, head_room)
        return
    span = max(math.log(high / low), math.log(1.25))
    margin = 0.07 * span
    top = (span + 2 * margin) * head_room / (1 - head_room)
    middle = (math.log(low) + math.log(high)) / 2
    limits = math.exp(middle - span / 2 - margin), math.exp(middle + span / 2 + margin + top)
    ticks = sorted(set(values)) if exact else log_ticks(*limits, gap=0.17 if isinstance(axis, XAxis) else 0.1)
    if isinstance(axis, XAxis):
        axis.axes.set_xscale("log")
        axis.axes.set_xlim(*limits)
    else:
        axis.axes.set_yscale("log")
        axis.axes.set_ylim(*limits)
    axis.set_major_locator(FixedLocator(ticks))
    axis.set_minor_locator(NullLocator())
    axis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:.10g}"))
