"""Standard error that may go away: a closed pipe, a lost terminal, a log on a full disk end what is shown, and not the work."""

from __future__ import annotations

import io
import os
from typing import Any, TextIO


class LastingStderr:
    """Passes all on to ``stream`` until that can be written no more; what is written from then on goes nowhere.

    Its descriptor is turned to the null device too: libraries and the interpreter itself write past this object.
    """

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    def write(self, text: str) -> int:
        try:
            return self._stream.write(text)
        except OSError:
            self._turn_off()
            return len(text)

    def flush(self) -> None:
        try:
            self._stream.flush()
        except OSError:
            self._turn_off()

    def _turn_off(self) -> None:
        try:
            descriptor = self._stream.fileno()
        except (io.UnsupportedOperation, ValueError):  # no file behind it
            return
        null = os.open(os.devnull, os.O_WRONLY)
        os.dup2(null, descriptor)
        os.close(null)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)
