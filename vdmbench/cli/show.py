"""``vdmbench show``: one cell, its record, what happened in it, and the end of its log."""

from __future__ import annotations

import json
from collections import deque
from typing import TYPE_CHECKING, Annotated

import typer

from vdmbench.byte_sizes import rounded_bytes
from vdmbench.cli.cells import DEFAULT_RESULTS, CellName, WhereToLook, find_cell
from vdmbench.cli.options import AsJson
from vdmbench.cli.terminal import print_table, say, say_json, simple_table

if TYPE_CHECKING:
    from vdmbench.cli.cells import Found
    from vdmbench.records import Record

_EVENTS = 40
_LOG_LINES = 20


def show(
    cell: CellName,
    results: WhereToLook = DEFAULT_RESULTS,
    card: Annotated[bool, typer.Option("--card", help="Print the reproducibility card instead, as Markdown.")] = False,
    as_json: AsJson = False,
) -> None:
    """Show a cell: its attempts, the record that counts, its last events and the end of its log.

    Examples: vdmbench show 0063cd | vdmbench show 'mamba frames=16 seed=0' --card > card.md
    """
    found = find_cell(cell, results)
    record = found.history.latest
    if card:
        from vdmbench.cli.card import card as write_card

        say(write_card(record, found.results.path).rstrip("\n"))
    elif as_json:
        say_json(json.loads(record.model_dump_json()))
    else:
        _show(found, record)


def _show(found: Found, record: Record) -> None:
    from vdmbench.cli.event_lines import condensed, event_line
    from vdmbench.records import read_events

    say(found.named)
    attempts = simple_table("Attempts", ["attempt", "started (UTC)", "status", "phase", "cause"])
    for each in found.history.attempts:
        counts = " *" if each is record else ""
        attempts.add_row(
            f"{each.attempt.ordinal:04d}-{each.attempt.id}{counts}",
            each.attempt.started[:19],
            each.status,
            each.phase or "–",
            each.message or "–",
        )
    print_table(attempts)
    facts = simple_table("The one that counts (*)", ["what", "value"])
    for name, value in _facts(record).items():
        facts.add_row(name, value)
    print_table(facts)
    folder = found.results.folder_of(record)
    lines = [event_line(event) for event in deque(condensed(read_events(folder.events)), maxlen=_EVENTS)]
    log = folder.stderr.read_text(errors="replace").splitlines()[-_LOG_LINES:] if folder.stderr.exists() else []
    for title, found_lines in ((f"Last events ({folder.events})", lines), (f"End of the log ({folder.stderr})", log)):
        say(f"{title}:")
        say("\n".join(f"  {line}" for line in found_lines) or "  none")


def _facts(record: Record) -> dict[str, str]:
    facts = {"hardware": record.cohort or "–", "numbers": f"version {record.numbers}"}
    if record.solved is not None:
        knobs = " ".join(f"{knob}={value:g}" for knob, value in record.solved.knobs.items())
        facts |= {"parameters": f"{record.solved.parameters.network:,}", "knobs": knobs or "as declared"}
    for phase, reading in record.phases.items():
        told = {"allocated": reading.allocated_peak_bytes, "resident": reading.rss_peak_bytes}
        told["live tensors"] = (record.rehearsal.live_peak_bytes if record.rehearsal else {}).get(phase)  # type: ignore[arg-type]
        planned = (record.solved.memory if record.solved else {}).get(phase)  # type: ignore[arg-type]
        told[f"planned for {record.solved and record.solved.planned_for}"] = planned.allocated_peak_bytes if planned else None
        peaks = (f", {name} {rounded_bytes(peak)}" for name, peak in told.items() if peak is not None)
        facts[phase] = f"{reading.seconds:.2f} s{''.join(peaks)}"
    if record.training is not None and record.training.final_loss is not None:
        facts["final loss"] = f"{record.training.final_loss:.6g}"
    if record.training is not None and record.training.val_loss is not None:
        facts["held-out loss"] = f"{record.training.val_loss.values[-1]:.6g}"
    return facts | {name: f"{result.value:.6g} ({result.name})" for name, result in record.metrics.items()}
