"""How running cells are told to end: asked once they leave a checkpoint, asked at once they are killed. Either way each
leaves its record."""

from __future__ import annotations

import threading


class Stop:
    """A wish that is set once, in any thread, and seen by all that supervise a cell."""

    def __init__(self) -> None:
        self._asked, self._at_once = threading.Event(), threading.Event()
        self.reason = ""

    def ask(self, reason: str) -> None:
        """Let workers come to a checkpoint. The first reason is the one that records tell."""
        if not self._asked.is_set():
            self.reason = reason
            self._asked.set()

    def insist(self) -> None:
        """Let them go without."""
        self._at_once.set()

    @property
    def asked(self) -> bool:
        return self._asked.is_set()

    @property
    def at_once(self) -> bool:
        return self._at_once.is_set()

    def wait(self, seconds: float) -> bool:
        """Sleep, and wake where somebody asks; whether anybody has."""
        return self._asked.wait(seconds)
