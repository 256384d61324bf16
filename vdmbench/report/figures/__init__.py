"""Figures by name, each one file in PDF (fonts embedded), SVG and PNG."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from io import BytesIO
from pathlib import Path

from vdmbench.figure_style import STYLES, ReportFigure, Style, applied, find_style, shorten_names
from vdmbench.records import write_atomically
from vdmbench.report.figures.consistency import consistency_figure
from vdmbench.report.figures.differences import differences_figure
from vdmbench.report.figures.frontier import frontier_figure
from vdmbench.report.figures.length import length_figure
from vdmbench.report.figures.panels import NothingToDraw
from vdmbench.report.figures.phases import phases_figure
from vdmbench.report.figures.prediction import prediction_figure
from vdmbench.report.figures.profiles import profiles_figure
from vdmbench.report.figures.progress import progress_figure
from vdmbench.report.figures.samples import samples_figure
from vdmbench.report.figures.scaling import scaling_figure
from vdmbench.report.figures.streaming import streaming_figure
from vdmbench.report.figures.training import training_figure
from vdmbench.report.figures.tuning import tuning_figure
from vdmbench.report.study import Study

__all__ = ["FIGURES", "FORMATS", "STYLES", "NothingToDraw", "Style", "UnknownFigure", "draw", "find_style", "rendered", "save"]

FIGURES: dict[str, tuple[Callable[[Study, Style], ReportFigure], str]] = {
    "frontier": (
        frontier_figure,
        "Distance against training memory. Further left is better, and lower (higher where more is better); what lies "
        "beyond the grey stair, of means of three seeds or more, is dominated.",
    ),
    "memory": (scaling_figure("memory"), "Training memory against clip length."),
    "throughput": (scaling_figure("train_throughput"), "Training throughput against clip length."),
    "distance": (scaling_figure("distance"), "Distance to held-out real video against clip length."),
    "length": (
        length_figure,
        "Distance of each window along the video to real windows; grey: held-out real windows at the same place. Right of the "
        "dotted line are frames beyond those of training's clips.",
    ),
    "prediction": (
        prediction_figure,
        "PSNR of each predicted frame; grey: the last known frame repeated. Higher is better.",
    ),
    "streaming": (
        streaming_figure,
        "Clips made chunk by chunk, one batch of them: seconds a frame, memory, and what mixers carry, against frames made.",
    ),
    "training": (training_figure, "Training loss: mean over seeds, band from lowest to highest seed."),
    "tuning": (tuning_figure, "Mean score of the trials of each value of a tuned field; a ring is round the chosen one."),
    "progress": (
        progress_figure,
        "What runs had learned against what training had spent, in steps, FLOPs and seconds: mean over seeds, band from lowest "
        "to highest seed.",
    ),
    "differences": (
        differences_figure,
        "Paired differences to the reference: a dot a seed, the median with its 95 % interval (from six seeds on).",
    ),
    "phases": (phases_figure, "Peak memory of phases: mean over seeds, as counted on a GPU or as planned for one."),
    "consistency": (
        consistency_figure,
        "How far frames k apart differ. Nearer to real is better; a frozen video lies below it.",
    ),
    "profiles": (profiles_figure, "Share of runs within a factor of the best mean of three seeds or more, over all data sets."),
    "samples": (samples_figure, "Samples from the same noise, frames evenly over the clip."),
}
FORMATS = ("pdf", "svg", "png")


class UnknownFigure(ValueError):
    """No figure of that name."""


def draw(study: Study, name: str, style: Style | str = "default") -> ReportFigure:
    """One figure by name; its axes are ``figure.axes``.

    Raises :class:`UnknownFigure`, or :class:`NothingToDraw` with the reason.
    """
    if name not in FIGURES:
        raise UnknownFigure(f"unknown figure '{name}'; known: {', '.join(FIGURES)}")
    look = find_style(style) if isinstance(style, str) else style
    figure = FIGURES[name][0](study, look)
    shorten_names(figure)
    return figure


def rendered(figure: ReportFigure, style: Style, formats: Iterable[str] = FORMATS) -> dict[str, bytes]:
    """The figure's file in each format; equal figures give equal bytes (no dates, fixed ids).

    The layout is found once for all formats: finding it costs more than drawing.
    """
    metadata: dict[str, dict[str, str | None]] = {
        "pdf": {"CreationDate": None, "Producer": None, "Creator": "vdmbench"},
        "svg": {"Date": None, "Creator": "vdmbench"},
        "png": {"Software": "vdmbench"},
    }
    pictures = {}
    layout = figure.get_layout_engine()
    with applied(style):
        if layout is not None:
            layout.execute(figure)
        figure.set_layout_engine(None)  # else each format would look for it again
        for ending in formats:
            buffer = BytesIO()
            figure.savefig(buffer, format=ending, metadata=metadata[ending])
            pictures[ending] = buffer.getvalue()
    figure.set_layout_engine(layout)
    return pictures


def save(figure: ReportFigure, path: Path, style: Style, formats: Iterable[str] = FORMATS) -> list[Path]:
    """Write ``path`` with each format's ending."""
    written = []
    for ending, picture in rendered(figure, style, formats).items():
        written.append(path.with_name(f"{path.name}.{ending}"))
        write_atomically(written[-1], picture)
    return written
