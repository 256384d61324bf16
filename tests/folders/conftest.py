"""The clips and weights of the metrics' own tests."""

from tests.metrics.conftest import discs, weights

__all__ = ["discs", "weights"]
