"""A log of events as people read it."""

from __future__ import annotations

from vdmbench.cli.event_lines import condensed


def progress(phase: str, step: int) -> dict:
    return {"type": "progress", "phase": phase, "step": step}


def test_what_recurs_in_a_phase_stands_once_a_stretch_in_the_order_of_time():
    loss = {"type": "held_out_loss", "step": 2}
    later = {"type": "held_out_loss", "step": 3}
    kept = {"type": "checkpoint", "step": 2}
    log = [progress("warm-up", 1), progress("train", 1), progress("train", 2), loss, kept, progress("train", 3), later]
    assert list(condensed(log)) == [progress("warm-up", 1), progress("train", 2), loss, kept, progress("train", 3), later]
    assert list(condensed([*log, progress("train", 4)]))[-2:] == [later, progress("train", 4)]
    assert list(condensed([])) == []
