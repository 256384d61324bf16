"""The gate: did anything get worse between two sets of records, and could that be told at all?

Cells are joined on identity, never on order. What is compared, and where, follows from a quantity's reach
(:mod:`vdmbench.report.quantities`):

- *exact* (parameters, state, FLOPs): any change at all is a regression, on any machine: the same declaration builds
  another network.
- *portable* (distances, final loss): judged on any machine, under one protocol only, by per cent **and** absolute change.
- *machine* (memory, time): judged within one hardware cohort only. Elsewhere the gate cannot decide, unless it is asked to
  judge ``portable`` quantities alone, which is what a CI on machines of unknown make does against a committed baseline.

Time is judged on ratios (:mod:`vdmbench.report.pace`): each cell's new over old, divided by the median of that ratio over all
cells of the cohort, so that a busy machine slows no single variant; the common factor is judged on its own, by a looser limit.

Scatter excuses a change: a time must stand out from the scatter of these ratios over all cells; with five seeds or more of a
variant at a sweep point, a change must show in the paired test over them; with fewer, a step time whose quartiles overlap with
the baseline's has not changed.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import Path

from vdmbench.quantities import BUILT_IN, MixedDirections, Quantity, quantities_in
from vdmbench.records import UNFINISHED, Record
from vdmbench.records.experiments import Declaration, difference
from vdmbench.report.comparison import Comparison, Row, Verdict
from vdmbench.report.frame import tidy
from vdmbench.report.pace import STEADY, Paces, Values, paces_of
from vdmbench.report.results import Cell, read_results, results_folders
from vdmbench.report.statistics import LEVEL, paired_effect
from vdmbench.report.thresholds import limit, load_thresholds
from vdmbench.suite.gate import Thresholds

MANY_SEEDS = 5
"""From here on a change must show over the seeds together."""


def compare_folders(baseline: Path, new: Path, thresholds: Thresholds | None = None, *, portable: bool = False) -> Comparison:
    """Judge the records under ``new`` by those under ``baseline``.

    :param thresholds: null takes those that the suite of ``new`` declares.
    :param portable: judge only what does not depend on the machine; memory and time are listed as not judged.
    """
    for side, path in (("baseline", baseline), ("new side", new)):
        if not results_folders(path):
            return Comparison([], f"the {side} has no results: {path}")
    limits = thresholds or load_thresholds(results=new)
    return compare_cells(read_results([baseline]), read_results([new]), limits, portable=portable)


def compare_cells(
    baseline: Sequence[Cell], new: Sequence[Cell], thresholds: Thresholds | None = None, *, portable: bool = False
) -> Comparison:
    """The same for cells that were read already."""
    limits = thresholds or Thresholds()
    old_by_id, new_by_id = _by_identity(baseline, new), _by_identity(new, baseline)
    if not old_by_id or not new_by_id:
        return Comparison([], f"the {'new side' if old_by_id else 'baseline'} has no records")
    rows, of_another_version = _other_numbers(old_by_id, new_by_id)
    joined = [identity for identity in old_by_id if identity in new_by_id]
    for identity, cell in old_by_id.items():
        if identity not in new_by_id and cell.record.label not in of_another_version:
            told = _otherwise(cell, new_by_id.values())
            why = f"declared otherwise now ({told})" if told else "not run now"
            rows.append(Row(cell.record.label, "cell", Verdict.MISSING, note=f"in the baseline only: {why}"))
    rows += [
        Row(cell.record.label, "cell", Verdict.NEW, note=f"here and in the baseline: {told}" if told else "")
        for identity, cell in new_by_id.items()
        if identity not in old_by_id and cell.record.label not in of_another_version
        for told in [_otherwise(cell, old_by_id.values())]
    ]
    if joined:
        before, after = (
            _table([old_by_id[identity] for identity in joined]),
            _table([new_by_id[identity] for identity in joined]),
        )
        cohorts = {
            identity: cohort
            for identity in joined
            if (cohort := old_by_id[identity].record.cohort) == new_by_id[identity].record.cohort and cohort is not None
        }
        paces = paces_of(cohorts, before, after)
        judged_cells = {
            identity: _judge_cell(
                old_by_id[identity], new_by_id[identity], before[identity], after[identity], paces, limits, portable
            )
            for identity in joined
        }
        _excuse_scatter(judged_cells, new_by_id)
        rows += [row for judged_rows in judged_cells.values() for row in judged_rows]
        if not portable:
            for (cohort, time), pace in paces.items():
                if not pace.readable:
                    note = f"times of its cells scatter up to {pace.reach:.1f}-fold: that machine was too busy to judge them"
                    rows.append(Row(cohort, time, Verdict.NOT_JUDGED, note=note))
                    continue
                worse = 100 * (pace.factor - 1) > limits.common_time.percent
                rows.append(
                    Row(
                        cohort,
                        f"common factor of {time}",
                        Verdict.REGRESSION if worse else Verdict.UNCHANGED,
                        1.0,
                        pace.factor,
                        "median over all cells of new over old",
                    )
                )
        rows += _not_kept([old_by_id[identity] for identity in joined], [new_by_id[identity] for identity in joined])
    rows += _other_hardware(joined, old_by_id, new_by_id, portable)
    judged = (Verdict.UNCHANGED, Verdict.IMPROVED, Verdict.REGRESSION)
    problem = None if any(row.verdict in judged for row in rows) else "no quantity of any cell could be judged"
    if problem and not joined and of_another_version:
        problem = "; ".join(row.note for row in rows if row.verdict == Verdict.NUMBERS)
    counts = {verdict: count for verdict in Verdict if (count := sum(row.verdict == verdict for row in rows))}
    return Comparison(rows, problem, len(joined), counts)


def _other_numbers(old: dict[str, Cell], new: dict[str, Cell]) -> tuple[list[Row], set[str]]:
    """A row for each pair of versions that give the same cells other numbers, and the labels of those cells."""
    before, after = (
        {cell.record.label: cell.record.numbers for identity, cell in side.items() if identity not in other}
        for side, other in ((old, new), (new, old))
    )
    labels = {label for label, version in before.items() if after.get(label, version) != version}
    pairs = [(before[label], after[label]) for label in labels]
    rows = [
        Row(
            f"{pairs.count((was, now))} cells",
            "cell",
            Verdict.NUMBERS,
            note=f"the baseline is of numbers version {was}, the new side of version {now}, which trains and samples the same "
            "declaration otherwise: make the baseline anew",
        )
        for was, now in sorted(set(pairs))
    ]
    return rows, labels


_EXACT = {quantity.name for quantity in BUILT_IN if quantity.reach == "exact"}


def _table(cells: Sequence[Cell]) -> dict[str, Values]:
    """Values by identity and column."""
    frame = tidy(cells)
    frame = frame.astype(object).where(frame.notna(), None)
    return {row["identity"]: row for row in frame.to_dict("records")}  # type: ignore[misc]


def _other_hardware(joined: Sequence[str], old: dict[str, Cell], new: dict[str, Cell], portable: bool) -> list[Row]:
    """One row for each pair of cohorts across which memory and time were not judged."""
    pairs = {(old[identity].record.cohort, new[identity].record.cohort): None for identity in joined}
    return [
        Row(
            "all cells",
            "memory and time",
            Verdict.NOT_JUDGED if portable else Verdict.HARDWARE,
            note=f"{before}, now {after}; judge only what does not depend on the machine with --portable",
        )
        for before, after in pairs
        if before != after and before is not None and after is not None
    ]


def _not_kept(old: Sequence[Cell], new: Sequence[Cell]) -> list[Row]:
    """One row for each quantity that the new side has and that was not kept yet when the baseline's records were made."""
    rows = []
    for quantity in BUILT_IN:
        pairs = zip(old, new, strict=True)
        since = sum(quantity.read(now.record) is not None and not quantity.kept(was.record) for was, now in pairs)
        if since and quantity.gated:
            note = f"the baseline's records of {since} cells are from before it was kept: make the baseline anew"
            rows.append(Row("all cells", quantity.name, Verdict.NOT_JUDGED, note=note))
    return rows


