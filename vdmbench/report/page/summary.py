"""What was compared, matched how, on what, and how much of it was done: the first thing on the page."""

from __future__ import annotations

from collections import Counter
from typing import Any

from vdmbench.report.collapses import RULE, collapses
from vdmbench.report.page.inline_svg import escaped
from vdmbench.report.statistics import fewest_seeds
from vdmbench.report.study import Study
from vdmbench.report.tables import few_seeds_note, metric_header


def summary_section(study: Study) -> str:
    """Facts in a list, then what a reader must know before reading on."""
    facts = [
        ("Compared", ", ".join(study.labels)),
        ("Held equal", _matching(study)),
        ("Swept", _sweep(study)),
        ("Seeds", f"{len(study.seeds)} ({', '.join(map(str, study.seeds))}), paired across variants"),
        ("Cells", _counted(study)),
        ("Hardware", _hardware(study)),
        ("Judged by", ", ".join(metric_header(study, metric) for metric in study.metrics) or "no metric"),
    ]
    rows = "".join(f"<dt>{escaped(name)}</dt><dd>{escaped(text)}</dd>" for name, text in facts if text)
    warnings = "".join(f'<p class="warning">{escaped(text)}</p>' for text in warnings_of(study))
    return f'<section id="summary"><h2>What was compared</h2><dl>{rows}</dl>{warnings}</section>'


MOST_NAMED = 12
"""Cells that are named where they are missing."""


def _counted(study: Study) -> str:
    """How many cells are ok of those there should be, by suite or experiment where there are several; the missing by name."""
    parts = []
    for suite in study.suites:
        cells = [cell for cell in study.cells if cell.suite == suite]
        statuses = Counter(cell.status for cell in cells)
        done = statuses.pop("ok", 0)
        failed = ", ".join(f"{count} {status}" for status, count in sorted(statuses.items()))
        text = f"{suite}: " if len(study.suites) > 1 else ""
        text += f"{done} of {len(cells)} ok" + (f"; {failed}" if failed else "")
        missing = [cell.record.label for cell in cells if cell.status == "not run"]
        if missing:
            more = len(missing) - MOST_NAMED
            text += f" ({', '.join(missing[:MOST_NAMED])}{f' and {more} more' if more > 0 else ''})"
        parts.append(text)
    return "; ".join(parts)


def warnings_of(study: Study) -> list[str]:
    """What limits every number below."""
    texts = list(study.notes)
    declared: dict[str, dict[str, None]] = {}
    for cell in study.cells:
        for warning in cell.record.warnings:
            declared.setdefault(warning, {})[cell.record.variant] = None
    texts += [f"{', '.join(variants)}: {warning}." for warning, variants in declared.items()]
    if len(study.seeds) < fewest_seeds():
        texts.append(few_seeds_note(len(study.seeds)))
    if lost := collapses(study):
        texts.append(f"Collapsed ({RULE}): {'; '.join(lost)}.")
    if len(study.cohorts) > 1:
        texts.append(f"{len(study.cohorts)} hardware cohorts: they are shown apart and never averaged.")
    if study.superseded:
        texts.append(f"{len(study.superseded)} older records of the same variant, point and seed are left out.")
    metrics_by_limit: dict[str, list[str]] = {}
    for metric in study.metrics:
        for limit in _limits(study, metric):
            metrics_by_limit.setdefault(limit, []).append(metric)
    return texts + [f"{' and '.join(metrics)} {limit}" for limit, metrics in metrics_by_limit.items()]


def _limits(study: Study, metric: str) -> list[str]:
    """What is to be said of a metric, to follow its name or the names of several."""
    limits = []
    blind = sorted({name for text in study.frame[f"{metric}.blind"] if isinstance(text, str) for name in text.split(", ")})
    if blind:
        limits.append(f"did not see these controls in at least one cell: {', '.join(blind)}.")
    copies = [
        label for label, alarm in zip(study.frame["label"], study.frame[f"{metric}.copies"], strict=True) if alarm is True
    ]
    if copies:
        limits.append(
            f"found generated clips of {', '.join(dict.fromkeys(copies))} nearer to training clips than held-out clips are: "
            "some may be copies (table of nearest training clips)."
        )
    if any(flag is True for flag in study.frame[f"{metric}.rank_deficient"]):
        limits.append("had fewer clips than feature dimensions in at least one cell.")
    results = [cell.record.metrics[metric] for cell in study.cells if metric in cell.record.metrics]
    needed = [each.debiased_needs for each in results if each.debiased is None and each.debiased_needs is not None]
    if needed:
        limits.append(f"has no debiased distance in {len(needed)} cells: {max(needed)} videos a side would do.")
    smallest = study.frame[f"{metric}.n_generated"].min()
    if smallest < 2048 and any(each.controls for each in results):  # a distance between sets, whose bias is of its count
        limits.append(
            f"had as few as {smallest} clips; published Fréchet distances use 2048, and values at different counts "
            "do not compare."
        )
    return limits


def _matching(study: Study) -> str:
    quantities = list(dict.fromkeys(text for text in study.frame["matched"] if isinstance(text, str)))
    if not quantities:
        return "nothing: variants as declared"
    worst = study.frame["mismatch"].abs().max()
    knobs = [name.removeprefix("knob.") for name in map(str, study.frame) if name.startswith("knob.")]
    moved = f"; moved: {', '.join(knobs)}" if knobs else ""
    return (
        f"{', '.join(quantities)}, within {100 * worst:.2g} %{moved}" if worst == worst else f"{', '.join(quantities)}{moved}"
    )


def _sweep(study: Study) -> str:
    parts = []
    for name in study.coordinates:
        values = list(dict.fromkeys(group[name] for group in study.groups))
        shown = (study.coordinate_text(name, value) for value in values if value is not None)
        parts.append(f"{name}: {', '.join(shown)}")
    return "; ".join(parts)


def _hardware(study: Study) -> str:
    described: dict[str, str] = {}
    for cell in study.cells:
        if cell.record.cohort is not None:
            described.setdefault(cell.record.cohort, _machine(cell.record.environment))
    return "; ".join(f"{cohort}{f' ({text})' if text else ''}" for cohort, text in described.items())


def _machine(environment: dict[str, Any]) -> str:
    """Processor or GPUs and the PyTorch build, from a record's environment; what it does not hold is left out."""
    gpus = environment.get("gpus")
    names = [gpu.get("name") for gpu in gpus if isinstance(gpu, dict)] if isinstance(gpus, list) else []
    parts = [f"{len(names)} × {names[0]}" if len(names) > 1 else names[0]] if names else [_inside(environment, "cpu", "model")]
    version = _inside(environment, "torch", "version")
    return ", ".join(str(part) for part in (*parts, f"PyTorch {version}" if version else None) if part)


def _inside(environment: dict[str, Any], block: str, key: str) -> Any:
    found = environment.get(block)
    return found.get(key) if isinstance(found, dict) else None
