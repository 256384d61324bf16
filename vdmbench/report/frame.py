"""Records as one tidy table: a row a cell, failed ones included, null where a number is not known."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Sequence
from typing import Any

import pandas as pd

from vdmbench.cell_label import coordinate
from vdmbench.quantities import BUILT_IN, Quantity, finite, quantities_in
from vdmbench.records import PHASES, MetricResult, Prediction, PredictionScore, Record, training_of
from vdmbench.report.results import Cell, as_cells
from vdmbench.suite.widths import GOALS

_TAKEN = {
    "identity",
    "suite",
    "variant",
    "label",
    "seed",
    "status",
    "phase",
    "message",
    "cohort",
    "attempts",
    "matched",
    "mismatch",
    "frames",
    "size",
    *(quantity.name for quantity in BUILT_IN),
}


def coordinate_names(paths: Iterable[str]) -> dict[str, str]:
    """Sweep paths to short column names: the last part, or the whole path where that part is another column's name."""
    paths = list(dict.fromkeys(paths))
    last = [path.rpartition(".")[2] for path in paths]
    free = [
        last.count(name) == 1 and (name not in _TAKEN or path == f"data.{name}") for path, name in zip(paths, last, strict=True)
    ]
    return {path: name if ok else path for path, name, ok in zip(paths, last, free, strict=True)}


def plain(value: Any) -> Any:
    """A coordinate as something that can be compared and printed: a choice becomes its name, a structure JSON."""
    if isinstance(value, dict) and set(value) == {"name"}:
        return value["name"]
    return json.dumps(value, sort_keys=True) if isinstance(value, dict | list) else value


def _declared(record: Record, *path: str) -> Any:
    here: Any = record.declared
    for part in path:
        here = here.get(part) if isinstance(here, dict) else None
    return here


def _row(cell: Cell, names: dict[str, str], own: set[str], quantities: Sequence[Quantity]) -> dict[str, Any]:
    record = cell.record
    extra = [f"{names[path]}={plain(coordinate(path, value))}" for path, value in record.point.items() if path in own]
    row: dict[str, Any] = {
        "identity": record.identity,
        "suite": cell.suite,
        "variant": record.variant,
        "label": f"{record.variant} [{', '.join(extra)}]" if extra else record.variant,
        "seed": record.seed,
        "status": cell.status,
        "phase": record.phase,
        "message": record.message,
        "cohort": record.cohort,
        "attempts": cell.attempts,
        "frames": _declared(record, "data", "frames"),
        "size": _declared(record, "data", "size"),
    }
    row |= {name: plain(coordinate(path, record.point.get(path))) for path, name in names.items()}
    solved, training = record.solved, training_of(record)
    row |= {"matched": solved.quantity if solved else None, "mismatch": solved.mismatch if solved else None}
    row |= {f"knob.{name}": value for name, value in (solved.knobs if solved else {}).items()}
    for quantity in quantities:
        row[quantity.name] = quantity.read(record)
        if quantity.source is not None:
            row[quantity.source] = quantity.read_source(record)
        if quantity.interval is not None:
            row[f"{quantity.name}.low"], row[f"{quantity.name}.high"] = quantity.interval(record) or (None, None)
    row |= {
        "step_time.q1": training.step_seconds.q1 if training and training.step_seconds else None,
        "step_time.q3": training.step_seconds.q3 if training and training.step_seconds else None,
        "baseline_rss_bytes": record.baseline_rss_bytes,
    }
    for phase in PHASES:
        measured = record.phases.get(phase)
        for counter in (
            "seconds",
            "rss_peak_bytes",
            "allocated_peak_bytes",
            "reserved_peak_bytes",
            "nvml_peak_bytes",
            "others_busy_cores",
        ):
            row[f"{phase}.{counter}"] = getattr(measured, counter) if measured else None
    row |= _predicted(record.prediction)
    for name, result in record.metrics.items():
        row |= _doubts(name, result)
    return row


def _doubts(name: str, result: MetricResult) -> dict[str, Any]:
    """What stands beside a metric's value: its floor, counts, and what it did not see."""
    return {
        f"{name}.floor": finite(result.floor),
        f"{name}.n_real": result.n_real,
        f"{name}.n_generated": result.n_generated,
        f"{name}.blind": ", ".join(result.blind) or None,
        f"{name}.copies": result.memorisation.alarm if result.memorisation else None,
        f"{name}.rank_deficient": result.rank_deficient,
    }


