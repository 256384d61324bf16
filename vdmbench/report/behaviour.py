"""How clips behave in time, each on its own pixels: the table that stands real clips beside generated ones."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeVar

from vdmbench.records import TemporalProfile
from vdmbench.report.study import Group, Study
from vdmbench.report.tables import Column, Entry, Table, identifying, mean_entry, where

REAL = "real"
_T = TypeVar("_T")


def behaviour_table(study: Study) -> Table:
    """A row for real clips and for every variant at every sweep point, means over seeds; no rows without profiles."""
    columns = [
        *identifying(study),
        Column("variant", "Clips"),
        Column("flicker", "Flicker (% of range)", True),
        Column("colour_flicker", "Colour flicker (% of range)", True),
        Column("dynamic_degree", "Moving pixels (%)", True),
        Column("next", "Alike, next frame", True),
        Column("far", "Alike, furthest gap", True),
        Column("cut_rate", "Cuts in 100 frames", True),
    ]
    rows: list[list[Entry]] = []
    breaks = set()
    for group in study.groups:
        real, generated = _profiles(study, group)
        if real:
            breaks.add(len(rows))
            rows.append([*where(study, group), Entry(REAL), *_entries(real)])
            rows += [[*where(study, group), Entry(label), *_entries(found)] for label, found in generated.items()]
    for name in ("colour_flicker", "cut_rate"):  # earlier records lack the one, most lack the other
        place = next(i for i, column in enumerate(columns) if column.key == name)
        if all(row[place].value is None for row in rows):
            columns, rows = _without(columns, place), [_without(row, place) for row in rows]
    notes = [
        "On the clips' own pixels, generated and as many held-out real ones. Flicker: a frame's deviation from the mean of its "
        "neighbours, in luma and in chroma (colour flicker); it is nothing for a still video, so read it beside the share of "
        "pixels that ever move. Alike: correlation of the luma of two frames, next to each other and as far apart as the "
        "largest power of two below the clip's length. "
        "Nearer to the real row is better; neither more nor less is."
    ]
    return Table("behaviour", "Behaviour in time", columns, rows, notes, frozenset(breaks - {0}))


def _without(items: list[_T], place: int) -> list[_T]:
    return items[:place] + items[place + 1 :]


def _profiles(study: Study, group: Group) -> tuple[list[TemporalProfile], dict[str, list[TemporalProfile]]]:
    """Of the real clips, and of each variant's; one for each seed that has them."""
    real: list[TemporalProfile] = []
    generated: dict[str, list[TemporalProfile]] = {}
    for cell, of, label in zip(study.cells, study.group_of, study.frame["label"], strict=True):
        profiles = cell.record.temporal_profiles
        if of == group and profiles is not None:
            real.append(profiles.real)
            generated.setdefault(label, []).append(profiles.generated)
    return real, {label: generated[label] for label in study.labels if label in generated}


def _entries(profiles: Sequence[TemporalProfile]) -> list[Entry]:
    columns: list[list[float | None]] = [
        [100 * profile.flicker for profile in profiles],
        [None if profile.colour_flicker is None else 100 * profile.colour_flicker for profile in profiles],
        [100 * profile.dynamic_degree for profile in profiles],
        [profile.similarity.get(1) for profile in profiles],
        [profile.similarity[max(profile.similarity)] if profile.similarity else None for profile in profiles],
        [profile.cut_rate for profile in profiles],
    ]
    return [mean_entry(column) for column in columns]
