"""SIGTERM, by which schedulers take a machine back, and SIGHUP, by which a terminal goes away: to the supervisor either is an
interrupt, to a worker a last checkpoint."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager

SIGNALS = (signal.SIGTERM, signal.SIGHUP)


class Preempted(KeyboardInterrupt):
    """SIGTERM or SIGHUP came. A kind of interrupt: whoever cleans up for one cleans up for the other."""

    def __init__(self, number: int = signal.SIGTERM) -> None:
        super().__init__()
        self.signal = signal.Signals(number)

    @property
    def exit_code(self) -> int:
        return 128 + self.signal


@contextmanager
def preemptible() -> Iterator[None]:
    """Within, the first of :data:`SIGNALS` raises :class:`Preempted`; later ones change nothing, for everything is ending.

    One that was ignored before stays so: ``nohup`` means that the terminal may go.
    """
    before = {number: signal.getsignal(number) for number in SIGNALS}
    heeded = [number for number, handler in before.items() if handler is not signal.SIG_IGN]

    def preempt(number: int, frame: object) -> None:
        for each in heeded:
            signal.signal(each, signal.SIG_IGN)
        raise Preempted(number)

    for number in heeded:
        signal.signal(number, preempt)
    try:
        yield
    finally:
        for number in heeded:
            signal.signal(number, before[number])


class LastCheckpoint:
    """While a worker trains, :data:`SIGNALS` are noted and obeyed at the next step boundary; at any other time they end the
    process at once, for there is nothing more to be saved."""

    def __init__(self) -> None:
        self._asked: int | None = None
        self._before = {number: signal.getsignal(number) for number in SIGNALS}

    def asked(self) -> bool:
        """Whether training is to leave a checkpoint and stop."""
        return self._asked is not None

    def training_began(self) -> None:
        for number, handler in self._before.items():
            if handler is not signal.SIG_IGN:
                signal.signal(number, self._note)

    def training_ended(self) -> None:
        """Back to ending at once; also now, where one came too late for a step to see it."""
        for number, handler in self._before.items():
            signal.signal(number, handler)
        if self._asked is not None:
            os.kill(os.getpid(), self._asked)

    def _note(self, number: int, frame: object) -> None:
        self._asked = number
