"""What runs on the nodes of a Ray cluster: the supervisor of one cell, and the board through which it is heard and told."""

from __future__ import annotations

import os
import shutil
import tempfile
import threading
import time
from pathlib import Path
from typing import Any

from vdmbench.records import Event, Record, ResultsFolder, Status
from vdmbench.runner.executors.bringing import pack
from vdmbench.runner.executors.executor import Heard
from vdmbench.runner.one_cell import ATTEMPT_STARTED, run_planned
from vdmbench.runner.places import Place
from vdmbench.runner.planning import Planned
from vdmbench.runner.stopping import Stop
from vdmbench.suite.blocks import Run
from vdmbench.user_code import allow

_ASK_SECONDS = 1.0
LOCK_SECONDS = 60.0
"""After a node was lost: that its last process may still take to die and let go of the cell's lock."""


class Board:
    """An actor beside whoever runs the suite: events wait here to be taken, and wishes to be seen."""

    def __init__(self) -> None:
        self._messages: list[Heard] = []
        self._begun: set[str] = set()
        self._reason: str | None = None
        self._at_once = False

    def tell(self, message: Heard) -> None:
        if message.event["type"] == ATTEMPT_STARTED:
            self._begun.add(message.identity)
        self._messages.append(message)

    def take(self) -> list[Heard]:
        taken, self._messages = self._messages, []
        return taken

    def begun(self) -> set[str]:
        return self._begun

    def ask(self, reason: str) -> None:
        self._reason = self._reason or reason

    def insist(self) -> None:
        self._at_once = True

    def wishes(self) -> tuple[str | None, bool]:
        return self._reason, self._at_once


def supervise(
    board: Any,
    results: Path,
    salt: str | None,
    token: str,
    folder: Path,
    planned: Planned,
    run: Run,
    retry: frozenset[Status],
    patience: float,
    allowed_code: frozenset[str],
) -> tuple[Record | None, bytes | None]:
    """Run one cell on this node; the record, and where ``results`` is not to be seen from here the attempt as an archive.

    :param salt: of ``results``, so that a node that does not see them is hidden as all others are.
    :param token: name of a file in ``results`` by which it is recognised.
    :param folder: working directory of whoever runs the suite.
    :param patience: seconds to wait for the cell's lock.
    :param allowed_code: fingerprints of users' code that whoever runs the suite has allowed to run.
    """
    import ray

    allow(allowed_code)
    if folder.is_dir():
        os.chdir(folder)  # a suite may name a user's file from there
    shared = (results / token).exists()
    here = ResultsFolder(results if shared else Path(tempfile.mkdtemp(prefix="vdmbench-")))
    if not shared:
        here.prepare(salt)
    stop, identity, over = Stop(), planned.cell.identity, threading.Event()

    def obey() -> None:
        while not over.wait(_ASK_SECONDS):
            try:
                reason, at_once = ray.get(board.wishes.remote())
            except ray.exceptions.RayError:
                reason, at_once = "whoever ran the suite is gone", False
            if reason is not None:
                stop.ask(reason)
            if at_once:
                stop.insist()

    told: list[Any] = []

    def listen(event: Event) -> None:
        told[:] = [board.tell.remote(Heard(identity, event))]

    threading.Thread(target=obey, daemon=True, name="wishes").start()
    try:
        deadline = time.monotonic() + patience
        while (record := run_planned(here, planned, run, retry=retry, place=Place(), listen=listen, stop=stop)) is None:
            if stop.asked or time.monotonic() > deadline:
                break
            time.sleep(1.0)
        if told:
            ray.get(told[0])  # calls of one task arrive in order: the others have too
        return record, None if shared else pack(here.path)
    finally:
        over.set()
        if not shared:
            shutil.rmtree(here.path, ignore_errors=True)
