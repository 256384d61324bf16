"""The statuses of a results folder without reading every record: a file that only saves time, and may be deleted.

``statuses.json`` keeps, for a cell, the names of its attempts with size and modification time of each record, and the
status that counts. It is believed where the folder still looks so, file by file; anything else, an attempt without a record
included, is read from the records themselves. Records are written once, so one that was changed by hand is seen by its time.
"""

from __future__ import annotations

import json
import os
from contextlib import suppress
from pathlib import Path
from typing import Any

from vdmbench.records.atomic import write_atomically
from vdmbench.records.schema import Status
from vdmbench.records.store import ResultsFolder

_VERSION = 1
INDEX_FILE = "statuses.json"


class StatusIndex:
    """The status that counts, by cell. Lookups read no record that was read before."""

    def __init__(self, results: ResultsFolder) -> None:
        self._results = results
        self._path = results.path / INDEX_FILE
        self._known: dict[str, Any] = _read(self._path)
        self._changed = False

    def status(self, identity: str) -> Status | None:
        """As ``results.history(identity).latest.status``; None where there is no attempt.

        :raises ResultsError: a record is damaged.
        """
        seen = self._seen(identity)
        if seen == {}:
            return None
        known = self._known.get(identity)
        if seen is not None and known is not None and known["attempts"] == seen:
            status: Status = known["status"]
            return status
        history = self._results.history(identity)
        if history is None:
            return None
        if seen is not None:
            self._known[identity] = {"status": history.latest.status, "attempts": seen}
            self._changed = True
        return history.latest.status

    def save(self) -> None:
        """Keep what was learnt for the next run."""
        if self._changed:
            with suppress(OSError):  # a full disk: the next run reads the records again, and this one has more to say
                write_atomically(self._path, json.dumps({"version": _VERSION, "cells": self._known}).encode())
            self._changed = False

    def _seen(self, identity: str) -> dict[str, list[int]] | None:
        """Size and modification time of each attempt's record; None where one has none, or the folder holds something else."""
        parent = os.path.join(self._results.path, "cells", identity, "attempts")
        try:
            names = sorted(os.listdir(parent))
        except FileNotFoundError:
            return {}
        found = {}
        for name in names:
            try:
                told = os.stat(os.path.join(parent, name, "record.json"))
            except (FileNotFoundError, NotADirectoryError):
                return None
            found[name] = [told.st_size, told.st_mtime_ns]
        return found


def _read(path: Path) -> dict[str, Any]:
    """What an earlier run kept; nothing where that is another version's, or damaged: it is only an index."""
    try:
        kept = json.loads(path.read_bytes())
    except (OSError, ValueError):
        return {}
    if not isinstance(kept, dict) or kept.get("version") != _VERSION or not isinstance(kept.get("cells"), dict):
        return {}
    cells: dict[str, Any] = kept["cells"]
    well_formed = all(isinstance(each, dict) and each.keys() == {"status", "attempts"} for each in cells.values())
    return cells if well_formed else {}
