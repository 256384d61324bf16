"""Several workers for one attempt: ``python -m vdmbench.runner.ranks ATTEMPT_FOLDER RANKS``, a rank a device, on one machine.

Each rank gets the environment that torchrun would give it. The ranks are in this process's group, so that a signal to the group
and NVML's account of it reach them all, and they share its lifeline. This process ends as the rank that failed first did: by
the same signal, or with the same exit code. Nothing is begun again here, for what is tried again is an attempt.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Sequence

from vdmbench.runner.lifeline import end_with_parent

SHUTDOWN_SECONDS = 8
"""That the ranks have once one of them has failed, or a signal has come: within the grace of the supervisor."""
_POLL_SECONDS = 0.05
_FORWARDED = (signal.SIGTERM, signal.SIGHUP, signal.SIGINT, signal.SIGQUIT)


def launch(command: Sequence[str], ranks: int) -> int:
    """Run ``command`` as so many ranks; returns 0, or the exit code of the first that failed, negative for a signal.

    A signal that asks this process to end is handed to the ranks, which may still leave a checkpoint, and returned.
    """
    import torch.distributed as dist

    told: list[int] = []
    for number in _FORWARDED:
        if signal.getsignal(number) is not signal.SIG_IGN:
            signal.signal(number, lambda number, frame: told.append(number))
    # Here, at a port that the system chose: a port that is looked for first and bound later may be another attempt's by then.
    store = dist.TCPStore("localhost", 0, is_master=True, wait_for_workers=False)
    begun: list[subprocess.Popen[bytes]] = []
    try:
        begun.extend(
            subprocess.Popen(command, env={**os.environ, **_environment(rank, ranks, store.port)}) for rank in range(ranks)
        )
        while not told:
            codes = [each.poll() for each in begun]
            failures = [code for code in codes if code]
            if failures:
                return failures[0]
            if None not in codes:
                return 0
            time.sleep(_POLL_SECONDS)
        _signal(begun, told[0])
        return -told[0]
    finally:
        _end(begun)


def _environment(rank: int, ranks: int, port: int) -> dict[str, str]:
    """What ``torch.distributed`` reads; the last tells it that the store is there already."""
    one, all_ = str(rank), str(ranks)
    return {"RANK": one, "LOCAL_RANK": one, "WORLD_SIZE": all_, "LOCAL_WORLD_SIZE": all_,
            "MASTER_ADDR": "localhost", "MASTER_PORT": str(port), "TORCHELASTIC_USE_AGENT_STORE": "True"}  # fmt: skip


def _end(ranks: Sequence[subprocess.Popen[bytes]]) -> None:
    """Ask those that still run to end, and after :data:`SHUTDOWN_SECONDS` no longer ask."""
    _signal(ranks, signal.SIGTERM)
    deadline = time.monotonic() + SHUTDOWN_SECONDS
    while time.monotonic() < deadline and any(each.poll() is None for each in ranks):
        time.sleep(_POLL_SECONDS)
    _signal(ranks, signal.SIGKILL)
    for each in ranks:
        each.wait()


def _signal(ranks: Sequence[subprocess.Popen[bytes]], number: int) -> None:
    for each in ranks:
        each.send_signal(number)  # nothing, where it has ended


def end_as(code: int) -> int:
    """End this process by the signal that ``code`` negates; a code of its own is returned."""
    if code < 0:
        if -code != signal.SIGKILL:
            signal.signal(-code, signal.SIG_DFL)
        os.kill(os.getpid(), -code)
    return code


if __name__ == "__main__":
    end_with_parent()
    sys.exit(end_as(launch([sys.executable, "-m", "vdmbench.runner.worker", sys.argv[1]], int(sys.argv[2]))))
