"""Whether generated clips are copies of training clips: the table of nearest neighbours, with held-out clips beside."""

from __future__ import annotations

from vdmbench.records import Memorisation
from vdmbench.report.study import Study
from vdmbench.report.tables import Column, Entry, Table, identifying, mean_entry, where


def copies_table(study: Study) -> Table:
    """A row for every metric and variant at every sweep point, over seeds; no rows where no training clips were at hand."""
    columns = [
        *identifying(study),
        Column("variant", "Variant"),
        Column("metric", "Features of"),
        Column("nearest", "Nearest training clip", True),
        Column("nearest_held_out", "of held-out clips", True),
        Column("ratio", "Over others", True),
        Column("ratio_held_out", "of held-out clips", True),
        Column("nearer", "Nearer than any held-out (%)", True),
        Column("p", "Smallest p", True),
        Column("alarms", "Alarms"),
    ]
    rows: list[list[Entry]] = []
    for group in study.groups:
        for metric in study.metrics:
            found: dict[str, list[Memorisation]] = {}
            for cell, of, label in zip(study.cells, study.group_of, study.frame["label"], strict=True):
                result = cell.record.metrics.get(metric)
                if of == group and result is not None and result.memorisation is not None:
                    found.setdefault(label, []).append(result.memorisation)
            rows += [
                [*where(study, group), Entry(label), Entry(metric), *_entries(found[label])]
                for label in study.labels
                if label in found
            ]
    notes = [
        "Distances in the metric's own features to the nearest training clip, medians over clips, means over seeds; and over "
        "how far the nearest 50 other training videos are, which is nearly 0 for a copy. Held-out clips were never trained on. "
        "p: rank test that generated clips are no nearer than held-out ones; an alarm is p of at most 0.01, which one honest "
        "cell in a hundred has too."
    ]
    return Table("copies", "Nearest training clips", columns, rows, notes)


def _entries(found: list[Memorisation]) -> list[Entry]:
    smallest = min(each.p for each in found)
    return [
        *(mean_entry([getattr(each, name) for each in found]) for name in ("nearest", "nearest_held_out")),
        *(mean_entry([getattr(each, name) for each in found]) for name in ("ratio", "ratio_held_out")),
        mean_entry([100 * each.nearer / each.clips for each in found]),
        Entry(f"{smallest:.2g}", smallest),
        Entry(f"{sum(each.alarm for each in found)} of {len(found)}"),
    ]
