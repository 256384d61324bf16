"""Several workers for one attempt: ``python -m vdmbench.runner.ranks ATTEMPT_FOLDER RANKS``, a rank a device, on one machine.

It is ``torchrun --standalone`` without restarts, for what is tried again is an attempt. It ends as the rank that failed first
did: by the same signal, or with the same exit code. The ranks share its lifeline.
"""

from __future__ import annotations

import os
import signal
import sys
import tempfile
from pathlib import Path

from vdmbench.runner.lifeline import end_with_parent

SHUTDOWN_SECONDS = 8
"""That the ranks have once one of them has failed, or SIGTERM has come: within the grace of the supervisor."""


def launch(folder: Path, ranks: int) -> int:
    """Run the attempt in ``folder`` on so many ranks; returns 0, or ends this process as the first rank that failed."""
    from torch.distributed.elastic.multiprocessing import DefaultLogsSpecs, SignalException
    from torch.distributed.elastic.multiprocessing.errors import ChildFailedError
    from torch.distributed.launcher.api import LaunchConfig, elastic_launch

    with tempfile.TemporaryDirectory(prefix="vdmbench-ranks-") as scratch:
        config = LaunchConfig(
            min_nodes=1,
            max_nodes=1,
            nproc_per_node=ranks,
            rdzv_backend="c10d",
            rdzv_endpoint="localhost:0",
            local_addr="localhost",
            run_id=folder.name,
            max_restarts=0,
            logs_specs=DefaultLogsSpecs(log_dir=scratch),
            shutdown_timeout=SHUTDOWN_SECONDS,
        )
        command = ["-m", "vdmbench.runner.worker", str(folder)]
        try:
            elastic_launch(config, sys.executable)(*command)
            return 0
        except ChildFailedError as failed:
            _, first = failed.get_first_failure()
            code = first.exitcode
        except SignalException as told:
            code = -told.sigval
    if code < 0:
        if -code != signal.SIGKILL:
            signal.signal(-code, signal.SIG_DFL)
        os.kill(os.getpid(), -code)
    return code


if __name__ == "__main__":
    end_with_parent()
    sys.exit(launch(Path(sys.argv[1]), int(sys.argv[2])))
