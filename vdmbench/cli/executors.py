"""The options of ``vdmbench run`` that say which executor its cells are handed to, and how."""

from __future__ import annotations

from typing import Annotated, Literal

import typer

ExecutorName = Annotated[
    Literal["local", "ray", "slurm"],
    typer.Option("--executor", help="Where cells run: on this machine, on a Ray cluster, or as Slurm jobs (through submitit)."),
]
Address = Annotated[
    str | None,
    typer.Option(
        metavar="ADDRESS", help="Ray: address of a running cluster, such as auto; without it a cluster is started here."
    ),
]
CpusPerCell = Annotated[
    int | None, typer.Option("--cpus-per-cell", min=1, help="Ray, Slurm: CPU cores per cell; 1 by default.")
]
Partition = Annotated[str | None, typer.Option(help="Slurm: partition of the jobs.")]
Account = Annotated[str | None, typer.Option(help="Slurm: account to charge.")]
SlurmOptions = Annotated[
    list[str] | None,
    typer.Option("--slurm", metavar="KEY=VALUE", help="Slurm: any long option of sbatch, such as qos=low; time is in minutes."),
]
