"""The real network, loaded once."""

from __future__ import annotations

import pytest

from vdmbench.metrics.i3d.weights import load_i3d


@pytest.fixture(scope="session")
def network(weights):
    """The tested, folded network."""
    return load_i3d(weights)[0]
