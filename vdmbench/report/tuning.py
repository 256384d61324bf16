"""What trials chose, and which weights cells began with: what was done before the first step of a cell."""

from __future__ import annotations

from vdmbench.records import Initialised, Tuned
from vdmbench.report.study import Group, Study
from vdmbench.report.tables import ABSENT, Column, Entry, Table, identifying, shown_value, where


def tuned_in(study: Study, group: Group, label: str) -> Tuned | None:
    """The choice of a variant at a sweep point: of all its seeds, which share their trials; None where nothing is tuned."""
    found = [cell.record.tuned for cell in study.cells_in(group, label) if cell.record.tuned is not None]
    return found[0] if found else None


def tuning_table(study: Study) -> Table:
    """A row for every variant and sweep point that was tuned: the choice, and the mean score of each value."""
    found = {
        (group, label): tuned
        for group in study.groups
        for label in study.labels
        if (tuned := tuned_in(study, group, label)) is not None
    }
    values = list(dict.fromkeys(value for tuned in found.values() for value in tuned.means()))
    columns = [
        *identifying(study),
        Column("variant", "Variant"),
        Column("field", "Tuned field"),
        Column("chosen", "Chosen"),
        Column("by", "By"),
        *(Column(value, value, True) for value in values),
    ]
    rows = []
    for (group, label), tuned in found.items():
        means = tuned.means()
        at_edge = f" ({tuned.edge} of the grid)" if tuned.edge else ""
        chosen = Entry("none", failed=True) if tuned.chosen is None else Entry(f"{tuned.chosen}{at_edge}")
        scores = [_score(tuned, value, means.get(value)) for value in values]
        rows.append([*where(study, group), Entry(label), Entry(tuned.field), chosen, Entry(tuned.by), *scores])
    notes = [
        "Trials are cells of their own, on seeds that stand in no other table; the columns of values hold their mean score. "
        "Held-out loss and metrics of trials are taken on the test split, on which the final cells are judged as well."
    ]
    notes += [
        f"Seeds of {', '.join(filter(None, (label, study.title(group))))} were trained with different choices: {text}."
        for group, label in found
        if (text := _unlike(study, group, label))
    ]
    return Table("tuning", "What trials chose", columns, rows, notes if rows else [])


def _score(tuned: Tuned, value: str, mean: float | None) -> Entry:
    """The mean of a value's trials; where one has no number, how it ended."""
    trials = [trial for trial in tuned.trials if str(trial.value) == value]
    if not trials:
        return Entry(ABSENT)
    if mean is None:
        lost = [trial.status if trial.status != "ok" else "no value" for trial in trials if trial.score is None]
        return Entry(", ".join(dict.fromkeys(lost)), failed=True)
    return Entry(shown_value(mean), mean, n=len(trials), bold=str(tuned.chosen) == value)


def _unlike(study: Study, group: Group, label: str) -> str:
    """Seeds that were given different values, as they are where a trial was run again in between; empty where none were."""
    seeds: dict[str, list[int]] = {}
    for cell in study.cells_in(group, label):
        if cell.record.tuned is not None and cell.record.tuned.chosen is not None:
            seeds.setdefault(str(cell.record.tuned.chosen), []).append(cell.record.seed)
    return "; ".join(f"{value} of seed {', '.join(map(str, of))}" for value, of in seeds.items()) if len(seeds) > 1 else ""


def begun_table(study: Study) -> Table:
    """A row for every variant and sweep point that began with weights of another cell."""
    columns = [
        *identifying(study),
        Column("variant", "Variant"),
        Column("origin", "Begins with"),
        Column("taken", "Taken over (%)", True),
        Column("drawn", "Drawn"),
        Column("left", "Not taken"),
    ]
    rows = []
    for group in study.groups:
        for label in study.labels:
            found = [cell.record.initialised for cell in study.cells_in(group, label) if cell.record.initialised is not None]
            if found:
                share = 100 * found[0].matched_parameters / max(1, found[0].parameters)
                rows.append(
                    [
                        *where(study, group),
                        Entry(label),
                        Entry(_origins(found)),
                        Entry(shown_value(share), share, n=len(found)),
                        Entry(_named(found[0].initialised)),
                        Entry(_named(found[0].left)),
                    ]
                )
    notes = [
        "Of the parameters of a variant, the share whose path and shape agree with one of the cell that it begins with, which "
        "was trained first, of the same seed; all others are drawn as in a cell that begins with nothing."
    ]
    return Table("begun", "Weights that cells began with", columns, rows, notes if rows else [])


def _origins(found: list[Initialised]) -> str:
    names = dict.fromkeys(each.label.rpartition(" seed=")[0] for each in found)
    kinds = dict.fromkeys(each.weights for each in found)
    return f"{', '.join(names)} ({', '.join(kinds)} weights after training, {len(found)} cells)"


MOST_NAMED = 2
"""Paths that a row names."""


def _named(paths: list[str]) -> str:
    more = f" and {len(paths) - MOST_NAMED} more" if len(paths) > MOST_NAMED else ""
    return f"{', '.join(paths[:MOST_NAMED])}{more}" if paths else ABSENT
