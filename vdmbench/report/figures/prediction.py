"""How far ahead can a model tell? PSNR of each predicted frame, with that of the last known frame repeated."""

from __future__ import annotations

from matplotlib.lines import Line2D
from matplotlib.ticker import MaxNLocator

from vdmbench.figure_style import (
    ReportFigure,
    Style,
    applied,
    looks,
    share_labels,
    shared_legend,
    small_multiples,
    variant_handle,
)
from vdmbench.records import Prediction
from vdmbench.report.figures.length import FLOOR, draw_along
from vdmbench.report.figures.panels import NothingToDraw, first_panels, say_if_cut
from vdmbench.report.panels import Panel, panels
from vdmbench.report.study import Study


def prediction_figure(study: Study, style: Style) -> ReportFigure:
    """A panel a sweep point."""
    shown = [(panel, found) for panel in panels(study) if (found := _predictions(study, panel))]
    if not shown:
        raise NothingToDraw("nothing was predicted: 'sample.known_frames' lets clips continue real ones")
    look = looks(study.labels)
    with applied(style):
        figure, all_axes = small_multiples(style, len(first_panels(shown)), height=0.8)
        say_if_cut(figure, len(shown))
        for axes, (panel, found) in zip(all_axes, first_panels(shown), strict=True):
            for label, predictions in found.items():
                draw_along(axes, label, look[label], [_by_frame(each, each.psnr.by_frame) for each in predictions])
            any_one = next(iter(found.values()))[0]  # the clips are the same in all
            copied = _by_frame(any_one, any_one.psnr.copied_by_frame)
            axes.plot(list(copied), list(copied.values()), color=FLOOR, linewidth=1.6, zorder=2)
            axes.xaxis.set_major_locator(MaxNLocator(5, integer=True))
            axes.set_title(panel.title)
            axes.set_xlabel("Frame")
            axes.set_ylabel("PSNR (dB)")
        handles = [variant_handle(label, look[label]) for label in study.labels if any(label in found for _, found in shown)]
        share_labels(figure)
        shared_legend(figure, [*handles, Line2D([], [], color=FLOOR, linewidth=1.6, label="last frame repeated")], style)
    return figure


def _by_frame(prediction: Prediction, values: list[float]) -> dict[float, float]:
    return {float(prediction.known_frames + index): value for index, value in enumerate(values)}


def _predictions(study: Study, panel: Panel) -> dict[str, list[Prediction]]:
    found: dict[str, list[Prediction]] = {}
    for label in study.labels:
        records = [cell.record for group in panel.groups for cell in study.cells_in(group, label)]
        kept = [record.prediction for record in records if record.prediction is not None]
        if kept:
            found[label] = kept
    return found
