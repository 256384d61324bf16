"""What a run shows: a panel that fits the terminal, plain lines elsewhere, no colour where none is wanted."""

from __future__ import annotations

import io
from collections import Counter

import pytest
from rich.console import Console

from tests.records.attempts import record
from tests.suite.texts import MINIMAL
from vdmbench.cli.display import PlainDisplay
from vdmbench.cli.live_display import LiveDisplay
from vdmbench.cli.running_cell import RunningCell, sparkline
from vdmbench.runner.planning import Planned
from vdmbench.suite import expand, parse_suite

FLOOR, UNI, BI = (Planned(cell, None, None) for cell in expand(*parse_suite(MINIMAL)))
READING = {"allocated_peak_bytes": 3 * 2**29, "rss_peak_bytes": 2**33, "seconds": 1.0}
TRAINING = [
    {"type": "phase_started", "phase": "warm-up", "at": 0.0},
    {"type": "phase_ended", "phase": "warm-up", "reading": READING, "at": 1.0},
    {"type": "phase_started", "phase": "train", "at": 1.0},
    *({"type": "progress", "phase": "train", "step": n, "steps": 40, "loss": 1 - n / 50, "at": 1.0 + n} for n in range(1, 31)),
]


def story(shown):
    """Two cells run beside each other, one fails, one was finished before."""
    shown.found(Counter(ok=1), [UNI, BI])
    for number, each in enumerate((UNI, BI), start=1):
        shown.cell_started(each, number, 2)
        for event in TRAINING:
            shown.event(each, event)
    shown.seconds_left(75.0)


@pytest.mark.parametrize("width", [80, 120])
def test_the_panel_has_the_suite_and_a_line_for_each_running_cell(width):
    console = Console(file=io.StringIO(), width=width, force_terminal=True, color_system=None)
    shown = LiveDisplay(console, "minimal", 3)
    story(shown)
    with console.capture() as captured:
        console.print(shown.panel())
    suite, *cells = captured.get().splitlines()
    for told in ("minimal", "1/3 done", "0 failed", "2 running", "0:01:1", "left"):
        assert told in suite
    assert [line.split()[0] for line in cells] == ["uni", "bi"]
    for line in cells:
        for told in ("seed=0", "train", "30/40", "0.4000", "█", "▁", "1.50 GiB"):
            assert told in line
    assert max(map(len, (suite, *cells))) <= width
    shown.cell_ended(UNI, record("uni", status="error", message="no"))
    with console.capture() as captured:
        console.print(shown.panel())
    assert "1 failed" in captured.get()
    assert "1 running" in captured.get()


def test_no_colour_where_none_is_wanted(monkeypatch):
    monkeypatch.setenv("TERM", "xterm-256color")
    for no_color in (False, True):
        file = io.StringIO()
        shown = LiveDisplay(Console(file=file, width=80, force_terminal=True, no_color=no_color), "minimal", 3)
        with shown:
            story(shown)
            shown.cell_ended(UNI, record("uni", status="error", message="no"))
        assert ("\x1b[31m" in file.getvalue()) is not no_color


def test_without_a_terminal_each_beginning_and_end_is_a_line():
    file = io.StringIO()
    shown = PlainDisplay(Console(file=file))
    story(shown)
    shown.event(BI, {"type": "resumed", "step": 20, "at": 0.0})
    shown.cell_ended(UNI, record("uni", status="error", message="no", phase="train"))
    shown.stopping("from the keyboard")
    told = [line.partition("] ")[2] for line in file.getvalue().splitlines()]
    assert told == [
        "finished before: 1 ok; 2 to run",
        f"cell 1/2 uni seed=0 ({UNI.cell.identity}) started",
        f"cell 2/2 bi seed=0 ({BI.cell.identity}) started",
        "  about 0:01:15 left",
        "  bi seed=0 goes on from the checkpoint of step 20",
        "uni seed=0: error, in train: no",
        "ending: from the keyboard; running cells leave a checkpoint (Ctrl-C again does not wait for it)",
    ]


def test_a_sparkline_spans_what_it_shows_and_has_gaps_where_nothing_can_be_drawn():
    assert sparkline([9.0, 1.0, 2.0, 8.0], 3) == "▁▂█"
    assert sparkline([1.0, float("nan"), 3.0], 8) == "▁ █"
    assert sparkline([2.0, 2.0], 8) == "▁▁"
    assert sparkline([2.0], 8) == sparkline([], 8) == ""


def test_the_peak_of_a_cell_is_the_highest_of_its_phases():
    cell = RunningCell("uni")
    for peak in (5, 9, 7):
        cell.hear({"type": "phase_ended", "at": 0.0, "reading": {"allocated_peak_bytes": peak, "rss_peak_bytes": 99}})
    assert cell.peak_bytes == 9