def _judge_cell(
    old: Cell, new: Cell, before: Values, after: Values, paces: Paces, limits: Thresholds, portable: bool
) -> list[Row]:
    name = new.record.label
    if old.record.status != new.record.status:
        if new.record.status in UNFINISHED:
            return [Row(name, "status", Verdict.MISSING, note=f"{old.record.status}, now {new.record.status}")]
        if new.record.status == "ok":
            return [Row(name, "status", Verdict.IMPROVED, note=f"{old.record.status}, now ok")]
        worse = old.record.status == "ok"
        return [
            Row(
                name,
                "status",
                Verdict.REGRESSION if worse else Verdict.STATUS,
                note=f"{old.record.status}, now {new.record.status}: {new.record.message or 'no message'}",
            )
        ]
    same_hardware = old.record.cohort == new.record.cohort
    rows = _choice(name, old.record, new.record)
    try:
        quantities = quantities_in([old.record, new.record])
    except MixedDirections as error:
        return [Row(name, "metrics", Verdict.PROTOCOL, note=str(error))]
    for quantity in quantities:
        if not quantity.gated:
            continue
        was, now = before.get(quantity.name), after.get(quantity.name)
        if (was is None and now is None) or not quantity.kept(old.record):
            continue
        values = (was if isinstance(was, int | float) else None, now if isinstance(now, int | float) else None)
        if quantity.reach == "machine" and (portable or not same_hardware):
            rows.append(Row(name, quantity.name, Verdict.NOT_JUDGED, *values))
        elif values[0] is None or values[1] is None:
            side = "baseline" if values[0] is None else "new side"
            rows.append(Row(name, quantity.name, Verdict.MISSING, *values, note=f"no value on the {side}"))
        elif quantity.source and before.get(quantity.source) != after.get(quantity.source):
            rows.append(
                Row(
                    name,
                    quantity.name,
                    Verdict.PROTOCOL,
                    *values,
                    note=f"not comparable: {before.get(quantity.source)}, now {after.get(quantity.source)}",
                )
            )
        elif quantity.reach == "portable" and old.record.data != new.record.data:
            rows.append(Row(name, quantity.name, Verdict.PROTOCOL, *values, note="taken on other data"))
        else:
            pace = paces.get((new.record.cohort or "", quantity.name), STEADY)
            verdict = _judge(quantity, values[0], values[1] / pace.factor, limits, before)
            note = f"all cells slower by {pace.factor:.2f}" if pace.factor != 1.0 else ""
            if not pace.readable:
                verdict = Verdict.NOT_JUDGED
            elif verdict != Verdict.UNCHANGED and not pace.stands_out(values[0], values[1]):
                verdict, note = Verdict.UNCHANGED, f"within the scatter of all cells ({pace.factor:.2f} times {pace.reach:.2f})"
            elif verdict != Verdict.UNCHANGED and _quartiles_overlap(quantity, before, after, pace.factor):
                verdict, note = Verdict.UNCHANGED, "quartiles overlap"
            rows.append(Row(name, quantity.name, verdict, *values, note=note))
    return rows


