"""Performance profiles over several data sets: the share of runs within a factor of the best, against that factor."""

from __future__ import annotations

import numpy as np

from vdmbench.figure_style import (
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
from vdmbench.report.improvement import performance_profile, tasks
from vdmbench.report.panels import panels
from vdmbench.report.study import Study
from vdmbench.report.tables import metric_header


def profiles_figure(study: Study, style: Style) -> ReportFigure:
    """A panel a metric and sweep point, over the data sets that were swept; higher and further left is better."""
    over, taus = tasks(study), np.geomspace(1, 10, 200)
    shown = [
        (metric, panel)
        for metric in map(study.quantity, study.metrics)
        for panel in panels(study, over)
        if len(panel.groups) > 1
        and any(performance_profile(study, metric, panel.groups, label, taus) is not None for label in study.labels)
    ]
    if not over:
        raise NothingToDraw("only one data set was run (sweep data.source)")
    if not shown:
        raise NothingToDraw("no metric that is compared by ratios has three seeds on two data sets")
    look = looks(study.labels)
    with applied(style):
        figure, all_axes = small_multiples(style, len(first_panels(shown)), height=0.75)
        say_if_cut(figure, len(shown))
        for axes, (metric, panel) in zip(all_axes, first_panels(shown), strict=True):
            reach = 1.2
            for label in study.labels:
                profile = performance_profile(study, metric, panel.groups, label, taus)
                if profile is None:
                    continue
                reached = np.flatnonzero(profile >= profile[-1])
                reach = max(reach, float(taus[reached[0]]) if len(reached) else reach)
                line = axes.step(taus, profile, where="post", color=look[label].colour)[0]
                if look[label].dashes:
                    line.set_dashes(look[label].dashes)
                tag(line, look[label])
            log_axis(axes.xaxis, [1.0, reach])
            axes.set_ylim(-0.02, 1.02)
            axes.set_title(panel.title)
            axes.set_xlabel(f"{metric_header(study, metric.name)} over the best")
            axes.set_ylabel("Share of runs")
        share_labels(figure)
        handles = [variant_handle(label, look[label]) for label in study.labels]
        for handle in handles:
            handle.set_marker("")
        shared_legend(figure, handles, style)
    return figure
