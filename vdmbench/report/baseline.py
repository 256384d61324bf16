"""Baselines of the gate: where they come from, and how a new one is made."""

from __future__ import annotations

import io
import subprocess
import tarfile
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from vdmbench.records import ResultsError, write_atomically
from vdmbench.report.results import read_results, results_folders


@contextmanager
def baseline_of(source: str) -> Iterator[Path]:
    """A baseline's folder: a path, or ``REVISION:path`` for what a git revision holds there.

    Raises :class:`~vdmbench.records.ResultsError` where git does not know it.
    """
    revision, colon, inside = source.partition(":")
    if not colon or Path(source).exists():
        yield Path(source)
        return
    packed = subprocess.run(["git", "archive", "--format=tar", revision, "--", inside], capture_output=True, check=False)
    if packed.returncode:
        raise ResultsError(f"{source}: git has no such revision or path ({packed.stderr.decode(errors='replace').strip()})")
    with tempfile.TemporaryDirectory(prefix="vdmbench-baseline-") as folder:
        with tarfile.open(fileobj=io.BytesIO(packed.stdout)) as archive:
            archive.extractall(folder, filter="data")
        yield Path(folder) / inside


def update_baseline(new: Path, baseline: Path, reason: str) -> list[Path]:
    """Make the records under ``new`` the baseline, with the reason in its ``REASONS.md``; returns the files written.

    Only records travel: samples, checkpoints and logs stay behind. Records of cells that are not in ``new`` are removed, so
    that the gate compares with one run. Raises ValueError without a reason, ResultsError where ``new`` has no records.
    """
    if not reason.strip():
        raise ValueError("a new baseline needs a reason: what changed, and why that is right")
    cells = read_results([new])
    folders = results_folders(new)
    if len(folders) != 1:
        raise ResultsError(f"{new}: {len(folders)} results folders; a baseline is made of one")
    kept = {folder / "record.json" for cell in cells if (folder := cell.folder) is not None}
    written = []
    for record in sorted(kept):
        target = baseline / record.relative_to(folders[0])
        target.parent.mkdir(parents=True, exist_ok=True)
        write_atomically(target, record.read_bytes())
        written.append(target)
    for old in sorted(baseline.glob("cells/*/attempts/*/record.json")):
        if old not in written:
            old.unlink()
    write_atomically(baseline / "folder.json", (folders[0] / "folder.json").read_bytes())
    reasons = baseline / "REASONS.md"
    before = reasons.read_text(encoding="utf-8") if reasons.exists() else "# Why this baseline changed\n"
    write_atomically(reasons, f"{before}\n- {' '.join(reason.split())}\n".encode())
    return [*written, baseline / "folder.json", reasons]
