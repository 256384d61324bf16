"""How busy other processes keep the cores that a measurement runs on: a time is that of a machine and of its neighbours.

The kernel counts, for each core, the time that anybody ran on it, and a hypervisor the time that it gave to another guest; less
the time of this process, that is what its neighbours took. Load averages say less: they count what waits, on every core of the
machine, over minutes that began before.
"""

from __future__ import annotations

import os
import time
from pathlib import Path

import psutil

SHORTEST = 0.5
"""Seconds below which ticks of the kernel's clock say nothing."""
_BUSY = ("user", "nice", "system", "irq", "softirq", "steal")
_FIELDS = ("user", "nice", "system", "idle", "iowait", "irq", "softirq", "steal")


class Neighbours:
    """Counts from when it is made.

    Args:
        stat: where the kernel tells the time of each core.
    """

    def __init__(self, stat: Path = Path("/proc/stat")) -> None:
        self._stat, self._process = stat, psutil.Process()
        self._cores = os.sched_getaffinity(0)
        self._began, self._busy, self._own = time.perf_counter(), self._busy_seconds(), self._own_seconds()

    def busy_cores(self) -> float | None:
        """Cores' worth of time that others have taken since, of the cores that this process may use (steal included).

        None where the kernel does not tell, or too little time has passed.
        """
        seconds, busy = time.perf_counter() - self._began, self._busy_seconds()
        if busy is None or self._busy is None or seconds < SHORTEST:
            return None
        others = (busy - self._busy) - (self._own_seconds() - self._own)
        return max(0.0, others / seconds)

    def _busy_seconds(self) -> float | None:
        try:
            lines = self._stat.read_text().splitlines()
        except OSError:  # another system than Linux, or one that hides it
            return None
        ticks = 0
        for line in lines:
            name, *counts = line.split()
            if name.startswith("cpu") and name[3:].isdigit() and int(name[3:]) in self._cores:
                told = dict(zip(_FIELDS, map(int, counts), strict=False))
                ticks += sum(told.get(field, 0) for field in _BUSY)
        return ticks / os.sysconf("SC_CLK_TCK")

    def _own_seconds(self) -> float:
        """Of this process, and of the children that have ended."""
        own = self._process.cpu_times()
        return float(own.user + own.system + own.children_user + own.children_system)
