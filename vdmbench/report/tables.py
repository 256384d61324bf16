"""What the report's tables hold; how they are written in each format is :mod:`vdmbench.report.render`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from math import isfinite
from statistics import mean

from vdmbench.cards import DEVICES
from vdmbench.records import DeviceMemory
from vdmbench.report.aggregation import best, effects
from vdmbench.report.collapses import RULE, collapses
from vdmbench.report.off_plan import PLAN_ERROR, off_plan
from vdmbench.report.quantities import Quantity, Scale, choose_scale, decimals, header
from vdmbench.report.statistics import MINIMUM_SEEDS, Effect, fewest_seeds
from vdmbench.report.study import Group, NotComparable, Outcome, Study

ABSENT = "–"


@dataclass(frozen=True)
class Column:
    """A header, and whether numbers stand below it."""

    key: str
    header: str
    numeric: bool = False
    spread: bool = False
    """Whether values carry a deviation and a count of their own."""


@dataclass(frozen=True)
class Entry:
    """One field of a table: the text that people read, and the number behind it."""

    text: str
    value: float | None = None
    deviation: float | None = None
    n: int | None = None
    bold: bool = False
    failed: bool = False


@dataclass(frozen=True)
class Table:
    """Columns, rows, and the notes that belong below them."""

    name: str
    title: str
    columns: list[Column]
    rows: list[list[Entry]]
    notes: list[str] = field(default_factory=list)
    breaks: frozenset[int] = frozenset()
    """Rows before which another sweep point begins."""
    wanting: str = ""
    """Why there are no rows, where there could be some."""


def shown_value(value: float, deviation: float | None = None) -> str:
    """Three significant digits, a fourth where the deviation would else read 0; the deviation to the same place."""
    places = decimals(value)
    if deviation:
        places = min(max(places, decimals(deviation, 1)), decimals(value, 4))
    return f"{value:.{places}f}" if deviation is None else f"{value:.{places}f} ± {deviation:.{places}f}"


def mean_entry(values: Sequence[float | None]) -> Entry:
    """The mean of what is known, with its count; absent where nothing is."""
    known = [value for value in values if value is not None]
    return Entry(shown_value(mean(known)), mean(known), n=len(known)) if known else Entry(ABSENT)


def _entry(outcome: Outcome, scale: Scale, *, bold: bool, scatter: bool) -> Entry:
    if outcome.mean is None:
        return Entry(_states(outcome), failed=True)
    deviation = scale(outcome.deviation) if scatter and outcome.deviation is not None else None
    text = shown_value(scale(outcome.mean), deviation)
    if outcome.failures and scatter:
        text += f" ({outcome.n} of {outcome.n + len(outcome.failures)})"
    return Entry(text, scale(outcome.mean), deviation, outcome.n, bold, failed=False)


def _cells_entry(ended: Outcome) -> Entry:
    done, total = ended.n, ended.n + len(ended.failures)
    text = f"{done}/{total}" + (f": {ended.failed}" if ended.failures else "")
    return Entry(text, done / total, failed=done < total)


def _states(outcome: Outcome) -> str:
    return ", ".join(sorted(set(outcome.failures.values())))


def metric_header(study: Study, name: str) -> str:
    """Of a metric the protocol where there is one, else its name, with all protocols in the notes; of its parts their label."""
    if name not in study.metrics:
        return study.quantity(name).label
    protocols = study.protocols(name)
    return protocols[0] if len(protocols) == 1 else study.quantity(name).label


def identifying(study: Study) -> list[Column]:
    """Columns that say where a row's numbers belong: suite and hardware where there are several, and the sweep point."""
    columns = [Column("suite", "Suite")] if len(study.suites) > 1 else []
    columns += [Column("cohort", "Hardware")] if len(study.cohorts) > 1 else []
    return columns + [Column(name, name.capitalize()) for name in study.coordinates]


def where(study: Study, group: Group) -> list[Entry]:
    """A row's entries for the columns of :func:`identifying`."""
    entries = [Entry(group.suite)] if len(study.suites) > 1 else []
    entries += [Entry(group.cohort or ABSENT)] if len(study.cohorts) > 1 else []
    for name, value in group.point:
        entries.append(Entry(study.coordinate_text(name, value), value if isinstance(value, int | float) else None))
    return entries


def quantities_shown(study: Study) -> list[Quantity]:
    """The columns of the main table: distances, memory, time, size."""
    return [quantity for quantity in study.quantities if quantity.main]


def memory_header(study: Study, scale: Scale, what: str = "Training memory") -> str:
    """Of the memory that figures speak of, with the card that it is planned for where it is planned."""
    if not study.memory_is_planned:
        return f"{what}, {', '.join(sorted(set(study.frame['peak_train_memory_source'].dropna())))} ({scale.unit})"
    plans = {str(plan).partition(",")[0] for plan in study.frame["planned_train_memory_source"].dropna()}
    cards = " or ".join(DEVICES[name].called if name in DEVICES else name for name in sorted(plans))
    return f"{what}, planned for {cards} ({scale.unit})"


