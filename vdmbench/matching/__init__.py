"""Matching: what a network costs, without allocating it, and the width at which it costs what it should."""

from vdmbench.matching.cost import Cost, cost
from vdmbench.matching.plan import Solution, solve
from vdmbench.matching.solver import Unreachable

__all__ = ["Cost", "Solution", "Unreachable", "cost", "solve"]
