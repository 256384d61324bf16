"""Peak resident memory (RSS) of a process over a phase, in bytes, with the source of the number.

Linux keeps the peak itself: writing 5 to ``/proc/<pid>/clear_refs`` resets ``VmHWM`` of ``/proc/<pid>/status`` to what is
resident now (proc(5)), so reading it at the end gives the exact peak since. Where that is not permitted, and on other
systems, a thread polls; a rise of the process's lifetime maximum (getrusage(2)) during the phase is still exact, and then
taken instead.

RSS counts the one process: not its data-loading workers, and shared pages in full.
"""

from __future__ import annotations

import ctypes
import os
import sys
import threading
from dataclasses import dataclass
from pathlib import Path

import psutil

_PROC = Path("/proc")
_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD = -1, -3
"""Parameters of glibc's mallopt(3)."""


@dataclass(frozen=True)
class RssReading:
    """``peak_bytes`` is None where the process could not be read; ``source`` says how the peak was found, or why not."""

    peak_bytes: int | None
    source: str


def _reset_high_water(pid: int) -> bool:
    """Set the kernel's peak of ``pid`` to its present RSS; False where that is not possible."""
    try:
        (_PROC / str(pid) / "clear_refs").write_text("5")
    except OSError:
        return False
    return _high_water(pid) is not None


def _high_water(pid: int) -> int | None:
    """VmHWM in bytes; None where the kernel does not state it or the process is gone."""
    try:
        lines = (_PROC / str(pid) / "status").read_text().splitlines()
    except OSError:
        return None
    # "VmHWM:     8768 kB", where kB is 1024 bytes.
    return next((int(line.split()[1]) * 1024 for line in lines if line.startswith("VmHWM:")), None)


def _lifetime_peak() -> int | None:
    """Largest RSS of this process since it began; None on Windows."""
    try:
        import resource
    except ImportError:
        return None
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024  # bytes on macOS, KiB elsewhere


def trim_heap() -> None:
    """Give freed heap back to the system where the C library can (glibc), lest one phase's RSS begins with another's."""
    if sys.platform.startswith("linux"):
        trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
        if trim is not None:
            trim(0)


def keep_heap() -> None:
    """Let the C library (glibc) keep freed blocks of up to 32 MiB, its limit, for what asks next.

    By default it gives large ones back to the system, which hands them out again page by page, zeroed: of a training step on a
    CPU, whose every activation is such a block, that is a tenth. The peak of a phase stays its own, for :func:`trim_heap` comes
    before it; what fragments adds a few per cent to it.
    """
    if sys.platform.startswith("linux"):
        library = ctypes.CDLL(None)
        if hasattr(library, "mallopt"):
            library.mallopt(_M_MMAP_THRESHOLD, 32 * 2**20)
            library.mallopt(_M_TRIM_THRESHOLD, 2**31 - 1)


class RssPeak:
    """Peak RSS between ``start`` and ``stop``, of this process or of ``pid``; also a context manager.

    The kernel keeps one peak per process, so measurements of one process must follow one another, never overlap.
    ``interval`` is that of polling, in seconds, where it comes to that.
    """

    def __init__(self, pid: int | None = None, *, interval: float = 0.01) -> None:
        if interval <= 0:
            raise ValueError(f"interval must be positive seconds, got {interval}")
        self._pid = os.getpid() if pid is None else pid
        self._interval = interval
        self._poller: _Poller | None = None
        self._lifetime_before: int | None = None
        self.reading: RssReading | None = None
        """Set by ``stop``."""

    def __enter__(self) -> RssPeak:
        self.start()
        return self

    def __exit__(self, *exception: object) -> None:
        self.stop()

    def start(self) -> None:
        """Reset the peak, or begin to poll."""
        self.reading = None
        if not _reset_high_water(self._pid):
            self._lifetime_before = _lifetime_peak() if self._pid == os.getpid() else None
            self._poller = _Poller(self._pid, self._interval)
            self._poller.start()

    def stop(self) -> RssReading:
        """The peak since ``start``."""
        self.reading = self._read_high_water() if self._poller is None else self._read_poller(self._poller)
        self._poller = None
        return self.reading

    def _read_high_water(self) -> RssReading:
        peak = _high_water(self._pid)
        return RssReading(peak, "VmHWM" if peak is not None else f"process {self._pid} ended before its VmHWM was read")

    def _read_poller(self, poller: _Poller) -> RssReading:
        polled = poller.finish()
        lifetime = _lifetime_peak()
        if self._lifetime_before is not None and lifetime is not None and lifetime > self._lifetime_before:
            return RssReading(lifetime, "ru_maxrss")
        if polled is None:
            return RssReading(None, f"process {self._pid} could not be read")
        return RssReading(polled, f"polling {self._interval * 1000:g} ms")


class _Poller(threading.Thread):
    """Largest RSS seen by looking every ``interval`` seconds, until told to finish or the process is gone."""

    def __init__(self, pid: int, interval: float) -> None:
        super().__init__(name="vdmbench-rss", daemon=True)
        self._pid, self._interval = pid, interval
        self._finishing = threading.Event()
        self._peak: int | None = None

    def run(self) -> None:
        try:
            process = psutil.Process(self._pid)
            while True:
                rss = process.memory_info().rss
                self._peak = rss if self._peak is None else max(self._peak, rss)
                if self._finishing.wait(self._interval):
                    return
        except psutil.Error:
            # Gone or hidden: the peak so far stands, and None tells that there was none.
            return

    def finish(self) -> int | None:
        self._finishing.set()
        self.join()
        return self._peak
