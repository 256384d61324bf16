"""Groups of a study gathered into panels: what one picture, or one row of a summary, spans."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from vdmbench.report.study import Group, Study


@dataclass(frozen=True)
class Panel:
    """Groups that differ in the coordinate along the axis alone, or not at all."""

    title: str
    groups: tuple[Group, ...]


def panels(study: Study, along: Sequence[str] = ()) -> list[Panel]:
    """Groups gathered into panels; every coordinate but those ``along`` makes panels of its own, cohorts and suites too."""
    found: dict[tuple[Any, ...], list[Group]] = {}
    for group in study.groups:
        rest = tuple((name, value) for name, value in group.point if name not in along)
        found.setdefault((group.suite, group.cohort, rest), []).append(group)
    return [Panel(study.title(groups[0], leave_out=along), tuple(groups)) for groups in found.values()]
