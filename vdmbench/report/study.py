"""A study: the cells of a report, checked for what must not be mixed, and grouped by what may be compared."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any

import numpy as np
import pandas as pd

from vdmbench.cell_label import coordinate, coordinate_text
from vdmbench.quantities import MixedDirections, Quantity, pick, quantities_of
from vdmbench.records import MetricResult, Record
from vdmbench.records.published import Publisher
from vdmbench.report.declaration import DeclaredSuite
from vdmbench.report.experiments import Parted, told_apart
from vdmbench.report.frame import natural, order_cells, tidy
from vdmbench.report.one_plan import one_plan_each
from vdmbench.report.results import Cell, as_cells
from vdmbench.suite.widths import GOALS


class NotComparable(ValueError):
    """Records that cannot stand in one table; the message names both sides."""


class MeasuredDifferently(NotComparable):
    """One quantity by two protocols or counters."""


@dataclass(frozen=True)
class Group:
    """What is compared with one another: the same suite, hardware and sweep point."""

    suite: str
    cohort: str | None
    point: tuple[tuple[str, Any], ...]

    def __getitem__(self, coordinate: str) -> Any:
        return dict(self.point).get(coordinate)


@dataclass(frozen=True)
class Outcome:
    """One quantity of one variant in one group: a number or a status for every seed."""

    values: dict[int, float] = field(default_factory=dict)
    failures: dict[int, str] = field(default_factory=dict)
    """Status of the seeds without a number."""

    @property
    def n(self) -> int:
        return len(self.values)

    @property
    def mean(self) -> float | None:
        return float(np.mean(list(self.values.values()))) if self.values else None

    @property
    def deviation(self) -> float | None:
        """Sample standard deviation over seeds; null for fewer than two."""
        return float(np.std(list(self.values.values()), ddof=1)) if self.n > 1 else None

    @property
    def failed(self) -> str:
        """Which seeds have no number and why: ``oom x 2``; empty where all have one."""
        return ", ".join(
            f"{status} ×{count}" if count > 1 or self.n else status
            for status, count in sorted(Counter(self.failures.values()).items())
        )


@dataclass(frozen=True)
class Study:
    """All cells of a report."""

    cells: tuple[Cell, ...]
    """Those that were declared and never begun among them."""
    superseded: tuple[Cell, ...]
    """Older records of the same variant, point and seed that are set aside; they are named, never averaged in."""
    frame: pd.DataFrame
    reference: str | None = None
    """The variant that the others are compared with, if any."""
    notes: tuple[str, ...] = ()
    """What a reader must know of these cells before any number: other experiments, a reference without cells."""
    declared: frozenset[str] = frozenset()
    """The suites whose cells are counted against what is declared; empty where no declaration is known."""

    @classmethod
    def of(
        cls,
        records: Sequence[Record | Cell],
        variants: Sequence[str] | None = None,
        reference: str | None = None,
        declared: DeclaredSuite | None = None,
    ) -> Study:
        """Group records, experiment by experiment (:mod:`~vdmbench.report.experiments`).

        :param variants: in declared order; null takes the order of appearance.
        :param declared: the suite as it was run last: cells of it without a record are counted as not run.
        :raises NotComparable: mixed protocols or memory counters, naming both; or an unknown reference.
        """
        if not records:
            raise NotComparable("no records: there is nothing to report")
        parted = told_apart(as_cells(records), declared or DeclaredSuite(None))
        try:
            return cls._of_cells(parted, variants, reference)
        except MeasuredDifferently as mixed:
            alone = parted.first_alone(str(mixed))
            if len(alone.cells) == len(parted.cells):
                raise
            return cls._of_cells(alone, variants, reference)

    @classmethod
    def _of_cells(cls, parted: Parted, variants: Sequence[str] | None, reference: str | None) -> Study:
        latest: dict[tuple[Any, ...], Cell] = {}
        superseded: list[Cell] = []
        for cell in order_cells(parted.cells, variants):
            record = cell.record
            point = tuple(sorted((path, repr(coordinate(path, value))) for path, value in record.point.items()))
            key = (cell.suite, record.cohort, record.variant, point, record.seed)
            if key in latest:
                older, newer = sorted((latest[key], cell), key=lambda item: item.record.attempt.started)
                superseded.append(older)
                cell = newer
            latest[key] = cell
        cells = order_cells(list(latest.values()), variants)
        notes = [*parted.notes]
        try:
            frame = tidy(cells, variants)
        except MixedDirections as error:
            raise NotComparable(str(error)) from None
        if reference is not None and reference not in set(frame["label"]):
            known = list(dict.fromkeys(frame["label"]))
            if reference not in (variants or ()):
                raise NotComparable(f"reference '{reference}' is no variant of these results; variants: {', '.join(known)}")
            notes.append(f"There is no cell of the reference '{reference}' here: nothing is compared with it.")
            reference = None
        notes += one_plan_each(frame)
        study = cls(tuple(cells), tuple(superseded), frame, reference, tuple(notes), parted.declared)
        study._refuse_mixtures()
        return study

    def published(self, publisher: Publisher, variants: Sequence[str] | None = None) -> Study:
        """The same study without names and places. ``variants`` are those that it was made with."""

        def told(cell: Cell) -> Cell:
            experiment = None if cell.experiment is None else publisher.text(cell.experiment)
            return replace(cell, record=publisher.tree(cell.record), experiment=experiment)

        cells = order_cells([told(cell) for cell in self.cells], variants)
        return replace(
            self,
            cells=tuple(cells),
            superseded=tuple(told(cell) for cell in self.superseded),
            frame=tidy(cells, variants),
            notes=tuple(map(publisher.text, self.notes)),
            declared=frozenset(map(publisher.text, self.declared)),
        )

    @cached_property
    def coordinates(self) -> list[str]:
        """Sweep coordinates that define a group."""
        return list(self.frame.attrs["coordinates"])

    @cached_property
    def labels(self) -> list[str]:
        """Variants, with coordinates only they have, in declared order; over suites, those of the first come first."""
        return list(dict.fromkeys(self.frame["label"]))

    @cached_property
    def metrics(self) -> list[str]:
        """Names of declared metrics that have at least one value, in order of appearance."""
        return list(dict.fromkeys(name for cell in self.cells for name in cell.record.metrics))

    @cached_property
    def declared_metrics(self) -> list[str]:
        """Names of the metrics that have a value or that a cell declares, whether it has a value of them or not."""
        declared: list[str] = []
        for cell in self.cells:
            evaluate = cell.record.declared.get("evaluate")
            metrics = evaluate.get("metrics") if isinstance(evaluate, dict) else None
            for metric in metrics if isinstance(metrics, list) else []:
                name = metric.get("name") if isinstance(metric, dict) else None
                declared += [name] if isinstance(name, str) else []
        return list(dict.fromkeys([*self.metrics, *declared]))

    @cached_property
    def suites(self) -> list[str]:
        return list(dict.fromkeys(self.frame["suite"]))

    @cached_property
    def cohorts(self) -> list[str]:
        """Hardware cohorts that have measurements."""
        return list(dict.fromkeys(cohort for cohort in self.frame["cohort"] if cohort is not None))

    @cached_property
    def seeds(self) -> list[int]:
        return sorted(set(self.frame["seed"]))

    def quantity(self, name: str) -> Quantity:
        """By name; raises UnknownQuantity with the closest one."""
        return pick(name, self.known)

    @cached_property
    def known(self) -> list[Quantity]:
        """All that these records have or should have, in the order of tables; one without a value has no column."""
        results: dict[str, list[MetricResult]] = {}
        for cell in self.cells:
            for name, result in cell.record.metrics.items():
                results.setdefault(name, []).append(result)
        return quantities_of(results | {name: [] for name in self.declared_metrics if name not in results})

    @cached_property
    def quantities(self) -> list[Quantity]:
        """Those with at least one value."""
        return [each for each in self.known if each.name in self.frame and self.frame[each.name].notna().any()]

    @cached_property
    def judged(self) -> list[Quantity]:
        """Those that say how good clips are: values of metrics, and the parts of them that the main table shows."""
        return [quantity for quantity in self.quantities if quantity.main and quantity.metric]

    @cached_property
    def memory(self) -> Quantity:
        """The training memory that figures and findings speak of: what CUDA's allocator counted where all cells ran on one,
        else the planned one, which is the same on every machine; the peak of live tensors where none could be planned."""
        return self.quantity("planned_train_memory" if self.memory_is_planned else "peak_train_memory")

    @cached_property
    def memory_is_planned(self) -> bool:
        """Whether :attr:`memory` is."""
        counted = set(self.frame["peak_train_memory_source"].dropna())
        return counted != {"CUDA allocated"} and bool(self.frame["planned_train_memory"].notna().any())

    @cached_property
    def group_of(self) -> list[Group]:
        """The group of each row. A cell that never ran has no hardware: where there is only one cohort, it counts there."""
        only = self.cohorts[0] if len(self.cohorts) == 1 else None
        columns = [list(self.frame[name]) for name in self.coordinates]
        points = zip(*columns, strict=True) if columns else ((),) * len(self.frame)
        return [
            Group(suite, only if cohort is None else cohort, tuple(zip(self.coordinates, map(_python, point), strict=True)))
            for suite, cohort, point in zip(self.frame["suite"], self.frame["cohort"], points, strict=True)
        ]

    @cached_property
    def groups(self) -> list[Group]:
        """All groups: by suite, cohort, then coordinates in natural order."""
        return sorted(
            set(self.group_of),
            key=lambda group: (
                self.suites.index(group.suite),
                group.cohort is None,
                group.cohort or "",
                [natural(value) for _, value in group.point],
            ),
        )

    @cached_property
    def judged_groups(self) -> list[Group]:
        """Those that a suite's claims are made for: of the experiment that it declares now, where that is known."""
        return [group for group in self.groups if not self.declared or group.suite in self.declared]

    @cached_property
    def _outcomes(self) -> dict[str, dict[Group, dict[str, Outcome]]]:
        return {}

    def outcomes(self, quantity: Quantity) -> dict[Group, dict[str, Outcome]]:
        """By group and label, both in order; a declared cell without a number is a failure with its status."""
        if quantity.name not in self._outcomes:
            found: dict[Group, dict[str, Outcome]] = {group: {} for group in self.groups}
            known = quantity.name in self.frame  # a declared metric has no column before its first value
            column = [_number(value) for value in self.frame[quantity.name]] if known else [None] * len(self.frame)
            for group, label, cell, value in zip(self.group_of, self.frame["label"], self.cells, column, strict=True):
                outcome, record = found[group].setdefault(label, Outcome()), cell.record
                if value is None:
                    lost = cell.status if cell.status != "ok" else quantity.absent(record) or "no value"
                    outcome.failures[record.seed] = lost
                else:
                    outcome.values[record.seed] = value
            self._outcomes[quantity.name] = {
                group: {label: found[group][label] for label in self.labels if label in found[group]} for group in found
            }
        return self._outcomes[quantity.name]

    @cached_property
    def statuses(self) -> dict[Group, dict[str, Outcome]]:
        """How the cells ended, by group and label: a value (1) for each seed that is ok, else its status."""
        found: dict[Group, dict[str, Outcome]] = {group: {} for group in self.groups}
        for group, label, cell in zip(self.group_of, self.frame["label"], self.cells, strict=True):
            outcome = found[group].setdefault(label, Outcome())
            if cell.status == "ok":
                outcome.values[cell.record.seed] = 1.0
            else:
                outcome.failures[cell.record.seed] = cell.status
        return found

    def coordinate_text(self, name: str, value: Any) -> str:
        """A coordinate's value as people read it, a size in bytes with its unit; what a variant does not have is a dash."""
        return "–" if value is None else coordinate_text(self.frame.attrs["paths"][name], value)

    def point_title(self, point: Sequence[tuple[str, Any]]) -> str:
        """Coordinates as a caption: ``16 frames, size 32, budget 16 GiB``, or ``no budget`` of what is exempt from one."""
        parts = []
        for name, value in point:
            text = self.coordinate_text(name, value)
            parts.append(f"no {name}" if value is None else f"{text} frames" if name == "frames" else f"{name} {text}")
        return ", ".join(parts)

    def title(self, group: Group, leave_out: Sequence[str] = ()) -> str:
        """What tells ``group`` from the others of this study, for captions: suite and hardware where there are several, and the
        sweep point without the coordinates of ``leave_out``."""
        rest = [(name, value) for name, value in group.point if name not in leave_out]
        parts = [group.suite] if len(self.suites) > 1 else []
        parts += [group.cohort or "not run"] if len(self.cohorts) > 1 else []
        return ", ".join([*parts, self.point_title(rest)] if rest else parts)

    def protocols(self, metric: str) -> list[str]:
        """Protocols under which ``metric`` was taken, in order of appearance."""
        return [name for name in dict.fromkeys(self.frame[f"{metric}.protocol"]) if isinstance(name, str)]

    @cached_property
    def _cells_by_place(self) -> dict[tuple[Group, str], list[Cell]]:
        found: dict[tuple[Group, str], list[Cell]] = {}
        for cell, group, label in zip(self.cells, self.group_of, self.frame["label"], strict=True):
            found.setdefault((group, label), []).append(cell)
        return found

    def cells_in(self, group: Group, label: str) -> list[Cell]:
        return self._cells_by_place.get((group, label), [])

    def group_with(self, group: Group, label: str) -> Group:
        """Where the cells lie that a variant is compared by in ``group``: a variant that is exempt from a goal has none of its
        own at each budget, and is the same at all."""
        if (group, label) in self._cells_by_place:
            return group
        paths = self.frame.attrs["paths"]
        bare = replace(group, point=tuple((name, None if paths[name] in GOALS else value) for name, value in group.point))
        return bare if (bare, label) in self._cells_by_place else group

    def _refuse_mixtures(self) -> None:
        for quantity in self.quantities:
            if quantity.source is None:
                continue
            seen: dict[tuple[Any, ...], tuple[str, str]] = {}
            for group, label, source in zip(self.group_of, self.frame["label"], self.frame[quantity.source], strict=True):
                if not isinstance(source, str):
                    continue
                # A protocol may name the clip length, so it is compared at one sweep point, over cohorts and suites alike.
                where = group.point if quantity.reach == "portable" else (group.cohort,)
                other, of = seen.setdefault(where, (source, label))
                if other != source:
                    raise MeasuredDifferently(
                        f"{quantity.name}: {source} ({label}) and {other} ({of}) are measured differently and "
                        "cannot share a table; report them apart, or run both again under one protocol"
                    )


def _python(value: Any) -> Any:
    """A numpy scalar from a column as a plain value, whole floats as integers, null as None."""
    value = value.item() if isinstance(value, np.generic) else value
    if value is pd.NA or value is None or (isinstance(value, float) and math.isnan(value)):
        return None
    return int(value) if isinstance(value, float) and value.is_integer() else value


def _number(value: Any) -> float | None:
    return None if value is None or pd.isna(value) else float(value)
