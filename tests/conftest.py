"""What all tests share: one thread a process, so that they can run side by side on few cores, and nothing of the user's."""

from __future__ import annotations

import os
import random
import sys

# Before torch is imported, and inherited by the workers that tests start: threads that wait for each other by spinning
# are many times slower than one, as soon as there are more of them than cores.
os.environ["OMP_NUM_THREADS"] = "1"
os.environ["MPLBACKEND"] = "Agg"

import numpy as np
import pytest
from hypothesis import settings
from jaxtyping import install_import_hook

from tests import typechecking

# Shapes and dtypes in signatures are checked at every call, in tests only. Not in the rooms of pydantic models, whose
# annotations are checked by pydantic itself; nor in ops, which check shapes themselves and are tested to say so.
TORCH_ROOMS = ["mixers", "networks", "diffusion", "data", "metrics", "matching"]
install_import_hook([f"vdmbench.{room}" for room in TORCH_ROOMS], f"{typechecking.__name__}.typechecked")

# The same examples every time, and no opinion on how long one takes on a shared machine.
settings.register_profile("vdmbench", deadline=None, derandomize=True)
settings.load_profile("vdmbench")
# Examples that nobody has seen: pytest tests/fuzz --hypothesis-profile=fresh --hypothesis-seed=7
settings.register_profile("fresh", deadline=None, derandomize=False)


# Folders whose tests train nothing and start few processes: what an edit is tried on (pytest -m fast).
FAST = {"suite", "records", "diffusion", "folders"}


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark the fast folders, before ``-m`` chooses. What needs a longer time limit than others begins first, so that no core
    waits for it at the end."""
    for item in items:
        if item.path.parent.name in FAST and item.get_closest_marker("slow") is None:
            item.add_marker(pytest.mark.fast)
    items.sort(key=lambda item: item.get_closest_marker("timeout") is None)


@pytest.fixture(autouse=True)
def _nothing_is_allowed_to_run(monkeypatch: pytest.MonkeyPatch) -> None:
    """Users' code that one test allows is not allowed in the next."""
    monkeypatch.setenv("VDMBENCH_ALLOWED_CODE", "")


@pytest.fixture(autouse=True)
def _seeded() -> None:
    """Global generators start every test alike, whatever ran before it; torch's only where a test has loaded torch."""
    random.seed(0)
    np.random.seed(0)  # noqa: NPY002 - the global generator is what is seeded here
    if "torch" in sys.modules:
        sys.modules["torch"].manual_seed(0)


def pytest_sessionstart() -> None:
    """Name the simulated device before any backward pass: autograd counts the types of devices once in a process."""
    from vdmbench.memory.stand_in import stand_in_device

    with stand_in_device("cuda"):
        pass
