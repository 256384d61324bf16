"""The gate on the noise of real reruns: unchanged runs must pass and planted regressions be caught."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.report.synthetic import make_record
from vdmbench.records import MetricResult, PhaseReading, Record, Sampling, Spread, Training
from vdmbench.report.gate import Comparison, Verdict, compare_cells
from vdmbench.report.pace import TIMES
from vdmbench.report.results import as_cells

RERUNS: dict[str, list[dict[str, Any]]] = json.loads(Path(__file__).with_name("reruns.json").read_text())["cells"]
PLACES = (8, 16, 32)
"""Sweep points that a drawn run has: twelve cells in all, as the tiny suite."""


def _record(variant: str, place: int, measured: dict[str, Any], memory: float, distance: float) -> Record:
    """A cell that reads what one real rerun read, times what was planted."""
    median, q1, q3 = measured["step_seconds"]

    def reading(counter: str) -> PhaseReading:
        return PhaseReading(seconds=1.0, rss_peak_bytes=int(measured[counter] * memory), rss_source="VmHWM")

    metric = MetricResult(name="STE-FD[n=24,f=8]", value=measured["ste-fd"] * distance, n_real=24, n_generated=24)
    return make_record(
        variant,
        place,
        identity=f"{variant}-{place}",
        phases={"train": reading("train_rss_bytes"), "sample": reading("sample_rss_bytes")},
        training=Training(
            steps=12,
            step_seconds=Spread(median=median, q1=q1, q3=q3, count=12),
            loss_steps=[],
            loss=[],
            frames_per_second=16 / median,
            final_loss=measured["final_loss"],
        ),
        sampling=Sampling(
            clips=24,
            seconds_per_clip=measured["seconds_per_clip"],
            sampler="ddim",
            steps=3,
            frames_per_second=8 / measured["seconds_per_clip"],
        ),
        metrics={"ste-fd": metric},
    )


def _drawn(rng: np.random.Generator, *, memory: float = 1.0, distance: float = 1.0) -> list[Record]:
    """A run whose every cell is a real rerun of that variant, drawn with replacement; not the first, whose kernels were
    compiled within it."""
    return [
        _record(variant, place, reruns[rng.integers(1, len(reruns))], memory, distance)
        for variant, reruns in RERUNS.items()
        for place in PLACES
    ]


def _compared(seed: int, **planted: Any) -> Comparison:
    rng = np.random.default_rng(seed)
    baseline = as_cells(_drawn(rng))
    return compare_cells(baseline, as_cells(_drawn(rng, **planted)))


def _worse(comparison: Comparison) -> Counter[str]:
    return Counter(row.quantity for row in comparison.rows if row.verdict == Verdict.REGRESSION)


def test_unchanged_runs_pass() -> None:
    """Memory and distances in all of fifty; times, on a machine this busy, in all but two."""
    worse = [_worse(_compared(seed)) for seed in range(50)]
    assert {quantity for found in worse for quantity in found} <= {*TIMES}
    assert sum(map(bool, worse)) <= 2


def test_a_machine_too_busy_to_judge_times_is_told() -> None:
    texts = [comparison.to_markdown() for seed in range(20) if (comparison := _compared(seed)).exit_code == 0]
    assert any("too busy to judge them" in text for text in texts)


@pytest.mark.parametrize(
    ("planted", "seen", "also"),
    [({"memory": 1.05}, "resident_train_memory", {"resident_sample_memory"}), ({"distance": 1.2}, "ste-fd", set())],
)
def test_a_planted_regression_is_caught_every_time(planted, seen, also) -> None:
    for seed in range(50):
        comparison = _compared(seed, **planted)
        assert comparison.exit_code == 1
        assert {seen} <= set(_worse(comparison)) <= {seen, *also, *TIMES}
