"""The suites that came with vdmbench, found by name."""

from __future__ import annotations

from pathlib import Path


def shipped_suites() -> dict[str, Path]:
    """Files of shipped suites by name: of a checkout, or of the installed package."""
    package = Path(__file__).resolve().parent.parent
    for folder in (package / "suites", package.parent / "suites"):
        if folder.is_dir():
            return {path.stem: path for path in sorted(folder.glob("*.yaml"))}
    return {}


def find_suite(named: Path) -> Path:
    """A file as given, or a shipped suite by its name.

    :raises ValueError: neither is there.
    """
    if named.exists() or named.suffix or len(named.parts) > 1:
        return named
    known = shipped_suites()
    if named.name not in known:
        raise ValueError(f"{named}: no such file, and no shipped suite of that name; shipped: {', '.join(known)}")
    return known[named.name]
