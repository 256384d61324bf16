"""Kernels are compiled before anything is measured, in a process that is not."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from tests.cli.commands import vdmbench
from tests.suite.texts import MINIMAL
from vdmbench.matching import solve
from vdmbench.matching.rehearsal import rehearse
from vdmbench.records import Record, parse_record
from vdmbench.suite import expand, parse_suite

__all__ = ["vdmbench"]

MIB = 2**20


def _record(results: Path) -> Record:
    (found,) = results.glob("cells/*/attempts/*/record.json")
    return parse_record(found.read_bytes(), found)


def test_with_an_empty_kernel_cache_a_cell_holds_no_more_than_with_a_full_one(vdmbench, tmp_path, monkeypatch) -> None:
    monkeypatch.setenv("NUMBA_CACHE_DIR", str(tmp_path / "kernels"))
    suite = tmp_path / "minimal.yaml"
    suite.write_text(MINIMAL + "run: {device: cpu, threads: 1}\n")
    records = []
    for name in ("empty", "full"):
        outcome = vdmbench("run", suite, "--results", tmp_path / name, "--only", "uni", "seeds=[0]")
        assert outcome.code == 3, outcome.err  # the other variants are left
        records.append(_record(tmp_path / name))
        assert list((tmp_path / "kernels").rglob("*.nbc"))
    empty, full = records
    assert empty.rehearsal.failed is None
    for phase in ("warm-up", "train", "sample"):
        # A process that compiles holds about 120 MiB more.
        assert empty.phases[phase].rss_peak_bytes < full.phases[phase].rss_peak_bytes + 30 * MIB
    assert empty.rehearsal.live_peak_bytes == full.rehearsal.live_peak_bytes
    planned = {phase: peak.allocated_peak_bytes for phase, peak in empty.solved.memory.items()}
    assert set(planned) == set(empty.rehearsal.live_peak_bytes) == {"train", "sample"}
    assert empty.solved.planned_for.device == "a100-80gb"


def _workload(*overrides: str):
    cells = expand(*parse_suite(MINIMAL, "s.yaml", ["seeds=[0]", *overrides]))
    return solve(next(cell.inputs for cell in cells if cell.variant == "floor")).resolved.workload


def test_live_tensors_hold_at_least_weights_moments_gradients_and_average() -> None:
    small, large = (rehearse(_workload(f"train.batch_size={size}"), torch.device("cpu")) for size in (2, 8))
    again = rehearse(_workload("train.batch_size=2"), torch.device("cpu"))
    assert again.live_peak_bytes == small.live_peak_bytes
    weights = 4 * 5 * solve(next(iter(expand(*parse_suite(MINIMAL)))).inputs).solved.parameters.network
    assert weights < small.live_peak_bytes["train"] < large.live_peak_bytes["train"]
    assert 0 < small.live_peak_bytes["sample"] < small.live_peak_bytes["train"]


def test_what_is_compiled_whole_is_left_to_its_own_warm_up_and_a_failure_is_told(monkeypatch) -> None:
    assert set(rehearse(_workload("train.compile=true"), torch.device("cpu")).live_peak_bytes) == {"sample"}

    def broken(*_):
        raise TypeError("no such\nthing")

    monkeypatch.setattr("vdmbench.matching.rehearsal.run_steps", broken)
    failed = rehearse(_workload(), torch.device("cpu"))
    assert (failed.failed, failed.live_peak_bytes) == ("TypeError: no such thing", {})


@pytest.mark.parametrize("devices", [2])
def test_of_several_devices_kernels_are_compiled_and_nothing_is_counted(devices: int) -> None:
    assert rehearse(_workload(f"train.devices={devices}"), torch.device("cpu")).live_peak_bytes == {}