def _predicted(prediction: Prediction | None) -> dict[str, Any]:
    """The rule, and the floor that copying the last known frame gives."""
    if prediction is None:
        return {}
    row: dict[str, Any] = {"prediction.rule": prediction.rule}
    for name in ("psnr", "ssim", "lpips"):
        score: PredictionScore | None = getattr(prediction, name)
        row[f"{name}.copied"] = score.copied if score else None
    return row | {"recall.copied": prediction.recall.copied_gain if prediction.recall else None}


def own_coordinates(records: Sequence[Record]) -> set[str]:
    """Sweep paths that some cells do not have: they belong to their variant's label, not to the point of comparison. But a
    goal that cells are matched to is of all of them: a variant that is exempt is the same at every one."""
    every = {path for record in records for path in record.point}
    return {path for path in every if path not in GOALS and not all(path in record.point for record in records)}


def natural(value: Any) -> tuple[int, float, str]:
    """Sort key: numbers by value, then text, then null."""
    if value is None or (isinstance(value, float) and math.isnan(value)):
        return (2, 0.0, "")
    if isinstance(value, int | float):
        return (0, float(value), "")
    return (1, 0.0, str(value))


def _ordered(cells: list[Cell], names: dict[str, str], variants: Sequence[str] | None) -> list[Cell]:
    first = list(dict.fromkeys([*(variants or ()), *(cell.record.variant for cell in cells)]))
    suites = list(dict.fromkeys(cell.suite for cell in cells))
    known = sorted({cell.record.cohort for cell in cells if cell.record.cohort is not None})
    nowhere = known[0] if len(known) == 1 else "~"  # a cell that never ran stands with the others where there is one cohort

    def key(cell: Cell) -> tuple[Any, ...]:
        record = cell.record
        return (
            suites.index(cell.suite),
            record.cohort or nowhere,
            first.index(record.variant),
            [natural(plain(coordinate(path, record.point.get(path)))) for path in names],
            record.seed,
            record.identity,
        )

    return sorted(cells, key=key)


def order_cells(records: Sequence[Record | Cell], variants: Sequence[str] | None = None) -> list[Cell]:
    """Cells by suite, cohort, variant, sweep point and seed; variants as given, else in order of appearance."""
    cells = as_cells(records)
    return _ordered(cells, coordinate_names(path for cell in cells for path in cell.record.point), variants)


def tidy(records: Sequence[Record | Cell], variants: Sequence[str] | None = None) -> pd.DataFrame:
    """One row a cell, in declared order; columns in base units (bytes, seconds, counts).

    Nothing is dropped: a cell that failed, or could not be built, is a row with its status and nulls. Sweep coordinates
    are columns by short name, listed in ``frame.attrs["coordinates"]`` (their
    paths in ``frame.attrs["paths"]``); those that only some variants have are part of
    ``label`` and not in that list. ``peak_train_memory`` and ``peak_sample_memory`` are the peaks a cell is judged by, with
    their counter in ``<column>_source``; the raw counters of each phase stand beside them as ``<phase>.<counter>``.
    """
    cells = order_cells(records, variants)
    own = own_coordinates([cell.record for cell in cells])
    names = coordinate_names(path for cell in cells for path in cell.record.point)
    quantities = quantities_in(cell.record for cell in cells)
    rows = [_row(cell, names, own, quantities) for cell in cells]
    columns = list(dict.fromkeys(column for row in rows for column in row))
    data = {column: column_of([row.get(column) for row in rows]) for column in columns}
    frame = pd.DataFrame(data, columns=columns)
    frame.attrs["coordinates"] = [name for path, name in names.items() if path not in own]
    frame.attrs["paths"] = {name: path for path, name in names.items()}
    return frame


def column_of(values: list[Any]) -> pd.Series:
    """Counts as nullable integers, other numbers as floats with NaN for null, the rest as they are."""
    known: list[Any] = [value for value in values if value is not None]
    if known and all(isinstance(value, int | float) and not isinstance(value, bool) for value in known):
        if all(isinstance(value, int) for value in known):
            return pd.Series(values, dtype="Int64")
        return pd.Series([math.nan if value is None or not math.isfinite(value) else float(value) for value in values])
    return pd.Series(values, dtype=object)
