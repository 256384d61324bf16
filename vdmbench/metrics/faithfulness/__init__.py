"""Whether generated clips show what their captions say, on procedural video, of which the truth is known."""

from vdmbench.metrics.faithfulness.metric import Faithfulness

__all__ = ["Faithfulness"]
