"""Cells on a Ray cluster: a task a cell, which supervises its worker on whatever node Ray finds room.

A node that goes away costs the steps since the last checkpoint: its attempt is recorded as ``interrupted``, and the cell goes
to Ray again. Nodes see the results folder under its path; from one that does not, the attempt is brought back and merged.
"""

from __future__ import annotations

import os
import signal
import socket
import sys
import time
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from vdmbench.records import ResultsFolder, Status, write_atomically
from vdmbench.runner.executors.bringing import bring_back
from vdmbench.runner.executors.executor import Ended, Heard
from vdmbench.runner.executors.lost import close_lost_attempts
from vdmbench.runner.executors.ray_task import LOCK_SECONDS, Board, supervise
from vdmbench.runner.planning import Planned
from vdmbench.suite.blocks import Run
from vdmbench.user_code import allowed

LOSSES = 3
"""Nodes that may go away under one cell before it is left for another run."""


class ClusterUnfit(ValueError):
    """The cluster cannot run a cell: the package is missing, nobody answers, or no node has what a cell takes."""


@dataclass
class _Given:
    """A cell that Ray has."""

    planned: Planned
    losses: int = 0


class RayExecutor:
    """A cell takes ``cpus`` cores and, on CUDA, ``train.devices`` GPUs.

    :param address: of a running cluster, such as ``auto``; None starts one on this machine and ends it afterwards.
    :raises ClusterUnfit: see there.
    """

    def __init__(
        self,
        results: ResultsFolder,
        run: Run,
        *,
        retry: frozenset[Status] = frozenset(),
        address: str | None = None,
        cpus: int = 1,
    ) -> None:
        self._ray = ray = _imported_ray()
        self._results = ResultsFolder(results.path.resolve())
        self._run, self._retry, self._cpus = run, retry, cpus
        self._given: dict[Any, _Given] = {}
        self._messages: deque[Heard | Ended] = deque()
        self._stopping = False
        _refuse_unreachable(address)
        on_sigterm = signal.getsignal(signal.SIGTERM)
        try:
            # Not without an address: Ray would join whatever cluster last ran here, or knock where one was.
            ray.init(address=address or "local", log_to_driver=False, configure_logging=False, **_options(address))
        except (ConnectionError, RuntimeError, ValueError) as error:
            said = " ".join(str(error).split())[:200]
            raise ClusterUnfit(f"--address {address}: no Ray cluster answers ({said}); start one with 'ray start'") from None
        signal.signal(signal.SIGTERM, on_sigterm)  # Ray's own would end this process before any record is durable
        here = ray.get_runtime_context().get_node_id()
        pinned = ray.util.scheduling_strategies.NodeAffinitySchedulingStrategy(here, soft=False)
        self._board = ray.remote(Board).options(num_cpus=0, scheduling_strategy=pinned).remote()
        self._task = ray.remote(supervise)
        self._token = f".ray-{os.getpid()}-{time.time_ns()}"
        write_atomically(self._results.path / self._token, b"nodes that see this file see this results folder")

    @property
    def slots(self) -> int:
        """Cells that fit on the nodes that are there now."""
        capacity = self._ray.cluster_resources()
        fitting = int(capacity.get("CPU", 0)) // self._cpus
        devices = max((given.planned.cell.inputs.train.devices for given in self._given.values()), default=1)
        if self._gpus(capacity):
            fitting = min(fitting, int(capacity["GPU"]) // devices)
        return max(1, fitting)

    def _gpus(self, capacity: dict[str, float]) -> bool:
        return self._run.device == "cuda" or (self._run.device == "auto" and capacity.get("GPU", 0) > 0)

    def submit(self, cells: Sequence[Planned]) -> None:
        for planned in cells:
            try:
                self._refuse_unfit(planned)
            except ClusterUnfit as error:
                self._messages.append(Ended(planned.cell.identity, error=error))
            else:
                self._give(_Given(planned))

    def _refuse_unfit(self, planned: Planned) -> None:
        devices = planned.cell.inputs.train.devices
        nodes = [node["Resources"] for node in self._ray.nodes() if node["Alive"]]
        wanted = {"CPU": self._cpus, **({"GPU": devices} if self._gpus(self._ray.cluster_resources()) else {})}
        if not any(all(node.get(kind, 0) >= count for kind, count in wanted.items()) for node in nodes):
            asked = " and ".join(f"{count} {kind}" for kind, count in wanted.items())
            raise ClusterUnfit(
                f"{planned.cell.label} takes {asked}, and no node of the Ray cluster has that: "
                "start a larger node, ask for fewer with --cpus-per-cell, or set run.device=cpu"
            )

    def _give(self, given: _Given) -> None:
        devices = given.planned.cell.inputs.train.devices
        gpus = devices if self._gpus(self._ray.cluster_resources()) else 0
        reference = self._task.options(num_cpus=self._cpus, num_gpus=gpus, max_retries=0).remote(
            self._board, self._results.path, self._results.salt, self._token, Path.cwd(), given.planned, self._run, self._retry,
            LOCK_SECONDS if given.losses else 0.0, allowed(),
        )  # fmt: skip
        self._given[reference] = given

    def next(self, timeout: float) -> Heard | Ended | None:
        if not self._messages:
            self._look(timeout)
        return self._messages.popleft() if self._messages else None

    def _look(self, timeout: float) -> None:
        # First which tasks are over, then what they said: everything of a cell is on the board before its task ends.
        over, _ = self._ray.wait(list(self._given), timeout=timeout) if self._given else ([], [])
        self._messages += self._ray.get(self._board.take.remote())
        for reference in over:
            given = self._given.pop(reference)
            identity = given.planned.cell.identity
            try:
                record, archive = self._ray.get(reference)
            except self._ray.exceptions.RayTaskError as error:
                self._messages.append(Ended(identity, error=RuntimeError(str(error.cause))))
            except self._ray.exceptions.RayError as error:
                self._lost(given, type(error).__name__)
            else:
                if archive is not None:
                    bring_back(archive, self._results)
                self._messages.append(Ended(identity, record))

    def _lost(self, given: _Given, how: str) -> None:
        identity = given.planned.cell.identity
        record = close_lost_attempts(self._results, identity, f"the Ray node that ran it is gone ({how})")
        given.losses += 1
        if self._stopping or given.losses > LOSSES:
            self._messages.append(Ended(identity, record))
        else:
            print(f"{given.planned.cell.label}: its node is gone, and the cell is run again", file=sys.stderr)
            self._give(given)

    def stop(self, reason: str) -> None:
        self._stopping = True
        self._ray.get(self._board.ask.remote(reason))
        begun = self._ray.get(self._board.begun.remote())
        for reference, given in self._given.items():
            if given.planned.cell.identity not in begun:
                self._ray.cancel(reference)

    def kill(self) -> None:
        self._ray.get(self._board.insist.remote())

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None) -> None:
        """What still runs is ended, and waited for; a cluster that was started here ends with it."""
        try:
            if self._given:
                self.stop("the run ended before")
                self.kill()
                self._ray.wait(list(self._given), num_returns=len(self._given), timeout=30)
        finally:
            self._ray.shutdown()
            (self._results.path / self._token).unlink(missing_ok=True)


def _options(address: str | None) -> dict[str, Any]:
    return {} if address else {"include_dashboard": False}


def _refuse_unreachable(address: str | None) -> None:
    """At once, where Ray itself would knock for minutes."""
    host, colon, port = (address or "").rpartition(":")
    if not colon or "/" in host or not port.isdigit():
        return  # none, a name such as auto, or Ray's client, which answers quickly
    try:
        socket.create_connection((host, int(port)), timeout=10).close()
    except OSError as error:
        raise ClusterUnfit(f"--address {address}: no Ray cluster answers ({error}); start one with 'ray start'") from None


def _imported_ray() -> Any:
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    os.environ.setdefault("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")
    try:
        import ray
        import ray.util.scheduling_strategies
    except ImportError:
        raise ClusterUnfit("--executor ray needs the package: pip install 'vdmbench[ray]'") from None
    return ray
