"""A bench as a folder: every round in CSV, everything in JSON, tables in Markdown, figures in three formats.

bench.json      environment, settings, the machine's rates, all rows with every round
rows.csv        a line a case
rounds.csv      a line a case and round
tables.md       time, memory and share of the roofline against frames, and why rows lack numbers
seconds.*, memory.*    the same as log-log figures (png, svg, pdf)
"""

from __future__ import annotations

import csv
import io
import json
import statistics
from collections.abc import Iterable, Sequence
from dataclasses import asdict, fields
from pathlib import Path

from vdmbench.bench.rows import Findings, Row
from vdmbench.bench.tables import pivots, reasons
from vdmbench.records.published import Publisher
from vdmbench.whole_file import write_atomically

_CASE = ("kind", "subject", "backend", "used", "frames", "sites", "channels", "dtype", "device", "direction", "threads")


def write(findings: Findings, folder: Path) -> None:
    """Write all files, each whole or not at all; what was there under these names is replaced."""
    from vdmbench.bench.figures import QUANTITIES, cost_figure, rendered  # not needed by processes that only weigh

    folder.mkdir(parents=True, exist_ok=True)
    publisher = Publisher()
    files = {
        "bench.json": json.dumps(publisher.tree(as_json(findings)), indent=1).encode() + b"\n",
        "rows.csv": _csv(
            [name.name for name in fields(Row) if name.name != "samples"], publisher.tree(_case_lines(findings.rows))
        ),
        "rounds.csv": _csv([*_CASE, "round", "seconds"], _round_lines(findings.rows)),
        "tables.md": publisher.text(markdown(findings)).encode(),
    }
    for quantity in QUANTITIES:
        figure = cost_figure(findings.rows, quantity)
        if figure is not None:
            files.update({f"{quantity}.{kind}": content for kind, content in rendered(figure).items()})
    for name, content in files.items():
        write_atomically(folder / name, content)


def as_json(findings: Findings) -> dict[str, object]:
    """Everything; bytes, seconds, and null where a thing is not known."""
    return asdict(findings)


def markdown(findings: Findings) -> str:
    """The tables, the machine they are of, and what is missing in them."""
    environment = findings.environment
    lines = [
        f"{environment['cpu']['model']}, {environment['cpu']['cores_visible']} cores usable, "
        f"torch {environment['torch']['version']}, Python {environment['python']}"
    ]
    lines += [f"{gpu['name']}, CUDA {environment['torch']['cuda']}" for gpu in environment["gpus"]]
    products, copies = (
        sorted({rate for row in findings.rows if (rate := getattr(row, name)) is not None})
        for name in ("matmul_flops_per_second", "copy_bytes_per_second")
    )
    if products:
        lines.append(
            f"In the same rounds: matrix products at {products[0] / 1e9:.3g} to {products[-1] / 1e9:.3g} GFLOP/s, "
            f"copies at {copies[0] / 1e9:.3g} to {copies[-1] / 1e9:.3g} GB/s"
        )
    if findings.load_before is not None and findings.load_after is not None:
        lines.append(f"Load average of the machine {findings.load_before:.2f} before, {findings.load_after:.2f} after")
    if findings.interrupted:
        lines.append("Interrupted: what was not finished says so")
    told = [*lines, *_reliability(findings)]
    parts = ["".join(f"- {line}\n" for line in told), *(grid.markdown() for grid in pivots(findings))]
    missing = reasons(findings)
    if missing:
        parts.append("## Without numbers\n\n" + "".join(f"- {line}\n" for line in missing))
    return "# Bench\n\n" + "\n".join(parts)


def _reliability(findings: Findings) -> list[str]:
    """How much the rounds differ, and how much of the cores the steps had."""
    rows = findings.rows
    widths = [
        (row.seconds_q3 - row.seconds_q1) / row.seconds
        for row in rows
        if row.seconds and row.seconds_q1 is not None and row.seconds_q3 is not None
    ]
    if not widths:
        return []
    told = [
        f"Interquartile range over the median: {statistics.median(widths):.1%} in the middle case, {max(widths):.0%} in "
        "the worst (rows.csv)"
    ]
    waited = [row.wall_seconds / row.seconds for row in rows if row.seconds and row.wall_seconds and row.clock == "cpu"]
    if waited:
        told.append(
            f"Seconds are CPU seconds; the wall's clock over them: {statistics.median(waited):.2f} in the middle case, "
            "1.00 where the core has no other work"
        )
    return told


def _case_lines(rows: Sequence[Row]) -> list[list[object]]:
    return [[value for name, value in asdict(row).items() if name != "samples"] for row in rows]


def _round_lines(rows: Sequence[Row]) -> Iterable[list[object]]:
    return (
        [*(getattr(row, name) for name in _CASE), number, seconds] for row in rows for number, seconds in enumerate(row.samples)
    )


def _csv(headers: Sequence[str], lines: Iterable[Sequence[object]]) -> bytes:
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(headers)
    writer.writerows(lines)
    return text.getvalue().encode()
