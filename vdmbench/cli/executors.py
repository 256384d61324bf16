"""The options of ``vdmbench run`` that say which executor its cells are handed to, and how."""

from __future__ import annotations

from typing import Annotated, Literal

import typer

ExecutorName = Annotated[
    Literal["local", "ray", "slurm"],
    typer.Option("--executor", help="Who runs the cells: this machine, a Ray cluster, or Slurm through submitit."),
]
Address = Annotated[
    str | None, typer.Option(metavar="ADDRESS", help="Ray: of a running cluster, such as auto; else one is started here.")
]
CpusPerCell = Annotated[int | None, typer.Option("--cpus-per-cell", min=1, help="Ray, Slurm: cores that a cell takes; 1.")]
Partition = Annotated[str | None, typer.Option(help="Slurm: partition of the jobs.")]
Account = Annotated[str | None, typer.Option(help="Slurm: account that pays for the jobs.")]
SlurmOptions = Annotated[
    list[str] | None,
    typer.Option("--slurm", metavar="KEY=VALUE", help="Slurm: any long option of sbatch, such as qos=low; time is in minutes."),
]
