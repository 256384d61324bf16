from __future__ import annotations

import platform
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest

from vdmbench.measure import RssPeak, process_memory
from vdmbench.measure.process_memory import trim_heap

MIB = 2**20
linux = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="VmHWM is Linux's")


BEGIN = f"""
import time
from pathlib import Path
from vdmbench.measure import RssPeak, process_memory

MIB = {MIB}

def touch(size):
    held = bytearray(size)
    held[::4096] = b"x" * len(held[::4096])

"""


def in_a_fresh_process(code: str) -> list[str]:
    """The words that ``code`` prints. This process has a past: its maximum may be higher, and its heap may shrink meanwhile.

    Behind a shell, for on Linux a process inherits the maximum of the one that spawned it.
    """
    command = ["sh", "-c", '"$0" -c "$1"; :', sys.executable, BEGIN + code]
    done = subprocess.run(command, capture_output=True, text=True, check=True, cwd=Path(__file__).parents[2])
    return done.stdout.split()


@pytest.fixture
def no_reset(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A /proc without clear_refs, as where a container forbids it."""
    monkeypatch.setattr(process_memory, "_PROC", tmp_path)


@linux
def test_a_peak_that_is_gone_by_the_end_is_seen_and_the_next_one_starts_anew():
    found = in_a_fresh_process("""
with RssPeak() as idle:
    pass
with RssPeak() as busy:
    touch(64 * MIB)
with RssPeak() as after:
    pass
readings = [peak.reading for peak in (idle, busy, after)]
print(*(each.peak_bytes for each in readings), *(each.source for each in readings))
""")
    idle, busy, after = map(int, found[:3])
    assert found[3:] == ["VmHWM"] * 3
    assert busy - idle == pytest.approx(64 * MIB, abs=4 * MIB)
    assert after - idle < 4 * MIB


def test_polling_where_the_peak_cannot_be_reset():
    found = in_a_fresh_process("""
process_memory._PROC = Path("/nonexistent")
touch(128 * MIB)  # lifts the lifetime maximum above what comes, so that polling has to answer
with RssPeak(interval=0.002) as idle:
    pass
with RssPeak(interval=0.002) as busy:
    held = bytearray(b"x") * (64 * MIB)
    time.sleep(0.05)
    del held
print(idle.reading.peak_bytes, busy.reading.peak_bytes, busy.reading.source)
""")
    idle, busy = map(int, found[:2])
    assert found[2:] == ["polling", "2", "ms"]
    assert busy - idle == pytest.approx(64 * MIB, abs=4 * MIB)


@pytest.mark.skipif(sys.platform == "win32", reason="getrusage is POSIX's")
def test_a_new_lifetime_maximum_is_exact_where_polling_would_miss_it():
    source, peak = in_a_fresh_process("""
process_memory._PROC = Path("/nonexistent")
with RssPeak(interval=60.0) as peak:
    held = bytearray(b"x") * (256 * MIB)
    del held
print(peak.reading.source, peak.reading.peak_bytes)
""")
    assert source == "ru_maxrss"
    assert 256 * MIB < int(peak) < 512 * MIB


@linux
@pytest.mark.parametrize("permitted", [True, False])
def test_another_process_is_measured(permitted: bool, request: pytest.FixtureRequest):
    if not permitted:
        request.getfixturevalue("no_reset")
    code = f"input(); held = bytearray(b'x') * (64 * {MIB}); print('held', flush=True); input()"
    with subprocess.Popen([sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as child:
        with RssPeak(child.pid, interval=0.002) as peak:
            child.stdin.write("\n")
            child.stdin.flush()
            assert child.stdout.readline() == "held\n"
            time.sleep(0.02)
        child.communicate("\n")
    assert peak.reading.source == ("VmHWM" if permitted else "polling 2 ms")
    assert 64 * MIB < peak.reading.peak_bytes < 160 * MIB


@linux
def test_a_process_that_ended_leaves_none_and_a_reason():
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as child:
        peak = RssPeak(child.pid)
        peak.start()
        child.communicate(b"\n")
    reading = peak.stop()
    assert reading.peak_bytes is None
    assert reading.source == f"process {child.pid} ended before its VmHWM was read"


def test_a_process_that_never_was_leaves_none_and_a_reason():
    with RssPeak(2**22 + 1) as peak:
        pass
    assert peak.reading.peak_bytes is None
    assert "could not be read" in peak.reading.source


def test_an_interval_of_nothing_is_refused():
    with pytest.raises(ValueError, match="positive seconds, got 0"):
        RssPeak(interval=0.0)


def test_trimming_the_heap_leaves_no_more_resident_than_before():
    before = psutil.Process().memory_info().rss
    trim_heap()
    assert psutil.Process().memory_info().rss <= before + 2**20


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="mallopt is glibc's: run on a Linux that has it")
def test_a_kept_heap_takes_no_pages_anew():
    """In a process of its own, since it cannot be undone: blocks of 16 MiB, written and freed together again and again."""
    script = """
import resource, sys
import numpy as np
from vdmbench.measure.process_memory import keep_heap
if "kept" in sys.argv:
    keep_heap()
def write():
    for _ in range(5):
        [np.ones(2**21) for _ in range(4)]
write()
before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
write()
print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""
    faults = [
        int(subprocess.run([sys.executable, "-c", script, *words], check=True, capture_output=True, text=True).stdout)
        for words in ([], ["kept"])
    ]
    assert faults[0] > 20 * 100
    assert faults[1] < faults[0] / 10
