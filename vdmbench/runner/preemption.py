"""SIGTERM, which is how schedulers take a machine back: to the supervisor it is an interrupt, to a worker a last checkpoint."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager


class Preempted(KeyboardInterrupt):
    """SIGTERM came. A kind of interrupt: whoever cleans up for one cleans up for the other."""

    exit_code = 128 + signal.SIGTERM


@contextmanager
def preemptible() -> Iterator[None]:
    """Within, the first SIGTERM raises :class:`Preempted`; later ones change nothing, for everything is ending already."""

    def preempt(number: int, frame: object) -> None:
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        raise Preempted

    before = signal.signal(signal.SIGTERM, preempt)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


class LastCheckpoint:
    """While a worker trains, SIGTERM is noted and obeyed at the next step boundary; at any other time it ends the process at
    once, for there is nothing more to be saved."""

    def __init__(self) -> None:
        self._asked = False

    def asked(self) -> bool:
        """Whether training is to leave a checkpoint and stop."""
        return self._asked

    def training_began(self) -> None:
        signal.signal(signal.SIGTERM, self._note)

    def training_ended(self) -> None:
        """Back to ending at once; also now, where SIGTERM came too late for a step to see it."""
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
        if self._asked:
            os.kill(os.getpid(), signal.SIGTERM)

    def _note(self, number: int, frame: object) -> None:
        self._asked = True
