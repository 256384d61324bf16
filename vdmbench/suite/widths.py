"""Which swept fields change the size of a network rather than its task: along them a frontier runs."""

from __future__ import annotations

from vdmbench.suite.pattern import FORMS

GOALS = ("match.budget", "match.target", "match.also.budget", "match.also.target")
"""What the solver brings a width to."""


def is_width(path: str) -> bool:
    """Whether a sweep over ``path`` is one over sizes: it lies in the network or a mixer, or is a goal of the match."""
    return path.split(".")[0] in ("network", *FORMS) or path in GOALS
