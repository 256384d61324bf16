"""The reproducibility card of a record: all that somebody else needs to get the same numbers, as Markdown."""

from __future__ import annotations

import json
import shlex
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from vdmbench.records.published import Publisher

if TYPE_CHECKING:
    from vdmbench.records import Record


def card(record: Record, results: Path) -> str:
    """Show one cell: what was declared and solved, where it ran, what was measured, and how to repeat it.

    Who ran it, on which host and where on its disk, is left out.
    """
    publisher = Publisher([record], [results])
    return "\n".join(_lines(publisher.tree(record), publisher.text(str(results.absolute())))) + "\n"


def _lines(record: Record, results: str) -> Iterator[str]:
    attempt = record.attempt
    yield from (f"# {record.label}", "")
    yield from _table(
        {
            "suite": record.suite,
            "cell": record.identity,
            "attempt": f"{attempt.id}, number {attempt.ordinal}",
            "status": record.status + (f" in {record.phase}: {record.message}" if record.message else ""),
            "started": attempt.started,
            "ended": attempt.ended,
            "hardware": record.cohort,
        }
    )
    repeat = f"vdmbench rerun {record.identity} --results {shlex.quote(results)}"
    yield from ("", "## Repeat it", "", "```sh", repeat, "```", "")
    yield "It runs what is declared below again, in a folder of its own, and compares."
    yield from _section("Declared", "The cell's identity is the hash of this.")
    yield from ("```json", json.dumps(record.declared, indent=1, sort_keys=True), "```")
    yield from _section("Solved", None if record.solved else "Nothing: the cell was not solved.")
    if (solved := record.solved) is not None:
        yield from _table(
            {
                **{f"knob {name}": f"{value:g}" for name, value in solved.knobs.items()},
                "matched": solved.quantity,
                "target": solved.target,
                "achieved": solved.achieved,
                "parameters": solved.parameters.network,
                "temporal parameters": solved.parameters.temporal,
                "state elements": solved.state_elements,
                "FLOPs of one forward pass": solved.flops_forward,
            }
        )
    yield from _section("Environment", None if record.environment else "Unknown: it ended before the worker had told.")
    yield from _table(dict(_flat(record.environment)))
    yield from _section("Kernels", None if record.backends else "None was told.")
    yield from _table({op: ", ".join(backends) for op, backends in record.backends.items()})
    yield from _section("Data", "Content hashes by split." if record.data else "None was read.")
    yield from _table(record.data)
    yield from _section("Measured", None if record.metrics or record.training else "Nothing.")
    measured: dict[str, Any] = {name: f"{result.value:.6g} ({result.name})" for name, result in record.metrics.items()}
    if record.training is not None:
        measured |= {"training steps": record.training.steps, "final loss": record.training.final_loss}
        held_out = record.training.val_loss
        measured |= {"held-out loss": None if held_out is None else held_out.values[-1]}
        measured |= {"resumed from step": record.training.first_step or None}
        measured |= {"training measured in attempt": record.training.measured_in}
    yield from _table(measured)


def _section(title: str, text: str | None) -> Iterator[str]:
    yield from ("", f"## {title}", "")
    if text:
        yield from (text, "")


def _table(rows: Mapping[str, Any]) -> Iterator[str]:
    """A row for whatever is known."""
    known = {key: value for key, value in rows.items() if value is not None}
    if known:
        yield from ("| | |", "|---|---|")
    for key, value in known.items():
        text = f"{value:,}" if isinstance(value, int) and not isinstance(value, bool) else str(value)
        yield f"| {key} | {text.replace('|', '/').replace(chr(10), ' ')} |"


def _flat(tree: Mapping[Any, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    for key, value in tree.items():
        name = f"{prefix}{key}"
        if isinstance(value, dict):
            yield from _flat(value, f"{name}.")
        elif isinstance(value, list) and any(isinstance(item, dict) for item in value):
            yield from _flat(dict(enumerate(value)), f"{name}.")
        elif value not in (None, "", []):
            yield name, ", ".join(map(str, value)) if isinstance(value, list) else str(value)
