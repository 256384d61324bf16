"""Fixtures of the command line's tests."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.cli.commands import vdmbench
from tests.suite.texts import MINIMAL

__all__ = ["vdmbench"]


@pytest.fixture
def suite(tmp_path: Path) -> Path:
    """A suite of three small cells."""
    path = tmp_path / "minimal.yaml"
    path.write_text(MINIMAL)
    return path
