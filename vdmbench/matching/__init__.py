"""Matching: what a network costs, without allocating it, and the setting of a knob at which it costs what it should."""

from vdmbench.matching.cost import Cost, cost
from vdmbench.matching.plan import Solution, solve
from vdmbench.matching.resolve import Resolved, resolve
from vdmbench.matching.solver import Unreachable

__all__ = ["Cost", "Resolved", "Solution", "Unreachable", "cost", "resolve", "solve"]
