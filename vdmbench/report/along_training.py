"""A run as it stood at points before its training ended: the same record, with what was known there.

Every quantity reads a record, so it reads these too: how many steps, FLOPs and seconds had been spent, the held-out loss,
and the metrics of clips where ``evaluate.at`` judged some.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

from vdmbench.quantities import Quantity
from vdmbench.records import HeldOutLoss, Record, training_of
from vdmbench.report.study import Group, Study


def stages(record: Record) -> dict[int, Record]:
    """Steps done to the record as it stood there, in order, the end last; empty where training was not completed."""
    training = training_of(record)
    if training is None:
        return {}
    curve, earlier = training.val_loss, {point.step: point for point in record.earlier}
    seconds = {point.step: point.train_seconds for point in record.earlier}
    seconds |= dict(zip(curve.steps, curve.train_seconds, strict=True)) if curve else {}
    found = {}
    for step in sorted(step for step in seconds if step < training.steps):
        then = training.model_copy(
            update={
                "steps": step,
                "clips": None if training.clips is None else training.clips * step // training.steps,
                "train_seconds": seconds[step],
                "final_loss": None,
                "val_loss": None if curve is None else _until(curve, step),
            }
        )
        point = earlier.get(step)
        judged = {
            "metrics": point.metrics if point else {},
            "prediction": point.prediction if point else None,
            "temporal_profiles": point.temporal_profiles if point else None,
        }
        found[step] = record.model_copy(update={"training": then, "earlier": [], **judged})
    return found | {training.steps: record}


def _until(curve: HeldOutLoss, step: int) -> HeldOutLoss | None:
    """None where it was not taken at that step."""
    count = curve.steps.index(step) + 1 if step in curve.steps else 0
    parts = {name: getattr(curve, name)[:count] for name in ("steps", "values", "train_seconds")}
    return curve.model_copy(update=parts) if count else None


def read_along(
    study: Study, groups: Sequence[Group], label: str, x: Quantity, y: Quantity
) -> list[tuple[Group, dict[int, float], dict[int, float]]]:
    """Two quantities of a variant at every point of its training that has both: group, ``x`` and ``y`` by seed."""
    found: dict[tuple[Group, int], tuple[dict[int, float], dict[int, float]]] = {}
    for group in groups:
        for cell in study.cells_in(group, label):
            for step, record in stages(cell.record).items():
                across, up = x.read(record), y.read(record)
                if across is None or up is None or not (math.isfinite(across) and math.isfinite(up)):
                    continue
                xs, ys = found.setdefault((group, step), ({}, {}))
                xs[record.seed], ys[record.seed] = float(across), float(up)
    return [(group, xs, ys) for (group, _), (xs, ys) in found.items()]
