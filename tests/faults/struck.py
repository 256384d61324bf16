"""A mixer that once, in a phase it is told, does to its own worker (or to the supervisor) what the world does to processes.

Copied beside a suite and named there as ``struck.py:Struck``. A cell whose fault's name is a file in ``armed/`` is struck in
its next attempt, and in that one only; the numbers of every cell are the same, struck or not.
"""

from __future__ import annotations

import json
import os
import resource
import signal
import sys
import threading
import time
from pathlib import Path

import torch
from torch import nn

from vdmbench.mixers import Mixer

HERE = Path(__file__).parent
WORKER = sys.argv[0].endswith("worker.py")


def happened() -> list[dict]:
    """The events that this worker has told so far; none in any other process."""
    log = Path(sys.argv[1], "events.jsonl") if WORKER else None
    return [json.loads(line) for line in log.read_bytes().splitlines()] if log and log.exists() else []


def where() -> tuple[str | None, int]:
    """The running phase, and the steps it has made."""
    phase, step = None, 0
    for event in happened():
        if event["type"] == "phase_started":
            phase, step = event["phase"], 0
        elif event["type"] == "progress":
            step = event["step"]
    return phase, step


def fill_disk(room: int, process: int = 0) -> None:
    """As if the disk were full but for ``room`` bytes: no file may grow beyond what the event log has now and so much more.

    Of this process, or of another.
    """
    size = Path(sys.argv[1], "events.jsonl").stat().st_size
    resource.prlimit(process, resource.RLIMIT_FSIZE, (size + room, resource.RLIM_INFINITY))


def append_event(garbage: bytes) -> None:
    with Path(sys.argv[1], "events.jsonl").open("ab") as log:
        log.write(garbage)


def tell_supervisor(*numbers: signal.Signals) -> None:
    """Send signals to the supervisor, and be in the middle of a step while it obeys."""
    for number in numbers:
        os.kill(os.getppid(), number)
        time.sleep(1.5)


def fail() -> None:
    raise RuntimeError("a mixer of the user's failed")


DEEDS = {
    "kill": lambda: os.kill(os.getpid(), signal.SIGKILL),
    "terminate": lambda: os.kill(os.getpid(), signal.SIGTERM),
    "leave": lambda: os._exit(0),
    "raise": fail,
    "stop": lambda: os.kill(os.getpid(), signal.SIGSTOP),
    "hang": lambda: time.sleep(3600),
    "allocate": lambda: torch.empty(1 << 52, dtype=torch.uint8),
    "fill the disk but for 50 bytes": lambda: fill_disk(50),
    "fill the disk but for 2 kB": lambda: fill_disk(2000),
    "fill the disk but for 20 kB": lambda: fill_disk(20_000),
    "fill the supervisor's disk": lambda: fill_disk(-2000, os.getppid()),
    "tear an event": lambda: append_event(b'{"type": "progress", "st'),
    "write garbage": lambda: append_event(b"\xff\x00garbage\n"),
    "kill the supervisor": lambda: tell_supervisor(signal.SIGKILL),
    "interrupt the supervisor": lambda: tell_supervisor(signal.SIGINT),
    "interrupt the supervisor twice": lambda: tell_supervisor(signal.SIGINT, signal.SIGINT),
    "terminate the supervisor": lambda: tell_supervisor(signal.SIGTERM),
    "hang up the supervisor": lambda: tell_supervisor(signal.SIGHUP),
}


class Struck(Mixer):
    """A linear map of every frame, in which ``deed`` is done in ``phase`` after ``step`` steps of it."""

    def __init__(self, channels: int, *, fault: str = "none", deed: str = "none", phase: str = "none", step: int = 0) -> None:
        super().__init__(channels, causal=True)
        self.inner_width = channels
        self.mix = nn.Linear(channels, channels)
        self.fault, self.deed, self.when = fault, deed, (phase, step)
        self._strike_when_due()
        if phase == "evaluate" and self.armed:
            threading.Thread(target=self._wait, daemon=True).start()

    @property
    def armed(self) -> bool:
        return WORKER and (HERE / "armed" / self.fault).exists()

    def _wait(self) -> None:
        """No mixer runs while clips are judged: a thread waits for that."""
        while self.armed:
            self._strike_when_due()
            time.sleep(0.002)

    def _strike_when_due(self) -> bool:
        if not self.armed or where() != self.when:
            return False
        (HERE / "armed" / self.fault).unlink()
        (HERE / "struck").mkdir(exist_ok=True)
        (HERE / "struck" / self.fault).write_text(str(os.getpid()))
        if self.deed == "give NaN":
            return True
        DEEDS[self.deed]()
        return False

    def forward(self, x):
        mixed = self.mix(x)
        if not self.training and self.when[0] == "train":  # the held-out loss between two steps is no step
            return mixed
        return mixed * float("nan") if self._strike_when_due() else mixed

    def state_size(self, frames):
        return 0

    def flops(self, frames):
        return 2 * frames * self.mix.weight.numel()