def _choice(name: str, old: Record, new: Record) -> list[Row]:
    """That trials chose another value, of which all other rows are."""
    if old.tuned is None or new.tuned is None or old.tuned.chosen == new.tuned.chosen:
        return []
    note = f"trials chose {old.tuned.chosen}, and now {new.tuned.chosen}: the cells are trained with different values"
    return [Row(name, old.tuned.field, Verdict.PROTOCOL, note=note)]


def _quartiles_overlap(quantity: Quantity, before: Values, after: Values, factor: float) -> bool:
    """Of what was timed again and again; False for what was not."""
    bounds = [side.get(f"{quantity.name}.{quartile}") for side in (before, after) for quartile in ("q1", "q3")]
    known = [bound for bound in bounds if isinstance(bound, float)]
    return len(known) == 4 and known[0] <= known[3] / factor and known[2] / factor <= known[1]


def _excuse_scatter(judged: dict[str, list[Row]], cells: dict[str, Cell]) -> None:
    """Take back changes of single cells that the seeds of their variant and sweep point together do not show."""
    places: dict[tuple[str, str, str], list[tuple[str, int, Row]]] = {}
    for identity, rows in judged.items():
        record = cells[identity].record
        for index, row in enumerate(rows):
            if row.baseline is not None and row.new is not None and row.quantity not in _EXACT:
                place = (record.variant, _but_for_the_seed(record), row.quantity)
                places.setdefault(place, []).append((identity, index, row))
    for found in places.values():
        if len(found) < MANY_SEEDS:
            continue
        new, old = (
            {cells[identity].record.seed: value for identity, _, row in found if (value := getattr(row, side)) is not None}
            for side in ("new", "baseline")
        )
        effect = paired_effect(new, old)
        if effect is None:
            continue
        for identity, index, row in found:
            # One-sided: a row's change has a direction, and five seeds that all share it are significant.
            risen = row.new is not None and row.baseline is not None and row.new > row.baseline
            if row.verdict in (Verdict.REGRESSION, Verdict.IMPROVED) and (
                (effect.p_above() if risen else effect.p_below()) >= LEVEL
            ):
                judged[identity][index] = replace(
                    row, verdict=Verdict.UNCHANGED, note=f"within the scatter of {effect.n} seeds"
                )


def _but_for_the_seed(record: Record) -> str:
    """All that is declared, so that seeds of one experiment are taken together and no others of the same name."""
    declared = {name: value for name, value in record.declared.items() if name != "seed"}
    return json.dumps([declared, record.suite, record.cohort, record.point], sort_keys=True, default=str)


def _by_identity(cells: Sequence[Cell], others: Sequence[Cell]) -> dict[str, Cell]:
    """One of each identity: where it ran on several classes of hardware, one that the other side has too, else the last."""
    there = {(cell.record.identity, cell.record.cohort) for cell in others}
    return {
        cell.record.identity: cell
        for cell in sorted(cells, key=lambda cell: (cell.record.identity, cell.record.cohort) in there)
    }


def _otherwise(cell: Cell, candidates: Iterable[Cell]) -> str:
    """What a cell declares otherwise than one of its name on the other side; empty where there is none of that name."""
    record = cell.record
    for other in (each.record for each in candidates):
        if (other.variant, other.point, other.seed) == (record.variant, record.point, record.seed):
            told = difference(
                *(Declaration(each.variant, each.point, each.declared, videos=each.data) for each in (record, other))
            )
            if told:
                return told
    return ""


def _judge(quantity: Quantity, was: float, now: float, limits: Thresholds, row: Values) -> Verdict:
    if quantity.reach == "exact":
        return Verdict.UNCHANGED if was == now else Verdict.REGRESSION
    allowed = limit(limits, quantity)
    change, whole = now - was, row.get(quantity.per_cent_of or "")
    size = abs(whole) if isinstance(whole, int | float) else abs(was)
    if abs(change) <= allowed.absolute or abs(change) <= allowed.percent / 100 * size:
        return Verdict.UNCHANGED
    return Verdict.REGRESSION if quantity.sign * change > 0 else Verdict.IMPROVED
