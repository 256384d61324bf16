"""How far an attempt has come, from its events alone; a clock that is set back makes nothing negative."""

from __future__ import annotations

import pytest

from vdmbench.records import progress_of


def step(number, at, phase="train", loss=0.5):
    return {"type": "progress", "phase": phase, "step": number, "steps": 100, "loss": loss, "at": at}


def test_rate_and_time_left_are_of_the_running_phase():
    events = [
        {"type": "phase_started", "phase": "warm-up", "at": 0.0},
        step(1, 50.0, "warm-up", None),
        {"type": "phase_started", "phase": "train", "at": 100.0},
        step(11, 101.0),
        step(31, 141.0, loss="NaN"),
        {"type": "checkpoint", "step": 31, "at": 150.0},
    ]
    progress = progress_of(events)
    assert (progress.phase, progress.step, progress.steps) == ("train", 31, 100)
    assert str(progress.loss) == "nan"
    assert progress.seconds_per_step == pytest.approx(2.0)
    assert progress.phase_seconds_left == pytest.approx(138.0)
    assert progress.age(now=155.0) == pytest.approx(5.0)
    started = progress_of(events[:3])
    assert (started.step, started.seconds_per_step, started.phase_seconds_left) == (None, None, None)
    assert progress_of([]).age(now=1.0) is None


@pytest.mark.fault
def test_a_clock_that_is_set_back_gives_no_rate_rather_than_a_wrong_one():
    progress = progress_of([{"type": "phase_started", "phase": "train", "at": 9.0}, step(1, 10.0), step(2, 4.0)])
    assert (progress.seconds_per_step, progress.phase_seconds_left) == (None, None)
    assert progress.age(now=1.0) == 0.0
