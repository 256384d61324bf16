"""Every file is about one thing. `make lint` checks the style, the types, and that rooms import downwards only."""

from __future__ import annotations

from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent


@pytest.mark.parametrize("path", [path for path in sorted((ROOT / "vdmbench").rglob("*.py"))], ids=lambda path: path.stem)
def test_no_file_is_a_drawer(path: Path):
    assert path.stem not in {"utils", "util", "helpers", "common", "misc"}
    assert len(path.read_text().splitlines()) <= 400
