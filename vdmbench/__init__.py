"""vdmbench: which temporal layer is best at the same memory.

What stands in ``__all__`` is public (:mod:`vdmbench.api`), and is imported where it is first used; the rest may change.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from vdmbench.api import LoadedSuite, build_mixer, build_network, fvd, load_suite, plan, read_results, report, run

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
    "report",
    "run",
]


def __getattr__(name: str) -> Any:
    if name not in __all__:
        raise AttributeError(f"module 'vdmbench' has no attribute '{name}'")
    from vdmbench import api

    return getattr(api, name)
