"""The bench from declared contenders to rows: whatever becomes of a case, there is a row that says it."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from tests.bench import contenders
from vdmbench.bench import Findings, Row, Settings, Workload, op_contest, peer, run
from vdmbench.bench.growth import predict
from vdmbench.bench.tryout import try_out

FRAMES = (4, 8, 16, 32)


@pytest.fixture(scope="module")
def findings() -> Findings:
    """One run of everything that can become of a contender; processes of their own start slowly, so there is but one."""
    calls = (contenders.hungry, contenders.greedy, contenders.killed, contenders.sleepy, contenders.raising, contenders.tripled)
    gone = peer("doubling", "gone", contenders.doubled, why_not=contenders.absent)
    contests = [
        contenders.contest(gone, *(contenders.contender(call) for call in calls)),
        contenders.contest(contenders.contender(contenders.interrupting), name="last"),
    ]
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(Path(__file__).parents[2])  # the processes import the contenders by name
        return run(contests, Settings(Workload(4, 2, 8), FRAMES, rounds=3, max_seconds=4.0))


@pytest.fixture
def rows(findings: Findings) -> dict[tuple[str, int], Row]:
    return {(row.backend, row.frames): row for row in findings.rows}


def test_every_case_is_a_row(findings: Findings, rows: dict[tuple[str, int], Row]) -> None:
    names = {"gone", "hungry", "greedy", "killed", "sleepy", "raising", "tripled", "interrupting"}
    assert set(rows) == {(name, frames) for name in names for frames in FRAMES}
    assert len(findings.rows) == len(rows)
    for row in findings.rows:
        assert (row.status == "ok") == (row.seconds is not None)
        assert (row.status == "ok") == (row.reason is None) or row.status == "interrupted"


def test_a_finished_row_holds_everything(rows: dict[tuple[str, int], Row]) -> None:
    row = rows["hungry", 4]
    assert (row.kind, row.subject, row.status, row.reason, row.used) == ("op", "doubling", "ok", None, "hungry")
    assert len(row.samples) == 3
    assert 0 < min(row.samples) <= row.seconds_q1 <= row.seconds <= row.seconds_q3 <= max(row.samples)
    assert row.clock == "cpu"
    assert row.wall_seconds > 0
    assert row.flops == 3 * 2 * 4 * 8
    # The input is read twice and its gradient written; the output is written and its gradient read.
    assert row.bytes == 5 * 4 * 2 * 4 * 8
    assert row.copy_bytes_per_second > 0
    assert row.roofline_bound == "bandwidth"
    assert row.roofline_share == pytest.approx(row.bytes / row.copy_bytes_per_second / row.seconds)
    assert row.relative_error < 1e-6


def test_memory_is_what_a_step_holds_at_its_peak(rows: dict[tuple[str, int], Row]) -> None:
    for frames in FRAMES:
        row = rows["hungry", frames]
        assert row.extra_peak_bytes == pytest.approx(frames * contenders.BLOCK, rel=0.05)
        assert row.held_bytes < 2**20
        assert row.memory_source in {"VmHWM", "ru_maxrss", "polling 1 ms"}


def test_who_computes_something_else_gets_no_numbers(rows: dict[tuple[str, int], Row]) -> None:
    row = rows["tripled", 4]
    assert row.status == "error"
    assert "strays from the float64 reference by 5.0e-01" in row.reason
    assert (row.seconds, row.extra_peak_bytes) == (None, None)


def test_one_that_raises_or_is_absent_leaves_the_others_alone(rows: dict[tuple[str, int], Row]) -> None:
    assert (rows["gone", 4].status, rows["gone", 4].reason) == ("unavailable", "it is not here; pip install it")
    assert (rows["raising", 4].status, rows["raising", 4].reason) == ("error", "TypeError: no such thing")


@pytest.mark.parametrize(("name", "told"), [("greedy", "alloc"), ("killed", "its process was ended by SIGKILL")])
def test_out_of_memory_and_a_kill_are_rows_and_longer_clips_are_not_begun(rows, name, told) -> None:
    assert rows[name, 8].status == "ok"
    assert rows[name, 16].status == "oom"
    assert told in rows[name, 16].reason
    assert rows[name, 32].status == "oom"
    assert rows[name, 32].reason.startswith("not begun: at 16 frames")


def test_what_would_take_too_long_says_how_long(rows: dict[tuple[str, int], Row]) -> None:
    assert rows["sleepy", 4].status == "ok"
    assert rows["sleepy", 32].status == "skipped"
    assert rows["sleepy", 32].reason.startswith("would take about ")
    assert rows["sleepy", 32].reason.endswith(" s, over the 4 s of a case")


def test_an_interrupt_keeps_what_is_finished_and_marks_the_rest(findings: Findings, rows: dict[tuple[str, int], Row]) -> None:
    assert findings.interrupted
    assert {rows["interrupting", frames].status for frames in FRAMES} == {"interrupted"}
    assert torch.get_num_threads() == 1


def test_backends_are_recorded_and_never_assumed() -> None:
    contest = op_contest("attention", ["auto", "math"])
    auto, math = (try_out(contest, each, Workload(8, 2, 32, direction="forward")).used for each in contest.contenders)
    assert math == "attention=math"
    assert auto.startswith("attention=")
    assert auto != "attention=auto"


@pytest.mark.parametrize(
    ("frames", "costs", "predicted"),
    [
        ([], [], None),
        ([16], [1.0], 4.0),
        ([16, 32], [1.0, 4.0], 16.0),
        ([16, 32], [1.0, 1.1], 2.2),
        ([16, 32], [0.0, 1.0], 2.0),
    ],
)
def test_prediction_goes_on_as_it_grew_and_at_least_linearly(frames, costs, predicted) -> None:
    assert predict(frames, costs, 64) == (predicted if predicted is None else pytest.approx(predicted))


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device: run pytest -m gpu where there is one")
def test_on_a_gpu_memory_is_the_allocators_and_time_the_clocks() -> None:
    workload = Workload(64, 64, 64, "bfloat16", "cuda")
    found = run([op_contest("attention", ["math"])], Settings(workload, (64,), rounds=3))
    (row,) = found.rows
    assert (row.status, row.memory_source, row.clock) == ("ok", "CUDA allocator", "wall")
    assert row.held_bytes >= 2 * 64 * 2 * 64 * 64  # the weights of two heads, two bytes each
    assert row.extra_peak_bytes > row.held_bytes
    assert 0 < row.roofline_share < 1
