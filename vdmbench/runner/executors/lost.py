"""Attempts whose supervisor went away with the machine it was on: told as what they are, so that the cell goes on elsewhere."""

from __future__ import annotations

from contextlib import suppress

from vdmbench.records import Record, ResultsFolder, parse_record, read_events
from vdmbench.runner.fold import fold


def close_lost_attempts(results: ResultsFolder, identity: str, message: str) -> Record | None:
    """Leave the ``interrupted`` record of every attempt at the cell that has none, and return the record that counts.

    Only for whoever knows that no supervisor of this cell is left: on another host that cannot be seen from a record.
    """
    for folder in results.attempt_folders(identity):
        if folder.started.exists() and not folder.record.exists():
            started = parse_record(folder.started.read_bytes(), folder.started)
            record = fold(
                started, read_events(folder.events), exit=None, device_memory=None, cut_short=("interrupted", message)
            )
            with suppress(FileExistsError):  # it was not lost: its supervisor has just finished it
                results.finish(folder, record)
    history = results.history(identity)
    return None if history is None else history.latest
