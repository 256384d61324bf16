"""vdmbench: which temporal layer is best at the same memory.

What stands in ``__all__`` is public (:mod:`vdmbench.api`), and is imported where it is first used; the rest may change. The
function that writes a report is ``vdmbench.api.report``: ``vdmbench.report`` is the package of tables and figures.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from vdmbench.api import LoadedSuite, build_mixer, build_network, fvd, load_suite, plan, read_results, run

__version__ = "0.1.0"

__all__ = [
    "LoadedSuite",
    "__version__",
    "build_mixer",
    "build_network",
    "fvd",
    "load_suite",
    "plan",
    "read_results",
    "run",
]


def __getattr__(name: str) -> Any:
    if name not in (*__all__, "api"):
        raise AttributeError(f"module 'vdmbench' has no attribute '{name}'")
    api = importlib.import_module("vdmbench.api")
    return api if name == "api" else getattr(api, name)
