"""Executors: who runs the cells of a suite, and where. Each calls :func:`~vdmbench.runner.one_cell.run_planned`, so that locks,
attempts and records are the same whoever does."""

from vdmbench.runner.executors.executor import Ended, Executor, Heard

__all__ = ["Ended", "Executor", "Heard"]
