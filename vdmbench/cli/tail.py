"""``vdmbench tail``: follow a running cell."""

from __future__ import annotations

import time

from vdmbench.cli.cells import DEFAULT_RESULTS, CellName, WhereToLook, find_cell
from vdmbench.cli.options import AsJson
from vdmbench.cli.terminal import say, say_json

POLL_SECONDS = 0.5


def tail(cell: CellName, results: WhereToLook = DEFAULT_RESULTS, as_json: AsJson = False) -> None:
    """Follow the events of a cell's last attempt until it ends; steps between two looks are one line. Reads files only.

    With --json every event is a line of JSON, and the last line is the status it ended with.

    Examples: vdmbench tail 'mamba seed=0' | vdmbench tail 0063cd --json | jq .loss
    """
    from vdmbench.cli.event_lines import condensed, event_line
    from vdmbench.records import EventTail

    found = find_cell(cell, results)
    attempt = found.history.attempts[-1]
    say(found.named, err=True)
    events = EventTail(found.results.folder_of(attempt).events)
    while True:
        # The outcome is asked for first: what was written before it is then read in full.
        history = found.results.history(found.history.identity)
        now = next(each for each in (history or found.history).attempts if each.attempt.id == attempt.attempt.id)
        for event in events.new() if as_json else condensed(events.new()):
            say_json(event, indent=None) if as_json else say(event_line(event))
        if now.status != "started" and as_json:
            say_json({"type": "ended", "status": now.status, "message": now.message}, indent=None)
            return
        if now.status != "started":
            say(f"ended: {now.status}{': ' + now.message if now.message else ''}")
            return
        time.sleep(POLL_SECONDS)
