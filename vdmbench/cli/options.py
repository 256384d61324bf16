"""Options that several commands share, each defined once; and how a suite is found by name."""

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
    typer.Argument(metavar="[KEY.PATH=VALUE]...", help="Fields to set otherwise, such as train.steps=10 or 'seeds=[0,1,2]'."),
]
Results = Annotated[
    Path | None, typer.Option("--results", "-r", help="Results folder; by default results/<name of the suite>.")
]
Tiny = Annotated[bool, typer.Option("--tiny", help="As small as the suite's own 'tiny' block says: a trial in seconds.")]
AllowCode = Annotated[bool, typer.Option("--allow-code", help="Run the Python files that the suite names as path.py:Class.")]
AsJson = Annotated[bool, typer.Option("--json", help="JSON on standard output.")]


def shipped_suites() -> dict[str, Path]:
    """Suites that came with vdmbench, by name: of a checkout, or of the installed package."""
    package = Path(__file__).resolve().parent.parent
    for folder in (package / "suites", package.parent / "suites"):
        if folder.is_dir():
            return {path.stem: path for path in sorted(folder.glob("*.yaml"))}
    return {}


def find_suite(named: Path) -> Path:
    """A file as given, or a shipped suite by its name."""
    if named.exists() or named.suffix or len(named.parts) > 1:
        return named
    known = shipped_suites()
    if named.name not in known:
        raise ValueError(f"{named}: no such file, and no shipped suite of that name; shipped: {', '.join(known)}")
    return known[named.name]


def load_cells(
    file: Path, overrides: list[str] | None, *, allow_code: bool = False, tiny: bool = False
) -> tuple[Suite, list[Cell], SourceLines]:
    """Load, override, validate and expand a suite. One that names Python files is refused, unless ``allow_code``."""
    from vdmbench.suite import expand, load_suite

    suite, lines = load_suite(find_suite(file), overrides or [], tiny=tiny)
    cells = expand(suite, lines)
    refuse_code(cells, str(file), allow_code=allow_code)
    return suite, cells, lines


def refuse_code(cells: list[Cell], origin: str, *, allow_code: bool) -> None:
    """Refuse cells that name Python files, unless ``allow_code``, which opens the gate for these; what will be run is said."""
    from vdmbench.user_code import allow, code_in

    named = {name: sha256 for cell in cells for name, sha256 in code_in(cell.inputs.model_dump()).items()}
    if named and not allow_code:
        raise ValueError(f"{origin} would run {', '.join(named)}: read the code, then add --allow-code")
    for name, sha256 in named.items():
        say(f"runs {name} (SHA-256 {sha256})", err=True)
    allow(named.values())
