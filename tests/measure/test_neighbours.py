"""What other processes take of a measurement's cores is counted, and what the measured process takes is not."""

from __future__ import annotations

import os
import subprocess
import sys
import time

import pytest

from vdmbench.measure import PhaseMeter
from vdmbench.measure.neighbours import Neighbours

SPIN = """\
import os, sys, time
os.sched_setaffinity(0, {int(sys.argv[1])})
end = time.time() + 60
while time.time() < end:
    pass
"""


def spin(seconds: float) -> None:
    end = time.perf_counter() + seconds
    while time.perf_counter() < end:
        pass


@pytest.fixture
def core():
    """One core for this test and whoever disturbs it."""
    allowed = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {min(allowed)})
    yield min(allowed)
    os.sched_setaffinity(0, allowed)


def test_a_neighbour_on_the_same_core_is_seen_and_one_on_another_is_not(core):
    """Shares of one core: whatever else this machine does can only take from both."""
    neighbours = Neighbours()
    spin(1.0)
    before = neighbours.busy_cores()
    disturbing = subprocess.Popen([sys.executable, "-c", SPIN, str(core)])
    try:
        time.sleep(0.5)  # it starts
        neighbours = Neighbours()
        spin(2.0)
        beside = neighbours.busy_cores()
    finally:
        disturbing.kill()
        disturbing.wait()
    assert before is not None
    assert beside is not None
    assert beside > 0.25
    assert 0 <= before <= 1.05
    assert beside <= 1.05


def test_own_work_is_not_a_neighbours(tmp_path, core):
    """Against a count of its own: a core that this process alone kept busy, then one that was busy twice as long."""
    stat = tmp_path / "stat"
    ticks = os.sysconf("SC_CLK_TCK")

    def tell(seconds: float) -> None:
        here = f"cpu{core} {round(seconds * ticks)} 0 0 5 5 0 0 0 0 0"
        stat.write_text(f"cpu  9 9 9 9\n{here}\ncpu{core + 1} 999999 0 0 0\nintr 5\n")

    tell(0)
    neighbours, began, own = Neighbours(stat), time.perf_counter(), time.process_time()
    spin(0.8)
    own = time.process_time() - own
    tell(own)
    assert neighbours.busy_cores() == pytest.approx(0, abs=0.05)
    tell(own + 0.4)
    assert neighbours.busy_cores() == pytest.approx(0.4 / (time.perf_counter() - began), abs=0.05)


def test_what_is_not_known_is_none(tmp_path):
    assert Neighbours().busy_cores() is None  # too short
    hidden = Neighbours(tmp_path / "none")
    time.sleep(0.6)
    assert hidden.busy_cores() is None


def test_every_phase_says_it():
    meter = PhaseMeter()
    with meter.phase("train") as long:
        spin(0.7)
    with meter.phase("sample") as short:
        pass
    assert long["others_busy_cores"] >= 0
    assert short["others_busy_cores"] is None
