"""The tables that answer questions: who is on the frontier, and how cost grows with clip length."""

from __future__ import annotations

import math
from dataclasses import replace

from vdmbench.quantities import BUILT_IN
from vdmbench.report.frontier import Gap, Reading, common_level, dominating, frontier_gap, points_of, read_at, widths
from vdmbench.report.improvement import probability_of_improvement, tasks
from vdmbench.report.panels import panels
from vdmbench.report.quantities import choose_scale
from vdmbench.report.scaling import Crossover, Estimate, crossover, exponent
from vdmbench.report.statistics import LEVEL, holm
from vdmbench.report.study import Study
from vdmbench.report.tables import ABSENT, Column, Entry, Table, metric_header, shown_value


def frontier_table(study: Study) -> Table:
    """For every variant in every panel: whether it is on the common front, and how it lies to the reference's frontier."""
    reference, memory = study.reference, study.quantity("peak_train_memory")
    against = (
        [
            Column("memory", f"Memory at equal distance, against {reference} (%)", True),
            Column("distance", f"Distance at equal memory, against {reference} (%)", True),
        ]
        if reference
        else []
    )
    columns = [
        Column("where", "Where"),
        Column("metric", "Metric"),
        Column("variant", "Variant"),
        Column("front", "On the front"),
        *against,
    ]
    rows = []
    interpolated = False
    for metric in map(study.quantity, study.metrics):
        for panel in panels(study, widths(study)):
            points = {label: points_of(study, panel.groups, label, memory, metric) for label in study.labels}
            beaten = dominating(points)
            gaps: dict[str, tuple[Gap | None, Gap | None]] = {}
            for label in beaten if reference else ():
                swapped = [points_of(study, panel.groups, name, metric, memory) for name in (label, str(reference))]
                gaps[label] = (None, None)
                if label != reference:
                    gaps[label] = frontier_gap(*swapped), frontier_gap(points[label], points[str(reference)])
            interpolated = interpolated or any(gap for pair in gaps.values() for gap in pair)
            significant = _significant(gaps)
            for label, other in beaten.items():
                front = Entry("yes" if other is None else f"no: {other}")
                row = [Entry(panel.title or ABSENT), Entry(metric_header(study, metric.name)), Entry(label), front]
                row += [_gap_entry(gap, bold=(label, side) in significant) for side, gap in enumerate(gaps.get(label, ()))]
                rows.append(row)
    notes = [
        "On the front: no other variant has a mean at most as large in both memory and distance; else one that has is named."
    ]
    if reference:
        notes.append(
            "Frontiers are interpolated between the widths that were run, over the range that both span; interval: bootstrap "
            "over seeds."
            if interpolated
            else "One width a variant: nothing to interpolate between. Sweep a width "
            "(network.base_channels) to compare at equal memory or distance."
        )
    return _without_empty(Table("frontier", "Memory and distance", columns, rows, notes))


def _significant(gaps: dict[str, tuple[Gap | None, Gap | None]]) -> set[tuple[str, int]]:
    """Which of a panel's gaps are, after Holm's correction over its variants, for each of the two questions."""
    found = set()
    for side in (0, 1):
        adjusted = holm([None if (gap := pair[side]) is None or math.isnan(gap.p) else gap.p for pair in gaps.values()])
        found |= {(label, side) for label, p in zip(gaps, adjusted, strict=True) if p is not None and p < LEVEL}
    return found


def _gap_entry(gap: Gap | None, *, bold: bool) -> Entry:
    if gap is None:
        return Entry(ABSENT)
    text = f"{100 * gap.relative:+.1f}"
    if not math.isnan(gap.low):
        text += f" ({100 * gap.low:+.1f} to {100 * gap.high:+.1f})"
    return Entry(text, 100 * gap.relative, bold=bold)


def levels_table(study: Study) -> Table:
    """The same frontiers read at one common place: memory at one distance, and distance at one memory."""
    memory = study.quantity("peak_train_memory")
    metrics = [study.quantity(name) for name in study.metrics]
    scale = choose_scale(memory, study.frame["peak_train_memory"].dropna())
    columns = [
        Column("where", "Where"),
        Column("metric", "Metric"),
        Column("variant", "Variant"),
        Column("at_distance", "At distance", True),
        Column("memory", f"memory ({scale.unit})", True),
        Column("at_memory", f"At memory ({scale.unit})", True),
        Column("distance", "distance", True),
    ]
    rows = []
    for metric in metrics:
        for panel in panels(study, widths(study)):
            by_distance = {label: points_of(study, panel.groups, label, metric, memory) for label in study.labels}
            by_memory = {label: points_of(study, panel.groups, label, memory, metric) for label in study.labels}
            distance, size = common_level(by_distance), common_level(by_memory)
            for label in study.labels:
                needs = None if distance is None else read_at(by_distance[label], distance)
                gives = None if size is None else read_at(by_memory[label], size)
                if needs is None and gives is None:
                    continue
                rows.append(
                    [
                        Entry(panel.title or ABSENT),
                        Entry(metric_header(study, metric.name)),
                        Entry(label),
                        _level(distance),
                        _reading(needs, scale.factor),
                        _level(size, scale.factor),
                        _reading(gives),
                    ]
                )
    notes = [
        "Each frontier, interpolated between the widths that were run, at the middle of the range that all of them span; "
        "interval: bootstrap over seeds. A dash: a frontier that does not reach there."
    ]
    return _without_empty(Table("levels", "Memory at one distance, distance at one memory", columns, rows, notes))


