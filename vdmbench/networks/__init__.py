"""Denoisers: from a noisy clip and its time to a prediction of the clip's shape."""

from vdmbench.networks.build import build, count_parameters
from vdmbench.networks.condition import Condition

__all__ = ["Condition", "build", "count_parameters"]