def column_scales(study: Study, quantities: Sequence[Quantity]) -> dict[str, Scale]:
    """One unit a column."""
    return {
        quantity.name: choose_scale(
            quantity,
            (
                outcome.mean
                for outcomes in study.outcomes(quantity).values()
                for outcome in outcomes.values()
                if outcome.mean is not None
            ),
        )
        for quantity in quantities
    }


def main_table(study: Study) -> Table:
    """A row for every variant at every sweep point: mean ± deviation over seeds, failures by name."""
    quantities = quantities_shown(study)
    scales = column_scales(study, quantities)
    columns = [*identifying(study), Column("variant", "Variant"), Column("cells", "Cells")]
    for quantity in quantities:
        title = metric_header(study, quantity.name) if quantity.metric else header(quantity, scales[quantity.name])
        columns.append(Column(quantity.name, title, numeric=True, spread=quantity.reach != "exact"))
    rows: list[list[Entry]] = []
    breaks = set()
    for group in study.groups:
        breaks.add(len(rows))
        winners = {quantity.name: best(study, quantity, group) for quantity in quantities}
        statuses = study.statuses[group]
        for label in study.labels:
            if label not in statuses:
                continue
            measured = [
                _entry(
                    study.outcomes(quantity)[group][label],
                    scales[quantity.name],
                    bold=winners[quantity.name] == label,
                    scatter=quantity.reach != "exact",
                )
                for quantity in quantities
            ]
            rows.append([*where(study, group), Entry(label), _cells_entry(statuses[label]), *measured])
    return Table("main", "Results", columns, rows, _main_notes(study), frozenset(breaks - {0}))


def _main_notes(study: Study) -> list[str]:
    notes = []
    missed = {
        f"{label} seed {cell.record.seed}": miss
        for label, cell in zip(study.frame["label"], study.cells, strict=True)
        if (miss := off_plan(cell.record)) is not None
    }
    if missed:
        named = ", ".join(f"{cell} ({100 * miss:+.1f} %)" for cell, miss in missed.items())
        notes.append(f"Not at equal memory: the measured peak misses the planned one by more than the tolerance in {named}.")
    notes += _against_the_plan(study)
    if len(study.seeds) > 1:
        notes.append(f"Mean ± standard deviation over {len(study.seeds)} seeds; a count in parentheses where seeds failed.")
    if len(study.seeds) >= fewest_seeds():
        notes.append("Bold: better than every other variant at that sweep point, paired by seed, p < 0.05 (sign test).")
    else:
        notes.append(few_seeds_note(len(study.seeds)))
    if lost := collapses(study):
        notes.append(f"Collapsed ({RULE}), in the mean of its seeds where it has a number: {'; '.join(lost)}.")
    counters: dict[str, list[str]] = {}
    for quantity in study.quantities:
        if quantity.source and quantity.metric is None:
            sources = [source for source in dict.fromkeys(study.frame[quantity.source]) if isinstance(source, str)]
            counters.setdefault("; ".join(sources), []).append(quantity.label)
    notes += [f"{', '.join(labels)}: {sources}." for sources, labels in counters.items()]
    if shared := [cell for cell in study.cells if cell.record.training and cell.record.training.of_another_cell]:
        notes.append(
            f"Trained once: {len(shared)} of {len(study.cells)} cells sampled a network that another cell had trained alike; "
            "their training numbers are that cell's."
        )
    notes += _shared_machine(study)
    notes += [
        f"{study.quantity(metric).label}: {', '.join(study.protocols(metric))}."
        for metric in study.metrics
        if len(study.protocols(metric)) > 1
    ]
    return notes


def _against_the_plan(study: Study) -> list[str]:
    """Where a measured peak differs from the planned one by more than that, a line with the cells."""
    notes = []
    for name in ("train_memory_ratio", "sample_memory_ratio"):
        known = study.frame[study.frame[name].notna()]
        ratios = zip(known[name], known["label"], known["seed"], strict=True)
        far = [f"{label} seed {seed} ({ratio:.3f})" for ratio, label, seed in ratios if abs(ratio - 1) > PLAN_ERROR]
        if far:
            named = ", ".join(far[:MOST_NAMED]) + (f" and {len(far) - MOST_NAMED} more" if len(far) > MOST_NAMED else "")
            notes.append(
                f"Warning: {study.quantity(name).label.lower()}, is off 1 by more than {100 * PLAN_ERROR:g} % in {len(far)} of "
                f"{len(known)} cells: {named}."
            )
    return notes


MOST_NAMED = 6
"""Cells that a note names one by one."""


def few_seeds_note(seeds: int) -> str:
    """What so few seeds can carry."""
    shown = "points are shown and nothing is claimed" if seeds < MINIMUM_SEEDS else "no two-sided test can decide anything"
    counted = {1: "One seed", 2: "Two seeds"}.get(seeds, f"{seeds} seeds")
    return f"{counted}: {shown}, so nothing is bold; from {fewest_seeds()} seeds on it could be."


