"""Which process is writing, told so that a reused pid or a rebooted machine cannot pass for it."""

from __future__ import annotations

import hashlib
import os
import socket
from dataclasses import dataclass
from pathlib import Path

import psutil

_HASHED = "sha256:"


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


def hidden(name: str, salt: str) -> str:
    """A name that tells two machines apart wherever ``salt`` is the same, and does not tell what they are called."""
    return f"{_HASHED}{hashlib.sha256(f'{salt}:{name}'.encode()).hexdigest()[:16]}"


def is_hidden(name: str) -> bool:
    return name.startswith(_HASHED)


@dataclass(frozen=True)
class ProcessIdentity:
    """Host, boot, pid and start: together they name one process for good. Host and boot may be hidden by a salt."""

    host: str
    boot_id: str
    pid: int
    process_started: float

    @classmethod
    def current(cls, salt: str | None = None) -> ProcessIdentity:
        """This process; its host and boot hidden by ``salt``, or by name where there is none."""
        host, boot = socket.gethostname(), boot_id()
        if salt is not None:
            host, boot = hidden(host, salt), hidden(boot, salt)
        return cls(host, boot, os.getpid(), _started_since_boot(os.getpid()))

    def alive(self, salt: str | None = None) -> bool | None:
        """Whether it still runs; None where that cannot be known from here: another host, or one that another salt hides."""
        if not _same(self.host, socket.gethostname(), salt):
            return None
        if not _same(self.boot_id, boot_id(), salt):
            return False
        try:
            return (
                abs(_started_since_boot(self.pid) - self.process_started) < 0.02
                and psutil.Process(self.pid).status() != psutil.STATUS_ZOMBIE
            )
        except (psutil.NoSuchProcess, FileNotFoundError, ProcessLookupError):
            return False


def _same(told: str, name: str, salt: str | None) -> bool:
    return told == (hidden(name, salt) if is_hidden(told) and salt is not None else name)
