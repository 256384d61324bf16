"""Bring an attempt back from a node that does not share the results folder: packed there, merged here."""

from __future__ import annotations

import io
import tarfile
import tempfile
from pathlib import Path

from vdmbench.records import ResultsFolder, merge_results


def pack(results: Path) -> bytes:
    """The finished attempts of a results folder, without checkpoints."""
    archive = io.BytesIO()
    with tarfile.open(fileobj=archive, mode="w") as tar:
        tar.add(results / "folder.json", "folder.json")
        for attempts in sorted(results.glob("cells/*/attempts")):
            tar.add(attempts, attempts.relative_to(results))
    return archive.getvalue()


def bring_back(archive: bytes, results: ResultsFolder) -> None:
    """Merge what was packed, each attempt verified by its bytes."""
    with tempfile.TemporaryDirectory(prefix="vdmbench-") as scratch:
        with tarfile.open(fileobj=io.BytesIO(archive)) as tar:
            tar.extractall(scratch, filter="data")
        merge_results([ResultsFolder(Path(scratch))], results)
