"""What becomes of an attempt, from its events and from how its worker ended."""

from __future__ import annotations

import pytest

from tests.records.attempts import record
from vdmbench.records import Exit
from vdmbench.runner.fold import fold

STOPPED = {"type": "outcome", "status": "interrupted", "message": "asked to end, and did after step 7", "at": 2.0}
TRAINING = {"type": "phase_started", "phase": "train", "at": 1.0}


def folded(events, *, exit=None, cut_short=None, **told):
    return fold(record(status="started"), events, exit=exit or Exit(code=0), device_memory=None, cut_short=cut_short, **told)


@pytest.mark.fault
def test_a_worker_that_the_kernel_killed_for_want_of_memory_is_out_of_memory():
    """Else it would be run again, and killed again, for ever."""
    killed = Exit(code=None, signal="SIGKILL")
    found = folded([TRAINING], exit=killed, killed_for_memory=True)
    assert (found.status, found.phase) == ("oom", "train")
    assert "its control group (container, batch job) was out of memory" in found.message
    assert folded([TRAINING], exit=killed).status == "signal"
    assert folded([TRAINING], exit=Exit(code=None, signal="SIGSEGV"), killed_for_memory=True).status == "signal"
    assert folded([TRAINING], exit=killed, killed_for_memory=True, cut_short=("timeout", "over its limit")).status == "timeout"


@pytest.mark.fault
def test_a_worker_that_aborts_as_an_allocation_fails_is_out_of_memory():
    """In a thread of a library, where no error can be raised."""
    said = "terminate called after throwing an instance of 'std::bad_alloc'\n  what():  std::bad_alloc\n"
    assert folded([TRAINING], exit=Exit(code=None, signal="SIGABRT", stderr_tail=said)).status == "oom"
    other = (
        "terminate called after throwing an instance of 'c10::Error'\n  CUDA error: an illegal memory access was encountered"
    )
    assert folded([TRAINING], exit=Exit(code=None, signal="SIGABRT", stderr_tail=other)).status == "signal"
    assert folded([TRAINING], exit=Exit(code=None, signal="SIGSEGV", stderr_tail=said)).status == "signal"


@pytest.mark.fault
def test_a_worker_that_ends_well_and_tells_nothing_is_an_error():
    found = folded([TRAINING])
    assert (found.status, found.phase) == ("error", "train")
    assert "exited with 0 and told no outcome" in found.message


@pytest.mark.fault
def test_a_worker_that_was_told_to_end_by_somebody_else_is_interrupted():
    found = folded([TRAINING, STOPPED])
    assert (found.status, found.phase, found.message) == ("interrupted", "train", STOPPED["message"])


@pytest.mark.parametrize("why", [("timeout", "over its limit"), ("interrupted", "interrupted: from the keyboard")])
def test_why_a_worker_was_told_to_end_only_its_parent_knows(why):
    found = folded([TRAINING, STOPPED], cut_short=why)
    assert (found.status, found.message) == why
    finished = folded([{"type": "outcome", "status": "ok", "at": 3.0}], cut_short=why)
    assert finished.status == "ok"
