"""Two ranks train as one process does, on the CPU over gloo: the script beside this is launched as users launch torchrun."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from tests.engine.two_ranks import CASES, STEPS
from tests.suite.texts import MINIMAL
from vdmbench.matching import solve
from vdmbench.runner.planner import problems
from vdmbench.suite import SuiteError, expand, parse_suite
from vdmbench.suite.blocks import Run

HERE = Path(__file__).parent


@pytest.fixture(scope="module")
def found(tmp_path_factory):
    """What the script found."""
    answer = tmp_path_factory.mktemp("ranks") / "answer.json"
    launch = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
    done = subprocess.run(
        [*launch, str(HERE / "two_ranks.py"), str(answer)], capture_output=True, text=True, check=False, cwd=HERE.parents[1]
    )
    assert done.returncode == 0, done.stderr[-3000:]
    return json.loads(answer.read_text())


@pytest.mark.parametrize("case", CASES)
def test_the_loss_curve_is_that_of_one_process_at_the_same_global_batch(found, case):
    one, two = found[case]["alone"], found[case]["together"]
    assert len(one) == len(two) == STEPS
    assert two == pytest.approx(one, abs=1e-4)
    assert one[-1] < 0.95 * one[0], "nothing was learnt, so that nothing was compared"
    assert found[case]["weights"] < 0.01, "Adam divides by the size of gradients, so that the last bits of small ones count"


@pytest.mark.parametrize("case", CASES)
def test_the_held_out_loss_is_that_of_one_process(found, case):
    alone, together = found[case]["held out"]
    assert together == pytest.approx(alone, rel=1e-3)


@pytest.mark.parametrize("case", CASES)
def test_ranks_go_on_from_a_checkpoint_as_if_they_had_not_stopped(found, case):
    assert found[case]["resumed"] == found[case]["together"]
    assert found[case]["weights after resuming"] == 0


def test_readings_are_the_largest_of_any_rank_with_each_beside(found):
    reading = found["reading"]
    assert (reading["rss_peak_bytes"], reading["ooms"]) == (101, 1)
    assert [rank["rss_peak_bytes"] for rank in reading["ranks"]] == [100, 101]
    assert reading["allocated_peak_bytes"] is None
    assert found["any"] == [True, False]


def cells(*overrides: str):
    return expand(*parse_suite(MINIMAL, overrides=overrides))


def test_a_batch_that_cannot_be_shared_equally_is_refused():
    with pytest.raises(SuiteError, match=r"batch_size 3 is made by 2 devices in equal parts: use 2 or 4"):
        cells("train.batch_size=3", "train.devices=2")
    with pytest.raises(SuiteError, match="set 'devices' to 2 or more"):
        cells("train.sharding=fsdp2")


def test_the_number_of_devices_is_part_of_what_a_cell_is():
    one, two = cells("train.batch_size=4"), cells("train.batch_size=4", "train.devices=2")
    assert not {cell.identity for cell in one} & {cell.identity for cell in two}


def test_memory_is_planned_for_the_part_of_the_batch_that_a_device_has():
    plans = {
        devices: solve(cells("train.batch_size=4", f"train.devices={devices}")[0].inputs, memory=True).solved.memory["train"]
        for devices in (1, 2)
    }
    half = solve(cells("train.batch_size=2")[0].inputs, memory=True).solved.memory["train"]
    assert plans[2].allocated_peak_bytes == half.allocated_peak_bytes < plans[1].allocated_peak_bytes


def test_a_batch_that_the_solver_moves_stays_one_that_can_be_shared():
    match = "match={quantity: memory, budget: 88MiB, knob: batch_size, tolerance: 0.9}"
    solved = solve(cells(match, "train.batch_size=3", "train.devices=3")[0].inputs).solved
    assert solved.knobs["batch_size"] % 3 == 0


def test_the_memory_of_a_sharded_network_is_not_guessed():
    sharded = ("train.devices=2", "train.sharding=fsdp2")
    solved = solve(cells(*sharded)[0].inputs, memory=True).solved
    assert not solved.memory
    assert "neither simulated nor probed" in solved.not_simulated
    with pytest.raises(ValueError, match="match parameters, FLOPs or state instead"):
        solve(cells(*sharded, "match={quantity: memory, budget: 1GiB, knob: batch_size}")[0].inputs)


def test_a_kernel_that_sharding_cannot_release_is_told_before_any_work():
    scan = [cell.inputs for cell in cells("train.devices=2", "train.sharding=fsdp2") if cell.variant == "uni"]
    (problem,) = problems(scan, Run(device="cpu"))
    assert "leave sharding out, or run on CUDA devices" in problem
