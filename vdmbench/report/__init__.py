"""From records to tables, figures, verdicts and a gate. Never imports torch.

What a notebook needs is here: ``Study.of(read_results([folder]))``, then ``study.frame``, ``aggregate(study)``,
``main_table(study)`` or ``draw(study, "frontier").axes``.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from vdmbench.report.aggregation import aggregate
    from vdmbench.report.figures import draw
    from vdmbench.report.frame import tidy
    from vdmbench.report.gate import Comparison, compare_folders
    from vdmbench.report.results import read_results
    from vdmbench.report.study import Study
    from vdmbench.report.tables import comparison_table, main_table
    from vdmbench.report.write import write_figure, write_report, write_tables
    from vdmbench.suite.gate import Thresholds

_PUBLIC = {
    "aggregate": "vdmbench.report.aggregation",
    "draw": "vdmbench.report.figures",
    "tidy": "vdmbench.report.frame",
    "Comparison": "vdmbench.report.gate",
    "Thresholds": "vdmbench.suite.gate",
    "compare_folders": "vdmbench.report.gate",
    "read_results": "vdmbench.report.results",
    "Study": "vdmbench.report.study",
    "comparison_table": "vdmbench.report.tables",
    "main_table": "vdmbench.report.tables",
    "write_figure": "vdmbench.report.write",
    "write_report": "vdmbench.report.write",
    "write_tables": "vdmbench.report.write",
}

__all__ = [
    "Comparison",
    "Study",
    "Thresholds",
    "aggregate",
    "compare_folders",
    "comparison_table",
    "draw",
    "main_table",
    "read_results",
    "tidy",
    "write_figure",
    "write_report",
    "write_tables",
]


def __getattr__(name: str) -> Any:
    """Import on first use: the gate needs no matplotlib, the tables need no Pillow."""
    if name not in _PUBLIC:
        raise AttributeError(f"module 'vdmbench.report' has no attribute '{name}'")
    return getattr(importlib.import_module(_PUBLIC[name]), name)
