"""Trackers: a run's curves in TensorBoard or Weights & Biases, told by the supervising parent as it hears them. They change
no record and no outcome: one that fails says so once, and the cells go on."""

from vdmbench.runner.trackers.tracked import Tracked, TrackerUnavailable, open_trackers
from vdmbench.runner.trackers.tracker import Tracker, scalars_of

__all__ = ["Tracked", "Tracker", "TrackerUnavailable", "open_trackers", "scalars_of"]
