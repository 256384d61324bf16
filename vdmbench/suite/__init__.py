"""Suites: what is compared, declared in YAML and checked before anything runs. Never imports torch."""

from vdmbench.suite.cells import Cell, CellInputs
from vdmbench.suite.dependencies import dependencies, with_dependencies
from vdmbench.suite.errors import SuiteError
from vdmbench.suite.expansion import expand
from vdmbench.suite.loading import SourceLines, load_suite, parse_suite
from vdmbench.suite.numbers import NUMBERS
from vdmbench.suite.schema import SUITE_SCHEMA, Suite, Variant

__all__ = [
    "NUMBERS",
    "SUITE_SCHEMA",
    "Cell",
    "CellInputs",
    "SourceLines",
    "Suite",
    "SuiteError",
    "Variant",
    "dependencies",
    "expand",
    "load_suite",
    "parse_suite",
    "with_dependencies",
]
