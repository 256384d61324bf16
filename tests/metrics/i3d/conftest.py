"""The published weights, fetched once; without a network the tests that need them are skipped with the reason."""

from __future__ import annotations

import os

import pytest

from vdmbench.metrics.archive import WeightsError
from vdmbench.metrics.i3d.weights import cached_weights, fetch_weights, load_i3d


@pytest.fixture(scope="session")
def weights():
    """Path of the converted weights."""
    if not cached_weights().exists():
        try:
            fetch_weights()
        except WeightsError as reason:
            if os.environ.get("VDMBENCH_REQUIRE_WEIGHTS") == "1":
                raise
            pytest.skip(str(reason))
    return cached_weights()


@pytest.fixture(scope="session")
def network(weights):
    """The tested, folded network."""
    return load_i3d(weights)[0]
