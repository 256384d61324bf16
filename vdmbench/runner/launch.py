"""The worker as a process: started in a place, in a process group of its own, and ended as a whole."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from contextlib import suppress

from vdmbench.records import AttemptFolder, Exit
from vdmbench.runner.places import Place
from vdmbench.runner.stopping import Stop

GRACE_SECONDS = 10.0
_STDERR_TAIL = 4000


class Worker:
    """The child process that runs one attempt; with several ``ranks`` it is the one that runs theirs."""

    def __init__(self, folder: AttemptFolder, environment: dict[str, str], place: Place, ranks: int = 1) -> None:
        self._stderr = folder.stderr
        module = ["vdmbench.runner.worker", str(folder.path)]
        if ranks > 1:
            module = ["vdmbench.runner.ranks", str(folder.path), str(ranks)]
        with folder.stderr.open("wb") as log:
            self._process = subprocess.Popen(
                [sys.executable, "-m", *module],
                start_new_session=True,
                stdin=subprocess.PIPE,
                stdout=log,
                stderr=log,
                env={**os.environ, **place.environment_variables(), **environment},
            )
        self.pid = self._process.pid
        if place.cores:
            # Now, while the interpreter still starts: every thread that libraries will begin inherits it.
            with suppress(ProcessLookupError):  # it died at birth, which is told where its exit is read
                os.sched_setaffinity(self.pid, place.cores)

    def running(self) -> bool:
        return self._process.poll() is None

    def end(self, stop: Stop) -> None:
        """TERM, grace (none once ``stop`` insists), KILL, to the whole group."""
        self._signal(signal.SIGTERM)
        deadline = time.monotonic() + GRACE_SECONDS
        while self.running() and time.monotonic() < deadline and not stop.at_once:
            time.sleep(0.05)
        if self.running():
            self.kill()

    def kill(self) -> None:
        """KILL, to the whole group, and wait until it is dead."""
        self._signal(signal.SIGKILL)
        self._process.wait()

    def exit(self) -> Exit:
        """How it ended; whatever it started and left behind is ended too."""
        code = self._process.wait()
        self._signal(signal.SIGKILL)
        if self._process.stdin is not None:
            self._process.stdin.close()
        try:
            tail = self._stderr.read_bytes()[-_STDERR_TAIL:].decode(errors="replace")
        except OSError as error:  # the log is beside the record, which is worth having without it
            tail = f"{self._stderr.name} cannot be read: {error.strerror}"
        return Exit(code=code if code >= 0 else None, signal=signal.Signals(-code).name if code < 0 else None, stderr_tail=tail)

    def _signal(self, number: signal.Signals) -> None:
        with suppress(ProcessLookupError):  # the group ended by itself meanwhile, which is what is wanted
            os.killpg(self.pid, number)
