"""Attempts on disk, made by hand."""

from __future__ import annotations

import hashlib
from pathlib import Path

from vdmbench.records import Attempt, ProcessIdentity, Record, ResultsFolder, write_atomically

NOBODY = ProcessIdentity("this-host", "an-earlier-boot", 1, 0.0)


def record(name: str = "v", ordinal: int = 1, *, status: str = "ok", by: ProcessIdentity = NOBODY, **fields) -> Record:
    """A record of variant ``name``, whose attempt's id follows from what it holds."""
    seed = repr((name, ordinal, status, sorted(fields.items(), key=repr)))
    attempt = Attempt(
        id=hashlib.sha256(seed.encode()).hexdigest()[:8],
        ordinal=ordinal,
        host=by.host,
        boot_id=by.boot_id,
        pid=by.pid,
        process_started=by.process_started,
        started="2026-01-01T00:00:00+00:00",
        ended=None if status == "started" else "2026-01-01T00:01:40+00:00",
    )
    identity = hashlib.sha256(name.encode()).hexdigest()[:20]
    base = {
        "identity": identity,
        "suite": "s",
        "variant": name,
        "seed": 0,
        "declared": {},
        "attempt": attempt,
        "status": status,
    }
    return Record(**{**base, **fields})


def results_with(path: Path, *records: Record) -> ResultsFolder:
    """A results folder of these; one that is ``started`` is left unfinished."""
    folder = ResultsFolder(path)
    folder.prepare()
    for each in records:
        attempt = folder.new_attempt(each.model_copy(update={"status": "started"}))
        write_atomically(attempt.path / "samples.npz", each.attempt.id.encode())
        if each.status != "started":
            folder.finish(attempt, each)
    return folder
