"""Does the video hold together over time? How far frame t + k has moved from frame t, against k, real video beside it."""

from __future__ import annotations

import numpy as np
from matplotlib.lines import Line2D

from vdmbench.figure_style import (
    INK,
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
from vdmbench.report.figures.panels import NothingToDraw, first_panels, say_if_cut
from vdmbench.report.figures.samples import Clips, all_clips
from vdmbench.report.study import Study


def drift(clips: np.ndarray, gaps: np.ndarray) -> np.ndarray:
    """Root mean squared difference in [0, 1] between frames k apart, over all clips and starts; uint8
    (clips, frames, height, width, channels) to (gaps,)."""
    video = clips.astype(np.float32) / 255
    return np.array([np.sqrt(np.mean((video[:, gap:] - video[:, :-gap]) ** 2)) for gap in gaps])


def frame_gaps(frames: int) -> np.ndarray:
    """Powers of two below the clip's length, and its half."""
    return np.unique([2**power for power in range(12) if 2**power < frames] + [max(1, frames // 2)])


def consistency_figure(study: Study, style: Style) -> ReportFigure:
    """A panel a sweep point that has samples."""
    found: list[Clips] = [clips for clips in all_clips(study) if next(iter(clips.rows.values())).shape[1] > 2]
    if not found:
        raise NothingToDraw("no samples.npz lies beside the records")
    look = looks(study.labels)
    with applied(style):
        figure, all_axes = small_multiples(style, len(first_panels(found)), height=0.75)
        say_if_cut(figure, len(found))
        for axes, clips in zip(all_axes, first_panels(found), strict=True):
            gaps = frame_gaps(min(videos.shape[1] for videos in clips.rows.values()))
            values: list[float] = []
            for label, videos in clips.rows.items():
                moved = drift(videos, gaps)
                values += [*moved]
                if label == "real":
                    axes.plot(gaps, moved, color=INK, linewidth=2, zorder=4)
                    continue
                line = axes.plot(
                    gaps,
                    moved,
                    color=look[label].colour,
                    marker=look[label].marker,
                    markersize=3.5,
                    markeredgecolor="white",
                    markeredgewidth=0.3,
                )[0]
                if look[label].dashes:
                    line.set_dashes(look[label].dashes)
                tag(
                    line,
                    look[label],
                    [f"{label}, {gap} frames apart: {value:.3f}" for gap, value in zip(gaps, moved, strict=True)],
                )
            if values:
                log_axis(axes.yaxis, values)
            log_axis(axes.xaxis, [float(gap) for gap in gaps], exact=len(gaps) <= 6)
            axes.set_title(study.title(clips.group))
            axes.set_xlabel("Frames apart")
            axes.set_ylabel("RMS change")
        share_labels(figure)
        shown = [label for label in study.labels if any(label in clips.rows for clips in found)]
        real = [Line2D([], [], color=INK, linewidth=2, label="real")] if any("real" in clips.rows for clips in found) else []
        shared_legend(figure, [*real, *(variant_handle(label, look[label]) for label in shown)], style)
    return figure
