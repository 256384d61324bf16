"""Which process is writing, told so that a reused pid or a rebooted machine cannot pass for it."""

from __future__ import annotations

import os
import socket
from dataclasses import dataclass
from pathlib import Path

import psutil


def boot_id() -> str:
    """The kernel's boot id; where there is none, the boot time stands in."""
    source = Path("/proc/sys/kernel/random/boot_id")
    return source.read_text().strip() if source.exists() else f"booted-{int(psutil.boot_time())}"


def _started_since_boot(pid: int) -> float:
    """Start time of a process in seconds since boot: immune to a wall clock that is set."""
    stat = Path(f"/proc/{pid}/stat")
    if stat.exists():
        # Field 22, counted after the parenthesised command name, which may itself hold spaces.
        return int(stat.read_text().rpartition(")")[2].split()[19]) / os.sysconf("SC_CLK_TCK")
    return round(psutil.Process(pid).create_time(), 2)


@dataclass(frozen=True)
class ProcessIdentity:
    """Host, boot, pid and start: together they name one process for good."""

    host: str
    boot_id: str
    pid: int
    process_started: float

    @classmethod
    def current(cls) -> ProcessIdentity:
        return cls(socket.gethostname(), boot_id(), os.getpid(), _started_since_boot(os.getpid()))

    def alive(self) -> bool | None:
        """Whether it still runs; None where that cannot be known from here (another host)."""
        if self.host != socket.gethostname():
            return None
        if self.boot_id != boot_id():
            return False
        try:
            return (
                abs(_started_since_boot(self.pid) - self.process_started) < 0.02
                and psutil.Process(self.pid).status() != psutil.STATUS_ZOMBIE
            )
        except (psutil.NoSuchProcess, FileNotFoundError, ProcessLookupError):
            return False
