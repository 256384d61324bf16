"""What supervising costs: a suite of ten thousand cells, the parent beside a running cell, and how soon things are on disk.

    python benchmarks/runner.py                                  # prints rows; about three minutes on two quiet cores
    python benchmarks/runner.py --out benchmarks/cpu/runner.json

The ten thousand are one measured record under ten thousand identities, and one plan in a cache of the benchmark's own. Every
command is a process of its own; its processor seconds, children included, stand beside the clock's, which other programs on
the machine take from.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import Any

import psutil

from vdmbench.records import EventTail, Record, ResultsFolder
from vdmbench.runner.plan_cache import PlanCache
from vdmbench.suite import Cell, expand, load_suite

SUITE = """\
schema: 1
name: bench
network: {name: unet3d, base_channels: 8, multipliers: [1]}
variants: {floor: {mixer: identity}, uni: {mixer: mamba}, full: {mixer: attention}}
data: {source: sprites, frames: 6, size: 16}
diffusion: {steps: 8}
train: {steps: 2, batch_size: 2, ema: 0.5, warm_up: 1}
sample: {sampler: ddim, steps: 2, clips: 4, batch_size: 4}
evaluate: {metrics: [{name: ste-fd, bootstrap: 20, control_clips: 4}], real_clips: 4}
"""
COMMAND = [sys.executable, "-c", "from vdmbench.cli.app import main; main()"]
Row = dict[str, Any]


def main() -> None:
    """Measure and print one JSON row a line."""
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("--cells", type=int, default=10_000)
    arguments.add_argument("--steps", type=int, default=600, help="training steps of the cell that is supervised")
    arguments.add_argument("--rounds", type=int, default=3)
    arguments.add_argument("--out", type=Path)
    options = arguments.parse_args()
    machine = {
        "processor": platform.processor() or platform.machine(),
        "cores": len(os.sched_getaffinity(0)),
        "python": platform.python_version(),
        "load average before": os.getloadavg()[0],
    }
    with tempfile.TemporaryDirectory(prefix="vdmbench-runner-") as temporary:
        folder = Path(temporary)
        os.environ["XDG_CACHE_HOME"] = str(folder / "cache")
        rows, record = supervised(folder, options.steps, options.rounds)
        for each in rows:
            print(json.dumps(each), flush=True)
        for each in many(folder, options.cells, record, options.rounds):
            print(json.dumps(each), flush=True)
            rows.append(each)
    if options.out:
        options.out.write_text(json.dumps({"machine": machine, "rows": rows}, indent=1) + "\n")


def supervised(folder: Path, steps: int, rounds: int) -> tuple[list[Row], Record]:
    """One cell, run from its start: how soon it begins, what its parent takes meanwhile, how soon its record is durable."""
    suite = folder / "one.yaml"
    suite.write_text(SUITE)
    one = ["run", str(suite), f"train.steps={steps}", "run.device=cpu", "--only", "floor"]
    subprocess.run([*COMMAND, *one, "--dry-run"], check=True, capture_output=True)  # plans it
    begins, shares, peaks, durable, record = [], [], [], [], None
    for number in range(rounds):
        results = ResultsFolder(folder / f"one-{number}")
        began = time.time()
        parent = psutil.Popen([*COMMAND, *one, "--results", str(results.path)], stderr=subprocess.DEVNULL)
        first: tuple[float, float] | None = None
        while parent.poll() is None:
            told = list(results.path.glob("cells/*/attempts/*/started.json"))
            if told and not list(results.path.glob("cells/*/attempts/*/record.json")):
                try:
                    times, rss = parent.cpu_times(), parent.memory_info().rss
                except psutil.NoSuchProcess:
                    break
                now = time.perf_counter(), times.user + times.system
                first = first or now
                last, peak = now, rss
            time.sleep(0.05)
        assert first is not None, f"the cell was not run: {' '.join([*COMMAND, *one])}"
        (history,) = results.histories()
        record = history.latest
        attempt = results.folder_of(record)
        begins.append(datetime.fromisoformat(record.attempt.started).timestamp() - began)
        shares.append((last[1] - first[1]) / (last[0] - first[0]))
        peaks.append(peak)
        durable.append(attempt.record.stat().st_mtime - EventTail(attempt.events).new()[-1]["at"])
    assert record is not None and record.status == "ok", record  # noqa: PT018
    rows = [
        row("first cell begins, seconds after the command", begins, 5),
        row("parent's share of a core beside a running cell", shares, 0.01),
        row("parent's resident bytes beside a running cell", peaks, 150 * 2**20),
        row("record durable, seconds after the worker's last word", durable, 1),
    ]
    return rows, record


def row(what: str, values: list[Any], bound: float) -> Row:
    """One row of what was measured once a round."""
    return {"what": what, "median": statistics.median(values), "all": values, "bound": bound}


def many(folder: Path, count: int, record: Record, rounds: int) -> Iterator[Row]:
    """Commands on a suite of ``count`` cells that were planned, and all run but one."""
    suite = folder / "many.yaml"
    axis = ", ".join(str(step) for step in range(2, 2 + count // 30))
    suite.write_text(SUITE + f"sweep: {{data.frames: [6, 8], train.steps: [{axis}]}}\nseeds: [0, 1, 2, 3, 4]\n")
    cells = expand(*load_suite(suite, []))
    results = ResultsFolder(folder / "many")
    spared = next(cell for cell in cells if cell.variant == record.variant)
    fill(results, [cell for cell in cells if cell is not spared], record)
    fill_plans(cells, record)
    run = ["run", str(suite), "run.device=cpu", "--results", str(results.path)]
    command([*run, "--only", spared.identity])  # in earnest
    timed = [
        ("list (run --dry-run --json)", [*run, "--dry-run", "--json"]),
        ("plan from the cache (plan --no-memory --json)", ["plan", str(suite), "--no-memory", "--json"]),
        ("resume, nothing left", run),
        ("status", ["status", str(results.path), "--json"]),
    ]
    for what, arguments in timed:
        taken = [command(arguments) for _ in range(rounds)]
        yield {"what": what, "cells": len(cells), "seconds": statistics.median(wall for wall, _, _ in taken),
               "processor seconds": statistics.median(worked for _, worked, _ in taken), "exit code": taken[-1][2],
               "bound": 10}  # fmt: skip


def fill(results: ResultsFolder, cells: list[Cell], record: Record) -> None:
    """One record under the identity of every cell."""
    results.prepare()
    template = json.loads(record.model_dump_json())
    for cell in cells:
        names = {field: getattr(cell, field) for field in ("identity", "variant", "point", "seed", "suite")}
        own = Record.model_validate({**template, **names, "declared": cell.inputs.model_dump(mode="json")})
        attempt = results.folder_of(own)
        attempt.path.mkdir(parents=True)
        results.finish(attempt, own)


def fill_plans(cells: list[Cell], record: Record) -> None:
    """One answer under the identity of every cell; one for each length of clip, so that there is more than one to read."""
    assert record.solved is not None
    for memory in (False, True):
        cache = PlanCache(cells[0].suite, memory=memory)
        for cell in cells:
            solved = record.solved.model_copy(update={"flops_forward": record.solved.flops_forward * cell.inputs.data.frames})
            cache.add(cell, {"solved": solved.model_dump(mode="json"), "infeasible": None})
        cache.save()


def command(arguments: list[str]) -> tuple[float, float, int]:
    """Seconds by the clock, processor seconds and exit code of one command."""
    before, began = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
    done = subprocess.run([*COMMAND, *arguments], capture_output=True, text=True, check=False)
    wall, after = time.perf_counter() - began, resource.getrusage(resource.RUSAGE_CHILDREN)
    if done.returncode not in (0, 3):
        raise RuntimeError(f"{' '.join(arguments)} exited with {done.returncode}: {done.stderr[-2000:]}")
    return wall, after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime, done.returncode


if __name__ == "__main__":
    main()
