"""An executor by name, with the options that belong to it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

from vdmbench.records import ResultsFolder, Status
from vdmbench.runner.executors.executor import Executor
from vdmbench.suite.blocks import Run

_BELONG = {
    "--gpus": {"local"},
    "--jobs": {"local", "slurm"},
    "--address": {"ray"},
    "--cpus-per-cell": {"ray", "slurm"},
    "--partition": {"slurm"},
    "--account": {"slurm"},
    "--slurm": {"slurm"},
}


@dataclass(frozen=True)
class ExecutorChoice:
    """An executor by name with its options; those of another are refused (ValueError)."""

    name: Literal["local", "ray", "slurm"] = "local"
    gpus: str | None = None
    jobs: int | None = None
    address: str | None = None
    cpus: int | None = None
    partition: str | None = None
    account: str | None = None
    slurm: Sequence[str] = ()

    def __post_init__(self) -> None:
        given = {
            "--gpus": self.gpus, "--jobs": self.jobs, "--address": self.address, "--cpus-per-cell": self.cpus,
            "--partition": self.partition, "--account": self.account, "--slurm": self.slurm or None,
        }  # fmt: skip
        for option, value in given.items():
            if value is not None and self.name not in _BELONG[option]:
                owners = " or ".join(sorted(_BELONG[option]))
                raise ValueError(f"{option} belongs to --executor {owners}, and this is --executor {self.name}: leave it out")

    @property
    def here(self) -> bool:
        """Whether cells run on this machine for sure, so that what they need can be looked for on it."""
        return self.name == "local" or (self.name == "ray" and self.address is None)

    def make(self, results: ResultsFolder, run: Run, retry: frozenset[Status], places: Sequence[Any]) -> Executor:
        """Connect to what it needs. Raises ValueError where that is missing."""
        if self.name == "ray":
            from vdmbench.runner.executors.ray import RayExecutor

            return RayExecutor(results, run, retry=retry, address=self.address, cpus=self.cpus or 1)
        if self.name == "slurm":
            from vdmbench.runner.executors.slurm import SlurmExecutor

            return SlurmExecutor(
                results, run, retry=retry, partition=self.partition, account=self.account, at_once=self.jobs,
                cpus=self.cpus or 1, options=_pairs(self.slurm),
            )  # fmt: skip
        from vdmbench.runner.executors.local import LocalExecutor

        return LocalExecutor(results, run, retry=retry, places=places)


def _pairs(texts: Sequence[str]) -> dict[str, str]:
    pairs: dict[str, str] = {}
    for text in texts:
        key, equals, value = text.partition("=")
        if not equals or not key:
            raise ValueError(f"--slurm {text}: write KEY=VALUE, such as --slurm qos=low")
        name = key.removeprefix("--")
        if name in pairs:
            raise ValueError(f"--slurm {text}: {name} is {pairs[name]} already; give it once")
        pairs[name] = value
    return pairs
