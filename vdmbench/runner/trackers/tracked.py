"""Tell trackers what an observer is told, and let none of them stand in the way."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path
from types import TracebackType
from typing import Self, get_args

from vdmbench.records import Event, Record, Status
from vdmbench.runner.planning import Planned
from vdmbench.runner.supervisor import Observer
from vdmbench.runner.trackers.tracker import Tracker, scalars_of
from vdmbench.suite.blocks import TrackerName

_log = logging.getLogger(__name__)


class TrackerUnavailable(ValueError):
    """A tracker was asked for that cannot be had; the message says how to get it."""


def open_trackers(names: Sequence[str], results: Path) -> dict[str, Tracker]:
    """The trackers of these names. Raises :class:`TrackerUnavailable`, before any work, for one whose package is missing."""
    from vdmbench.runner.trackers.tensorboard import TensorBoard
    from vdmbench.runner.trackers.wandb import WeightsAndBiases

    made: dict[str, Tracker] = {}
    for name in dict.fromkeys(names):
        if name not in get_args(TrackerName):
            raise TrackerUnavailable(f"--track {name}: no such tracker; trackers: {', '.join(get_args(TrackerName))}")
        try:
            made[name] = TensorBoard(results) if name == "tensorboard" else WeightsAndBiases(results)
        except ImportError as error:
            raise TrackerUnavailable(f"tracker '{name}' needs a package ({error}): pip install 'vdmbench[{name}]'") from None
    return made


class Tracked:
    """An observer of a run that tells trackers too, and passes on everything to the observer that it stands before.

    A tracker that raises is told of once, on the log, and hears nothing more: what a viewer's server or disk does is no
    matter of a cell's.
    """

    def __init__(self, observer: Observer, trackers: dict[str, Tracker]) -> None:
        self._observer, self._trackers = observer, dict(trackers)
        self._steps: dict[str, int] = {}

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None) -> None:
        self._tell(lambda tracker: tracker.close())

    def found(self, statuses: Counter[Status], waiting: Sequence[Planned]) -> None:
        self._observer.found(statuses, waiting)

    def seconds_left(self, seconds: float | None) -> None:
        self._observer.seconds_left(seconds)

    def stopping(self, reason: str) -> None:
        self._observer.stopping(reason)

    def cell_started(self, planned: Planned, number: int, total: int) -> None:
        self._observer.cell_started(planned, number, total)
        self._tell(lambda tracker: tracker.cell_started(planned.cell))

    def event(self, planned: Planned, event: Event) -> None:
        self._observer.event(planned, event)
        identity = planned.cell.identity
        if event["type"] == "resumed" or (event["type"] == "progress" and event["phase"] == "train"):
            self._steps[identity] = event["step"]
        if numbers := scalars_of(event):
            self._tell(lambda tracker: tracker.scalars(planned.cell, numbers, self._steps.get(identity, 0)))

    def cell_ended(self, planned: Planned, record: Record) -> None:
        self._observer.cell_ended(planned, record)
        self._tell(lambda tracker: tracker.cell_ended(planned.cell, record))

    def _tell(self, what: Callable[[Tracker], None]) -> None:
        for name, tracker in list(self._trackers.items()):
            try:
                what(tracker)
            except Exception as error:  # a viewer of whatever kind must not end a run
                _log.warning(
                    "tracker %s failed and is told nothing more of this run; cells and records go on (%s: %s)",
                    name, type(error).__name__, " ".join(str(error).split())[:200],
                )  # fmt: skip
                del self._trackers[name]
