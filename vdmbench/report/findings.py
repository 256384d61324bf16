"""The tables that answer questions: who is on the frontier, and how cost grows with clip length.

Whatever they say is derived from three seeds or more, each by itself (:mod:`vdmbench.report.statistics`); what fewer would say
is left out, and the notes say so.
"""

from __future__ import annotations

from dataclasses import replace

from vdmbench.quantities import BUILT_IN, Quantity
from vdmbench.report.frontier import (
    common_level,
    dominating,
    enough_seeds,
    frontier_gap,
    points_of,
    read_at,
    widths,
)
from vdmbench.report.improvement import probability_of_improvement, tasks
from vdmbench.report.panels import panels
from vdmbench.report.quantities import choose_scale
from vdmbench.report.scaling import MINIMUM_LENGTHS, Crossover, crossover, exponent
from vdmbench.report.statistics import LEVEL, MINIMUM_SEEDS, OverSeeds, holm
from vdmbench.report.study import Study
from vdmbench.report.tables import ABSENT, Column, Entry, Table, metric_header, shown_value

TOO_FEW = "Fewer than three seeds say nothing here"
INTERVAL = "the median over seeds, in parentheses its 95 % interval (order statistics; from six seeds on)"


def frontier_table(study: Study) -> Table:
    """For every variant in every panel: whether it is on the common front, and how it lies to the reference's frontier."""
    reference, memory = study.reference, study.memory
    against = (
        [
            Column("memory", f"Memory at equal distance, against {reference} (%)", True),
            Column("distance", f"Distance at equal memory, against {reference}", True),
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
    rows: list[list[Entry]] = []
    few: set[str] = set()
    interpolated = False
    for metric in study.judged:
        for panel in panels(study, widths(study)):
            points = {label: points_of(study, panel.groups, label, memory, metric) for label in study.labels}
            few |= {label for label, own in points.items() if len(enough_seeds(own)) < len(own)}
            beaten = dominating(points)
            gaps: dict[str, tuple[OverSeeds | None, OverSeeds | None]] = {}
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
                row += [
                    _gap_entry(gap, of, bold=(label, side) in significant)
                    for side, (gap, of) in enumerate(zip(gaps.get(label, ()), (memory, metric), strict=False))
                ]
                rows.append(row)
    notes = [
        "On the front: no other variant has means at least as good in both memory and distance; else one that has is named."
    ]
    if few:
        notes.append(f"{TOO_FEW}: points of {', '.join(label for label in study.labels if label in few)} are left out.")
    if reference:
        notes.append(
            "Frontiers are interpolated between the widths that were run, over the range that both span, in each seed by "
            f"itself: {INTERVAL}. Bold: p < 0.05 after Holm's correction over the variants (sign test)."
            if interpolated
            else "One width a variant: nothing to interpolate between. Sweep a width "
            "(network.base_channels) to compare at equal memory or distance."
        )
    wanting = f"no variant has {MINIMUM_SEEDS} seeds with memory and a distance" if few else ""
    return _without_empty(Table("frontier", "Memory and distance", columns, rows, notes, wanting=wanting))


def _significant(gaps: dict[str, tuple[OverSeeds | None, OverSeeds | None]]) -> set[tuple[str, int]]:
    """Which of a panel's gaps are, after Holm's correction over its variants, for each of the two questions."""
    found = set()
    for side in (0, 1):
        adjusted = holm([None if (gap := pair[side]) is None else gap.p for pair in gaps.values()])
        found |= {(label, side) for label, p in zip(gaps, adjusted, strict=True) if p is not None and p < LEVEL}
    return found


def _gap_entry(gap: OverSeeds | None, of: Quantity, *, bold: bool) -> Entry:
    if gap is None or gap.median is None:
        return Entry(ABSENT)
    factor, digits = (1.0, 3) if of.signed else (100.0, 1)
    text = f"{factor * gap.median:+.{digits}f}"
    if gap.interval is not None:
        low, high = gap.interval
        text += f" ({factor * low:+.{digits}f} to {factor * high:+.{digits}f})"
    return Entry(text + _missing(gap), factor * gap.median, bold=bold)


def _missing(over: OverSeeds) -> str:
    """In how many seeds the number exists, where it does not in all."""
    return "" if over.defined == over.n else f", in {over.defined} of {over.n} seeds"


def levels_table(study: Study) -> Table:
    """The same frontiers read at one common place: memory at one distance, and distance at one memory."""
    memory = study.memory
    scale = choose_scale(memory, study.frame[memory.name].dropna())
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
    for metric in study.judged:
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
        "Each frontier, interpolated between the widths that were run, at the middle of the range that all of them span, in "
        f"each seed by itself: {INTERVAL}. A dash: a frontier that does not reach there."
    ]
    wanting = "no two widths of a variant have three seeds and a range in common with the others'" if widths(study) else ""
    return _without_empty(
        Table("levels", "Memory at one distance, distance at one memory", columns, rows, notes, wanting=wanting)
    )


def _level(value: float | None, factor: float = 1.0) -> Entry:
    return Entry(ABSENT) if value is None else Entry(shown_value(value / factor), value / factor)


def _reading(reading: OverSeeds | None, factor: float = 1.0) -> Entry:
    if reading is None or reading.median is None:
        return Entry(ABSENT)
    return Entry(_with_interval(reading, factor) + _missing(reading), reading.median / factor, n=reading.n)


def _with_interval(over: OverSeeds, factor: float = 1.0) -> str:
    text = shown_value((over.median or 0.0) / factor)
    if over.interval is not None:
        low, high = over.interval
        text += f" ({shown_value(low / factor)} to {shown_value(high / factor)})"
    return text


def improvement_table(study: Study) -> Table:
    """Over several data sets: how often each variant beats the reference. No rows where one data set was run."""
    over, reference = tasks(study), study.reference
    columns = [
        Column("where", "Where"),
        Column("metric", "Metric"),
        Column("variant", "Variant"),
        Column("probability", f"P(better than {reference})", True),
        Column("sets", "Data sets", True),
        Column("pairs", "Pairs", True),
    ]
    rows = []
    for metric in study.judged if over and reference else ():
        for panel in panels(study, over):
            for label in study.labels:
                better = (
                    probability_of_improvement(study, metric, panel.groups, label, str(reference))
                    if label != reference
                    else None
                )
                if better is not None:
                    rows.append(
                        [
                            Entry(panel.title or ABSENT),
                            Entry(metric_header(study, metric.name)),
                            Entry(label),
                            Entry(f"{better.probability:.2f} ({better.low:.2f} to {better.high:.2f})", better.probability),
                            Entry(str(better.sets), better.sets),
                            Entry(str(better.pairs), better.pairs),
                        ]
                    )
    notes = [
        "Probability that a run of the variant beats the reference's of the same data set and seed, mean over data sets with "
        "three seeds or more of both; interval: Clopper and Pearson's over all pairs."
    ]
    wanting = f"no data set has {MINIMUM_SEEDS} seeds of a variant and of {reference}" if over and reference else ""
    return _without_empty(Table("improvement", "Over data sets", columns, rows, notes, wanting=wanting))


SCALED = tuple(quantity for quantity in BUILT_IN if quantity.main and (quantity.reach == "machine" or quantity.unit == "bytes"))


def scaling_table(study: Study) -> Table:
    """Fitted exponents against clip length, and where the order to the reference changes."""
    quantities = [quantity for quantity in study.quantities if quantity in study.judged or quantity in SCALED]
    reference = study.reference
    columns = [
        Column("where", "Where"),
        Column("quantity", "Quantity"),
        Column("variant", "Variant"),
        Column("exponent", "Exponent in frames", True),
        Column("rests", "Rests on"),
    ]
    columns += [Column("crossover", f"Below {reference}")] if reference else []
    rows: list[list[Entry]] = []
    few, wanting = 0, ""
    for quantity in quantities:
        if quantity.signed:
            continue
        name = metric_header(study, quantity.name)
        for panel in panels(study, ["frames"]):
            for label in study.labels:
                if not any(study.outcomes(quantity)[group].get(label) for group in panel.groups[1:]):
                    continue
                grown = exponent(study, quantity, panel.groups, label)
                if grown is None:
                    few += 1
                    continue
                rests = f"{len(grown.lengths)} lengths, {grown.slopes.n} seeds"
                row = [Entry(panel.title or ABSENT), Entry(name), Entry(label), _slope_entry(grown.slopes), Entry(rests)]
                if reference:
                    met = None if label == reference else crossover(study, quantity, panel.groups, label, reference)
                    row.append(Entry(ABSENT if met is None else _crossover_text(met)))
                rows.append(row)
    notes = [
        "Slope of the logarithm over the lengths at which three seeds or more ended well; 1 is linear, 2 quadratic. Slopes and "
        f"crossings are computed in each seed by itself: {INTERVAL}."
    ]
    if few:
        wanting = f"an exponent wants {MINIMUM_LENGTHS} lengths or more, and {MINIMUM_SEEDS} seeds or more at all of them"
        notes.append(f"{few} curves are left out: {wanting}.")
    return _without_empty(Table("scaling", "Growth with clip length", columns, rows, notes, wanting=wanting))


def _without_empty(table: Table) -> Table:
    """The same table without a first column that says nothing."""
    if any(row[0].text != ABSENT for row in table.rows):
        return table
    return replace(table, columns=table.columns[1:], rows=[row[1:] for row in table.rows])


def _slope_entry(slopes: OverSeeds) -> Entry:
    if slopes.median is None:
        return Entry(ABSENT)
    text = f"{slopes.median:.2f}"
    if slopes.interval is not None:
        low, high = slopes.interval
        text += f" ({low:.2f} to {high:.2f})"
    return Entry(text + _missing(slopes), slopes.median)


def _crossover_text(met: Crossover) -> str:
    span = f"{met.lengths[0]:g} to {met.lengths[-1]:g} frames"
    seeds = "" if met.agree == met.n else f", in {met.agree} of {met.n} seeds"
    if met.frames is None:
        return (f"at all of {span}" if met.below_before else f"at none of {span}") + seeds
    text = f"{met.frames.median:.0f} frames"
    if met.frames.interval is not None:
        low, high = met.frames.interval
        text += f" ({low:.0f} to {high:.0f})"
    return f"{'up to' if met.below_before else 'from'} {text}{seeds}"
