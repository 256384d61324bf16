"""Cells on this machine: one place a cell, a thread of this process supervises each, and its worker is a process."""

from __future__ import annotations

import queue
import threading
from collections.abc import Sequence
from types import TracebackType
from typing import Self

from vdmbench.records import ResultsFolder, Status
from vdmbench.runner.executors.executor import Ended, Heard
from vdmbench.runner.one_cell import run_planned
from vdmbench.runner.places import Place
from vdmbench.runner.planning import Planned
from vdmbench.runner.stopping import Stop
from vdmbench.suite.blocks import Run


class LocalExecutor:
    """As many cells at a time as there are ``places``, each in one of its own."""

    def __init__(
        self, results: ResultsFolder, run: Run, *, retry: frozenset[Status] = frozenset(), places: Sequence[Place] = (Place(),)
    ) -> None:
        self._results, self._run, self._retry = results, run, retry
        self._slots = len(places)
        self._free = list(places)
        self._stop = Stop()
        self._heard: queue.SimpleQueue[Heard | Ended] = queue.SimpleQueue()
        self._threads: list[threading.Thread] = []

    @property
    def slots(self) -> int:
        return self._slots

    def submit(self, cells: Sequence[Planned]) -> None:
        self._threads = [thread for thread in self._threads if thread.is_alive()]
        pending = list(cells)
        try:
            while pending:
                place = self._free.pop(0)
                thread = threading.Thread(target=self._supervise, args=(pending[0], place), daemon=True)
                self._threads.append(thread)
                thread.start()
                del pending[0]
        finally:  # an interrupt can come between any two lines: what it kept from beginning ends too
            for planned in pending:
                self._heard.put(Ended(planned.cell.identity))

    def _supervise(self, planned: Planned, place: Place) -> None:
        identity = planned.cell.identity
        try:
            record = run_planned(
                self._results,
                planned,
                self._run,
                retry=self._retry,
                place=place,
                listen=lambda event: self._heard.put(Heard(identity, event)),
                stop=self._stop,
            )
            ended = Ended(identity, record)
        except Exception as error:  # told to whoever runs the suite, whose thread can end it
            ended = Ended(identity, error=error)
        self._free.append(place)
        self._heard.put(ended)

    def next(self, timeout: float) -> Heard | Ended | None:
        try:
            return self._heard.get(timeout=timeout)
        except queue.Empty:
            return None

    def stop(self, reason: str) -> None:
        self._stop.ask(reason)

    def kill(self) -> None:
        self._stop.insist()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None) -> None:
        """Whatever still runs is ended, and its record is durable before this returns."""
        self._stop.ask("the run ended before")
        self._stop.insist()
        for thread in self._threads:
            thread.join()