BUSY = 0.1
"""Cores that others may keep busy before times are said to be theirs too."""


def _shared_machine(study: Study) -> list[str]:
    """Where other processes ran beside the cells: their times, and their peaks of whole devices, are not theirs alone."""
    notes = []
    trained = [cell.record.phases["train"] for cell in study.cells if "train" in cell.record.phases]
    others = [phase.others_busy_cores for phase in trained if phase.others_busy_cores is not None]
    if busy := [cores for cores in others if cores > BUSY]:
        notes.append(
            f"Not alone: while {len(busy)} of {len(others)} cells trained, other processes kept {shown_value(min(busy))} to "
            f"{shown_value(max(busy))} of their cores busy; times are of cells and neighbours."
        )
    if shared := [cell for cell in study.cells if _others_on_devices(cell.record.device_memory)]:
        notes.append(
            f"Not alone: other processes computed on the device of {len(shared)} of {len(study.cells)} cells; its peak by NVML "
            "holds theirs, the allocator's does not."
        )
    return notes


def _others_on_devices(memory: DeviceMemory | None) -> bool:
    return memory is not None and any(each.foreign_processes for each in memory.devices or [memory])


def comparison_table(study: Study) -> Table:
    """Every variant against the reference at every sweep point: relative difference with its interval, in per cent."""
    reference = study.reference
    if reference is None:
        raise NotComparable("no reference to compare with; name a variant (--reference)")
    quantities = [quantity for quantity in quantities_shown(study) if quantity.reach != "exact"]
    against = {quantity.name: effects(study, quantity) for quantity in quantities}
    columns = [*identifying(study), Column("variant", "Variant")]
    columns += [
        Column(
            quantity.name,
            f"{metric_header(study, quantity.name)}{difference_unit(quantity)}",
            True,
        )
        for quantity in quantities
    ]
    rows: list[list[Entry]] = []
    breaks = set()
    for group in study.groups:
        breaks.add(len(rows))
        for label in study.labels:
            if label != reference and label in study.statuses[group]:
                entries = [
                    _difference(against[quantity.name][group][label], study.outcomes(quantity)[group], label, reference)
                    for quantity in quantities
                ]
                rows.append([*where(study, group), Entry(label), *entries])
    notes = [
        f"Variant minus {reference}, as a share of {reference} where in %, seed by seed: the median, and in parentheses its "
        f"95 % interval (order statistics; from {fewest_seeds()} pairs on).",
        "Bold: different from the reference, p < 0.05 after Holm's correction over the variants of a sweep point (sign test: "
        f"{fewest_seeds()} pairs at least; with {len(study.labels) - 1} variants beside the reference, "
        f"{fewest_seeds(max(1, len(study.labels) - 1))}).",
    ]
    return Table("comparison", f"Against {reference}", columns, rows, notes, frozenset(breaks - {0}))


def difference_unit(quantity: Quantity) -> str:
    """What a difference to the reference is in: per cent, or the unit of a quantity that is compared by differences."""
    unit = quantity.unit if quantity.signed else "%"
    return f" ({unit})" if unit else ""


def _difference(effect: Effect | None, outcomes: dict[str, Outcome], label: str, reference: str) -> Entry:
    if effect is None:
        own, base = outcomes.get(label, Outcome()), outcomes.get(reference, Outcome())
        missing = _states(own) if own.mean is None else f"{reference}: {_states(base) or 'not run'}"
        return Entry(missing, failed=True)
    middle = effect.on_scale.median
    if middle is None or not isfinite(middle):
        return Entry(ABSENT)
    factor, places = (100.0, 1) if effect.relative else (1.0, 3)
    text = f"{factor * middle:+.{places}f}"
    if effect.on_scale.interval is not None:
        low, high = effect.on_scale.interval
        text += f" ({factor * low:+.{places}f} to {factor * high:+.{places}f})"
    return Entry(text, factor * middle, bold=effect.significant)


def failures_table(study: Study) -> Table:
    """Every cell that did not end well, with where and why."""
    columns = [
        *identifying(study),
        Column("variant", "Variant"),
        Column("seed", "Seed", True),
        Column("status", "Status"),
        Column("phase", "Phase"),
        Column("message", "Message"),
        Column("attempts", "Attempts", True),
    ]
    rows = []
    for cell, group, label in zip(study.cells, study.group_of, study.frame["label"], strict=True):
        record = cell.record
        if cell.status not in ("ok", "not run"):
            rows.append(
                [
                    *where(study, group),
                    Entry(label),
                    Entry(str(record.seed), record.seed),
                    Entry(record.status, failed=True),
                    Entry(record.phase or ABSENT),
                    Entry(record.message or ABSENT),
                    Entry(str(cell.attempts), cell.attempts),
                ]
            )
    return Table("failures", "Cells without a result", columns, rows)
