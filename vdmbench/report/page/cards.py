"""One card a cell: what was declared, what the solver made of it, what was measured and by what."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

from vdmbench.records import PHASES, MetricResult, Record, measured_over_planned
from vdmbench.report.off_plan import PLAN_ERROR, off_plan
from vdmbench.report.page.inline_svg import escaped
from vdmbench.report.results import Cell
from vdmbench.report.tables import ABSENT, shown_value

_GIB = 2**30
_LONG = ("packages", "variables")
"""Parts of the environment that the record holds and a card does not repeat."""


@dataclass(frozen=True)
class Card:
    """A closed ``<details>``."""

    words: str
    """What it is found by, in HTML."""
    head: str
    """Its summary line, in HTML."""
    body: str
    """What opening it shows, in HTML."""

    def html(self, place: int | None = None) -> str:
        """The element; with ``place`` its body is left out, and is the so-manieth of those that are packed."""
        packed = "" if place is None else f' data-card="{place}"'
        body = self.body if place is None else ""
        return (
            f'<details class="cell" data-words="{self.words}"{packed}><summary>{self.head}</summary><div>{body}</div></details>'
        )


def cell_card(cell: Cell, label: str, where: str) -> Card:
    """The card of one cell; its summary line names variant, point, seed and status."""
    record = cell.record
    state = "ok" if cell.status == "ok" else "failed"
    parts = [
        _facts("Cell", _identity_facts(cell)),
        _facts("As solved", _solved_facts(record)),
        _phases(record),
        _facts("Training and sampling", _run_facts(record)),
        *(_metric(name, result) for name, result in record.metrics.items()),
        _facts("Kernels that ran", [(op, ", ".join(names)) for op, names in record.backends.items()]),
        _facts("Environment", _flat({key: value for key, value in record.environment.items() if key not in _LONG})),
        _facts("Data", _flat(record.data)),
        _facts(
            "Device memory (NVML)", _flat(record.device_memory.model_dump(exclude_none=True)) if record.device_memory else []
        ),
        _stderr(record),
        f"<h4>Declared</h4><pre>{escaped(json.dumps(record.declared, indent=1))}</pre>",
    ]
    head = (
        f"<b>{escaped(label)}</b> <span>{escaped(where)}</span> <span>seed {record.seed}</span> "
        f'<i class="{state}">{escaped(record.status)}</i>'
    )
    words = escaped(f"{label} {where} seed {record.seed} {record.status}".lower())
    return Card(words, head, "".join(parts))


def _facts(title: str, facts: list[tuple[str, Any]]) -> str:
    shown = [(name, value) for name, value in facts if value is not None]
    if not shown:
        return ""
    rows = "".join(f"<dt>{escaped(name)}</dt><dd>{escaped(value)}</dd>" for name, value in shown)
    return f"<section><h4>{escaped(title)}</h4><dl>{rows}</dl></section>"


def _identity_facts(cell: Cell) -> list[tuple[str, Any]]:
    record = cell.record
    return [
        ("identity", record.identity),
        ("suite", cell.suite),
        ("hardware cohort", record.cohort or "did not run"),
        ("attempts", cell.attempts),
        ("started (UTC)", record.attempt.started),
        ("ended (UTC)", record.attempt.ended),
        ("ended in phase", record.phase),
        ("message", record.message),
        ("exit", None if record.exit is None else f"code {record.exit.code}, signal {record.exit.signal or 'none'}"),
    ]


def _solved_facts(record: Record) -> list[tuple[str, Any]]:
    solved = record.solved
    if solved is None:
        return []
    facts: list[tuple[str, Any]] = [(f"knob {name}", f"{value:g}") for name, value in solved.knobs.items()]
    if solved.quantity:
        mismatch = ABSENT if solved.mismatch is None else f"{100 * solved.mismatch:+.2f} %"
        facts.append((f"matched {solved.quantity}", f"{solved.achieved:,} of {solved.target:,} ({mismatch})"))
    for phase, memory in solved.memory.items():
        facts.append(
            (
                f"planned memory, {phase}",
                f"{memory.allocated_peak_bytes:,} bytes allocated, {memory.reserved_peak_bytes:,} reserved",
            )
        )
        if (ratio := measured_over_planned(record, phase)) is not None:
            warning = ", a warning: they differ by more than 2 %" if abs(ratio - 1) > PLAN_ERROR else ""
            facts.append((f"measured / planned, {phase}", f"{ratio:.3f}{warning}"))
    if solved.planned_for is not None:
        facts.append(("planned for", str(solved.planned_for)))
    if solved.not_simulated is not None:
        facts.append(("memory not planned", solved.not_simulated))
    if record.rehearsal is not None:
        facts += [(f"live tensors, {phase}", f"{peak:,} bytes") for phase, peak in record.rehearsal.live_peak_bytes.items()]
        facts += [("rehearsal failed", record.rehearsal.failed)] if record.rehearsal.failed else []
    if (miss := off_plan(record)) is not None:
        facts.append(("not as planned", f"the measured peak misses the plan by {100 * miss:+.1f} %"))
    if (lost := record.out_of_memory) is not None:
        fitting = (f"{knob} {ABSENT if value is None else value}" for knob, value in lost.largest.items())
        facts += [
            ("memory there was", lost.capacity_bytes and f"{lost.capacity_bytes / _GIB:.3f} GiB"),
            *((f"memory needed, {phase}", f"{need / _GIB:.3f} GiB") for phase, need in lost.simulated_need_bytes.items()),
            ("would have fitted", ", ".join(fitting) or ABSENT),
        ]
    facts += [
        (f"tried: {probe.knob} {probe.setting:g}",
         f"{'out of memory' if probe.peak_bytes is None else f'{probe.peak_bytes / _GIB:.3f} GiB'}, {probe.source}")
        for probe in solved.probes
    ]  # fmt: skip
    facts += [
        ("parameters, network", f"{solved.parameters.network:,}"),
        ("parameters, temporal", f"{solved.parameters.temporal:,}"),
        ("state, elements a clip", f"{solved.state_elements:,}"),
        ("forward FLOPs a clip", f"{solved.flops_forward:,}"),
        ("of these temporal", f"{solved.flops_temporal:,}"),
    ]
    facts += [
        (f"layer {path}", f"{layer.channels} channels, inner width {layer.inner_width}, {layer.parameters:,} parameters")
        for path, layer in solved.layers.items()
    ]
    return facts


def _phases(record: Record) -> str:
    if not record.phases:
        return ""
    counters = (
        ("rss_peak_bytes", "RSS"),
        ("allocated_peak_bytes", "allocated"),
        ("reserved_peak_bytes", "reserved"),
        ("nvml_peak_bytes", "NVML"),
    )
    head = "".join(f'<th class="num">{name} (GiB)</th>' for _, name in counters)
    rows = []
    for phase in PHASES:
        reading = record.phases.get(phase)
        if reading is not None:
            values = [getattr(reading, counter) for counter, _ in counters]
            fields = "".join(
                f'<td class="num">{ABSENT if value is None else shown_value(value / _GIB)}</td>' for value in values
            )
            others = ABSENT if reading.others_busy_cores is None else shown_value(reading.others_busy_cores)
            times = "".join(f'<td class="num">{each}</td>' for each in (shown_value(reading.seconds), others))
            rows.append(f"<tr><td>{phase}</td>{times}{fields}</tr>")
    return (
        f'<section><h4>Phases</h4><table><thead><tr><th>Phase</th><th class="num">time (s)</th>'
        f'<th class="num">others (cores)</th>{head}</tr></thead>'
        f"<tbody>{''.join(rows)}</tbody></table></section>"
    )


def _run_facts(record: Record) -> list[tuple[str, Any]]:
    facts: list[tuple[str, Any]] = []
    if (training := record.training) is not None:
        facts += [
            ("optimiser steps", training.steps),
            ("resumed at step", training.first_step or None),
            ("training measured in attempt", training.measured_in),
            ("final loss", None if training.final_loss is None else f"{training.final_loss:.5g}"),
            ("held-out loss", None if training.val_loss is None else f"{training.val_loss.values[-1]:.5g}"),
            ("compiling for training (s)", training.compile_seconds and shown_value(training.compile_seconds)),
            ("graph breaks", training.graph_breaks),
        ]
        if (step := training.step_seconds) is not None:
            facts.append(
                (
                    "step time (s)",
                    f"median {shown_value(step.median)}, quartiles {shown_value(step.q1)} to {shown_value(step.q3)}, "
                    f"{step.count} steps",
                )
            )
    for phase, reading in record.phases.items():
        if reading.alloc_retries:
            facts.append((f"allocations retried, {phase}", f"{reading.alloc_retries}: memory was full, and times suffer"))
        if reading.ooms:
            facts.append((f"out of memory and caught, {phase}", reading.ooms))
        for rank, own in enumerate(reading.ranks or []):
            peak = own.allocated_peak_bytes or own.rss_peak_bytes
            facts.append((f"rank {rank}, {phase}", f"{shown_value(own.seconds)} s, peak {(peak or 0) / _GIB:.3f} GiB"))
    if (sampling := record.sampling) is not None:
        facts.append(("compiling for sampling (s)", sampling.compile_seconds and shown_value(sampling.compile_seconds)))
        facts.append(
            (
                "sampling",
                f"{sampling.clips} clips, {sampling.sampler}, {sampling.steps} steps, "
                f"{shown_value(sampling.seconds_per_clip)} s/clip",
            )
        )
    if (rollout := record.rollout) is not None:
        facts += [
            ("frames in a chunk", rollout.chunk),
            ("first chunk (s)", shown_value(rollout.first_chunk_seconds)),
            ("a frame of a rollout (s)", rollout.frame_seconds and f"median {shown_value(rollout.frame_seconds.median)}"),
        ]
    return facts


def _metric(name: str, result: MetricResult) -> str:
    facts: list[tuple[str, Any]] = [
        ("value", f"{result.value:.5g}"),
        ("real clips", result.n_real),
        ("generated clips", result.n_generated),
        (
            f"{100 * (result.confidence or 0.95):g} % interval over videos",
            None if result.interval is None else f"{result.interval[0]:.5g} to {result.interval[1]:.5g}",
        ),
        ("floor (held-out real clips)", None if result.floor is None else f"{result.floor:.5g}"),
        ("videos", _sides(result.videos_real, result.videos_generated)),
        ("distinct windows", _sides(result.windows_real, result.windows_generated)),
        ("clips of the floor", None if result.floor_n is None else _sides(*result.floor_n)),
        ("held-out clips whole, beside the controls", result.control_clean and f"{result.control_clean:.5g}"),
        ("clips of the controls", result.control_n),
        ("better", "lower" if result.lower_is_better else "higher"),
        ("debiased", None if result.debiased is None else f"{result.debiased:.5g}"),
        (
            "its interval",
            None
            if result.debiased_interval is None
            else f"{result.debiased_interval[0]:.5g} to {result.debiased_interval[1]:.5g}",
        ),
        ("kernel distance (KVD)", None if result.kvd is None else f"{result.kvd:.5g}"),
        *((f"control: {control}", f"{value:.5g}") for control, value in result.controls.items()),
    ]
    if (copied := result.memorisation) is not None:
        facts += [
            (
                f"{copied.among} clips looked at",
                f"{copied.training_clips} of {copied.training_videos} videos, beside {copied.held_out_clips} held-out clips",
            ),
            (f"nearest {copied.among} clip, median", f"{copied.nearest:.5g}, of held-out clips {copied.nearest_held_out:.5g}"),
            ("over how far others are", f"{copied.ratio:.3g}, of held-out clips {copied.ratio_held_out:.3g}"),
            ("nearer than any held-out clip", f"{copied.nearer} of {copied.clips} generated clips (p {copied.p:.2g})"),
        ]
    warnings = [f"this metric did not see: {', '.join(result.blind)}"] if result.blind else []
    warnings += ["fewer clips than feature dimensions: the covariance is rank-deficient"] if result.rank_deficient else []
    warnings += result.warnings
    notes = "".join(f'<p class="warning">{escaped(warning)}</p>' for warning in warnings)
    return _facts(f"{result.name} ({name})", facts).replace("</section>", f"{notes}</section>")


def _sides(real: int | None, other: int | None) -> str | None:
    return None if real is None or other is None else f"{real} against {other}"


def _stderr(record: Record) -> str:
    tail = record.exit.stderr_tail if record.exit else ""
    if not tail.strip():
        return ""
    return f"<section><h4>Last lines of stderr</h4><pre>{escaped(tail[-4000:])}</pre></section>"


def _flat(tree: dict[str, Any], prefix: str = "") -> list[tuple[str, Any]]:
    facts: list[tuple[str, Any]] = []
    for key, value in tree.items():
        if isinstance(value, dict):
            facts += _flat(value, f"{prefix}{key}.")
        else:
            facts.append((f"{prefix}{key}", ", ".join(map(str, value)) if isinstance(value, list) else value))
    return facts
