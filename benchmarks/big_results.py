"""What a results folder of very many cells costs to look at, to merge and to report, in a process of its own each.

    python benchmarks/big_results.py                                  # prints rows
    python benchmarks/big_results.py --out benchmarks/cpu/big_results.json

The folder is one committed record under as many identities of one suite, three files a cell (the record, how it was started,
its events). One log of events in a hundred is damaged, and its cell has no record; all other cells
ended ok. Seconds are the processor's, children included: those of the clock are other programs' too. ``status`` is measured
twice: the first look reads every record, and the next ones what is new since.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import shutil
import subprocess
import sys
import tempfile
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from vdmbench.file_digests import digest_of
from vdmbench.records import ResultsFolder
from vdmbench.records.store import DIGEST
from vdmbench.suite import Cell, expand, load_suite

ROOT = Path(__file__).resolve().parents[1]
RECORDS = ROOT / "results" / "baselines" / "tiny" / "cells"
SUITE = """\
schema: 1
name: big
network: {name: unet3d, base_channels: 8, multipliers: [1]}
variants: {floor: {mixer: identity}, uni: {mixer: mamba}, full: {mixer: attention}, s4d: {mixer: s4d}, linear: {mixer: mlp}}
data: {source: sprites, frames: 6, size: 16}
diffusion: {steps: 8}
train: {steps: 2, batch_size: 2, ema: 0.5, warm_up: 1}
sample: {sampler: ddim, steps: 2, clips: 4, batch_size: 4}
evaluate: {metrics: [{name: ste-fd, bootstrap: 20, control_clips: 4}], real_clips: 4}
seeds: [0, 1, 2, 3, 4]
"""
BOUNDS = {"status": {"seconds": 3, "bytes": 300e6}, "merge": {"seconds": 20}, "report": {"seconds": 20, "page": 10e6}}
_COMMAND = [sys.executable, "-c", "from vdmbench.cli.app import main; main()"]


def main() -> None:
    """Measure and print one JSON row a line."""
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("--cells", type=int, default=12_500, help="of the folder that is looked at and merged")
    arguments.add_argument("--reported", type=int, default=2_000, help="records of the report")
    arguments.add_argument("--only", choices=BOUNDS, action="append")
    arguments.add_argument("--out", type=Path)
    options = arguments.parse_args()
    rows = []
    with tempfile.TemporaryDirectory(prefix="vdmbench-big-") as temporary:
        os.environ["XDG_CACHE_HOME"] = f"{temporary}/cache"  # nothing is remembered from before
        for what in options.only or BOUNDS:
            for look in ("first", "next") if what == "status" else (None,):
                before = round(os.getloadavg()[0], 1)
                row = measured(what, Path(temporary), options.reported if what == "report" else options.cells)
                rows.append({**row, **({"look": look} if look else {}), "load average before": before})
                print(json.dumps(rows[-1]), flush=True)
    machine = {
        "processor": platform.processor() or platform.machine(),
        "cores": len(os.sched_getaffinity(0)),
        "python": platform.python_version(),
    }
    if options.out:
        options.out.write_text(json.dumps({"machine": machine, "rows": rows}, indent=1) + "\n")


def measured(what: str, folder: Path, cells: int) -> dict[str, Any]:
    """One command on a folder of so many cells."""
    results = folder / f"results-{cells}{what == 'report'}"
    if not results.exists():
        make_results(results, cells, damaged=what != "report")
    out = folder / "out"
    command = {
        "status": ["status", str(results)],
        "merge": ["merge", str(results), "--into", str(out)],
        "report": ["report", str(results), "--out", str(out)],
    }[what]
    seconds, peak, code = run(command)
    row = {"what": what, "cells": cells, "processor seconds": round(seconds, 2), "peak bytes": peak, "exit code": code}
    if what == "report":
        row["bytes of the page"] = (out / "index.html").stat().st_size
    shutil.rmtree(out, ignore_errors=True)
    return {**row, "bound": BOUNDS[what]}


def run(command: list[str]) -> tuple[float, int, int]:
    """Processor seconds, the peak of resident bytes, and the exit code of one command and its children."""
    process = subprocess.Popen([*_COMMAND, *command], stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
    assert process.stderr is not None
    said = process.stderr.read().decode()
    _, code, used = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(code)
    if process.returncode not in (0, 3):
        raise RuntimeError(f"{' '.join(command)} exited with {process.returncode}: {said[-2000:]}")
    return used.ru_utime + used.ru_stime, used.ru_maxrss * 1024, process.returncode


def make_results(path: Path, cells: int, *, damaged: bool = True) -> ResultsFolder:
    """A results folder of so many cells; with ``damaged``, one log in a hundred is so, and its cell has no record."""
    path.parent.mkdir(parents=True, exist_ok=True)
    axis = ", ".join(str(step) for step in range(2, 2 + -(-cells // 25)))
    suite_file = path.parent / f"{path.name}.yaml"
    suite_file.write_text(SUITE + f"sweep: {{train.steps: [{axis}]}}\n")
    suite, lines = load_suite(suite_file, [])
    results = ResultsFolder(path)
    results.prepare()
    results.keep_suite(suite.model_dump_json())
    template = json.loads(next(iter(sorted(RECORDS.rglob("record.json")))).read_bytes())
    for number, cell in enumerate(expand(suite, lines)[:cells]):
        _fill(results, cell, template, torn=damaged and number % 100 == 0)
    return results


def _fill(results: ResultsFolder, cell: Cell, template: dict[str, Any], *, torn: bool) -> None:
    names = {field: getattr(cell, field) for field in ("identity", "suite", "variant", "point", "seed")}
    fields = {**template, **names, "declared": cell.inputs.model_dump(mode="json")}
    attempt = fields["attempt"]
    folder = results.cell_folder(cell.identity) / "attempts" / f"{attempt['ordinal']:04d}-{attempt['id']}"
    folder.mkdir(parents=True)
    early = {key: fields[key] for key in ("record_schema", *names, "declared")}
    begun = attempt | {"ended": None, "started": datetime.now(UTC).isoformat(timespec="milliseconds")} if torn else attempt
    _write(folder / "started.json", {**early, "status": "started", "attempt": begun})
    events = [{"at": time.time(), "type": "progress", "phase": "train", "step": step, "steps": 100, "loss": 0.1}
              for step in range(1, 101)]  # fmt: skip
    told = [json.dumps(event) for event in events]
    if torn:
        told[3] = "\0" * len(told[3])
    else:
        _write(folder / "record.json", fields)
    (folder / "events.jsonl").write_text("\n".join(told) + "\n")


def _write(path: Path, fields: dict[str, Any]) -> None:
    """Signed as a record is, and not made durable: of a folder that a benchmark throws away."""
    fields = {key: value for key, value in fields.items() if key != DIGEST}
    path.write_text(json.dumps({**fields, DIGEST: digest_of(fields)}, indent=1, ensure_ascii=False))


if __name__ == "__main__":
    main()
