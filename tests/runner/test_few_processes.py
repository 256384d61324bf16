"""Where no process more is to be had (a limit of them, no shared memory for their locks), what needs none goes on."""

from __future__ import annotations

import errno
import multiprocessing
import os
from concurrent.futures.process import BrokenProcessPool

import pytest

from tests.suite.texts import MINIMAL
from vdmbench.matching.target import Target
from vdmbench.runner import planner
from vdmbench.suite import expand, parse_suite

SUITE, LINES = parse_suite(MINIMAL)
CELLS = [cell.inputs for cell in expand(SUITE, LINES)]
TARGET = Target()


def unavailable(*_: object) -> None:
    raise BlockingIOError(errno.EAGAIN, os.strerror(errno.EAGAIN))


def cut_off(*_: object):
    """A pool whose processes are killed after the first answer."""
    key = planner.fingerprint(planner.as_costly(CELLS[0]), planner._ASKED_OF)
    yield key, {"from the pool": True}
    raise BrokenProcessPool("killed")


@pytest.mark.fault
@pytest.mark.parametrize("broken", ["none", "cut off"])
def test_a_plan_is_made_in_one_process_where_there_can_be_no_more(monkeypatch, broken):
    expected = planner._solutions(CELLS, False, TARGET, lambda done, total: None)
    monkeypatch.setattr(planner, "_WORTH_A_PROCESS", 1)
    monkeypatch.setattr(os, "sched_getaffinity", lambda pid: {0, 1})
    monkeypatch.setattr(planner, "_matches_memory", lambda inputs: True)
    if broken == "none":
        monkeypatch.setattr(multiprocessing, "get_context", unavailable)
    else:
        monkeypatch.setattr(planner, "_in_processes", cut_off)
        expected = [{"from the pool": True}, *expected[1:]]
    told: list[int] = []
    assert planner._solutions(CELLS, False, TARGET, lambda done, total: told.append(done)) == expected
    assert told == list(range(len(told)))
