"""The lifeline of a worker: its standard input, a pipe whose other end its supervisor holds and never writes to.

However the supervisor goes, the kernel closes the pipe, and everything that inherited it ends: no orphan holds a GPU.
"""

from __future__ import annotations

import os
import signal
import threading


def end_with_parent() -> None:
    """From here on this process is killed as soon as the pipe closes."""

    def watch() -> None:
        while os.read(0, 1):
            continue
        os.kill(os.getpid(), signal.SIGKILL)

    threading.Thread(target=watch, daemon=True, name="lifeline").start()
