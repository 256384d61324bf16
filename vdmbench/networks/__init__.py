"""Denoisers: from a noisy clip and its time to a prediction of the clip's shape."""

from vdmbench.networks.build import build, count_parameters

__all__ = ["build", "count_parameters"]
