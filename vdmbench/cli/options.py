"""Options that several commands share, each defined once."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from vdmbench.cli.terminal import say

if TYPE_CHECKING:
    from vdmbench.suite import Cell, SourceLines, Suite

SuiteFile = Annotated[
    Path, typer.Argument(metavar="SUITE", help="Suite file, or the name of a shipped one (vdmbench list suites).")
]
Overrides = Annotated[
    list[str] | None,
    typer.Argument(
        metavar="[KEY.PATH=VALUE]...", help="Fields of the suite to override, such as train.steps=10 or 'seeds=[0,1,2]'."
    ),
]
Results = Annotated[
    Path | None, typer.Option("--results", "-r", help="Results folder; by default results/<name of the suite>.")
]
Tiny = Annotated[bool, typer.Option("--tiny", help="Run the small version that the suite's 'tiny' block declares, in seconds.")]
AllowCode = Annotated[
    bool, typer.Option("--allow-code", help="Allow the suite to run the Python files that it names as path.py:Class.")
]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON.")]


def load_cells(
    file: Path, overrides: list[str] | None, *, allow_code: bool = False, tiny: bool = False
) -> tuple[Suite, list[Cell], SourceLines]:
    """Read, check and expand a suite, and say which Python files it runs; raises as :func:`vdmbench.load_suite`."""
    from vdmbench.api import load_suite

    loaded = load_suite(file, *(overrides or ()), allow_code=allow_code, tiny=tiny)
    _say_code(loaded.code)
    return loaded.declared, loaded.cells, loaded.lines


def refuse_code(cells: list[Cell], origin: str, *, allow_code: bool) -> None:
    """Refuse cells that name Python files, unless ``allow_code``, which opens the gate for these; what will be run is said."""
    from vdmbench.api import open_gate

    _say_code(open_gate(cells, origin, allow_code=allow_code))


def _say_code(code: dict[str, str]) -> None:
    for name, sha256 in code.items():
        say(f"runs {name} (SHA-256 {sha256})", err=True)