def _level(value: float | None, factor: float = 1.0) -> Entry:
    return Entry(ABSENT) if value is None else Entry(shown_value(value / factor), value / factor)


def _reading(reading: Reading | None, factor: float = 1.0) -> Entry:
    if reading is None:
        return Entry(ABSENT)
    text = shown_value(reading.value / factor)
    if not math.isnan(reading.low):
        text += f" ({shown_value(reading.low / factor)} to {shown_value(reading.high / factor)})"
    return Entry(text, reading.value / factor, n=reading.n)


def improvement_table(study: Study) -> Table:
    """Over several data sets: how often each variant beats the reference. No rows where one data set was run."""
    over, reference = tasks(study), study.reference
    columns = [
        Column("where", "Where"),
        Column("metric", "Metric"),
        Column("variant", "Variant"),
        Column("probability", f"P(better than {reference})", True),
        Column("sets", "Data sets", True),
    ]
    rows = []
    for metric in map(study.quantity, study.metrics if over and reference else ()):
        for panel in panels(study, over):
            for label in study.labels:
                better = (
                    probability_of_improvement(study, metric, panel.groups, label, str(reference))
                    if label != reference
                    else None
                )
                if better is not None:
                    text = f"{better.probability:.2f}"
                    text += "" if math.isnan(better.low) else f" ({better.low:.2f} to {better.high:.2f})"
                    rows.append(
                        [
                            Entry(panel.title or ABSENT),
                            Entry(metric_header(study, metric.name)),
                            Entry(label),
                            Entry(text, better.probability),
                            Entry(str(better.sets), better.sets),
                        ]
                    )
    notes = [
        "Probability that a run of the variant beats one of the reference on the same data set, mean over data sets; interval: "
        "bootstrap over seeds within each."
    ]
    return _without_empty(Table("improvement", "Over data sets", columns, rows, notes))


SCALED = tuple(quantity.name for quantity in BUILT_IN if quantity.main and quantity.reach == "machine")


def scaling_table(study: Study) -> Table:
    """Fitted exponents against clip length, and where the order to the reference changes."""
    quantities = [study.quantity(name) for name in (*study.metrics, *SCALED) if study.frame[name].notna().any()]
    reference = study.reference
    columns = [
        Column("where", "Where"),
        Column("quantity", "Quantity"),
        Column("variant", "Variant"),
        Column("exponent", "Exponent in frames", True),
    ]
    columns += [Column("crossover", f"Below {reference}")] if reference else []
    rows = []
    for quantity in quantities:
        name = metric_header(study, quantity.name) if quantity.name in study.metrics else quantity.label
        for panel in panels(study, ["frames"]):
            for label in study.labels:
                grown = exponent(study, quantity, panel.groups, label) if len(panel.groups) > 1 else None
                if grown is None:
                    continue
                row = [Entry(panel.title or ABSENT), Entry(name), Entry(label), _estimate_entry(grown)]
                if reference:
                    met = None if label == reference else crossover(study, quantity, panel.groups, label, reference)
                    row.append(Entry(ABSENT if met is None else _crossover_text(met)))
                rows.append(row)
    notes = [
        "Slope of the logarithm over the lengths that ended well; 1 is linear, 2 quadratic. Interval: bootstrap over seeds."
    ]
    return _without_empty(Table("scaling", "Growth with clip length", columns, rows, notes))


def _without_empty(table: Table) -> Table:
    """The same table without a first column that says nothing."""
    if any(row[0].text != ABSENT for row in table.rows):
        return table
    return replace(table, columns=table.columns[1:], rows=[row[1:] for row in table.rows])


def _estimate_entry(estimate: Estimate) -> Entry:
    text = f"{estimate.value:.2f}"
    if not math.isnan(estimate.low):
        text += f" ({estimate.low:.2f} to {estimate.high:.2f})"
    return Entry(text, estimate.value)


def _crossover_text(met: Crossover) -> str:
    span = f"{met.lengths[0]:g} to {met.lengths[1]:g} frames"
    if met.frames is None:
        return f"at all of {span}" if met.below_before else f"at none of {span}"
    interval = "" if math.isnan(met.frames.low) else f" ({met.frames.low:.0f} to {met.frames.high:.0f})"
    return f"{'up to' if met.below_before else 'from'} {met.frames.value:.0f} frames{interval}"
