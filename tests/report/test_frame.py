from __future__ import annotations

import math
import subprocess
import sys

import numpy as np
import pytest

from tests.report.synthetic import VARIANTS, identity_of, make_record, make_records, store
from vdmbench.records import MetricResult, ResultsError
from vdmbench.report import Study, read_results, tidy
from vdmbench.report.study import NotComparable


def test_a_row_for_every_cell_failed_ones_included() -> None:
    records = make_records()
    frame = tidy(records)
    assert sorted(frame["identity"]) == sorted(record.identity for record in records)
    failed = frame[frame["status"] != "ok"]
    assert set(failed["status"]) == {"oom", "infeasible", "nan"}
    numbers = ["peak_train_memory", "step_time", "train_throughput", "sample_time", "final_loss", "fvd"]
    assert failed[numbers].isna().all(axis=None)
    assert frame.loc[frame["status"] == "ok", numbers].notna().all(axis=None)
    assert not (frame[numbers] == 0).any(axis=None)


def test_rows_stand_in_declared_order_whatever_the_order_of_the_records() -> None:
    records = make_records()
    shuffled = [records[index] for index in np.random.default_rng(0).permutation(len(records))]
    expected = [
        identity_of(variant, frames, seed) for variant in VARIANTS for frames in (16, 32, 64, 128) for seed in (0, 1, 2)
    ]
    assert list(tidy(records)["identity"]) == expected
    assert list(tidy(shuffled, VARIANTS)["identity"]) == expected


def test_results_are_read_in_the_order_they_were_started(tmp_path) -> None:
    store(tmp_path / "a", make_records(frames=(16,), seeds=(0,)))
    assert [cell.record.variant for cell in read_results([tmp_path])] == list(VARIANTS)


def test_memory_names_its_counter_and_never_mixes_two() -> None:
    frame = tidy([make_record("s4d"), make_record("s4d", seed=1, cuda=False, cohort="cpu")])
    by_cohort = frame.set_index("cohort")
    assert by_cohort.loc["a100-40gb", "peak_train_memory_source"] == "CUDA allocated"
    assert by_cohort.loc["a100-40gb", "peak_train_memory"] == by_cohort.loc["a100-40gb", "train.allocated_peak_bytes"]
    assert by_cohort.loc["cpu", "peak_train_memory_source"] == "live tensors on the CPU"
    assert by_cohort["resident_train_memory"].to_dict()["cpu"] == by_cohort.loc["cpu", "train.rss_peak_bytes"]
    assert by_cohort["resident_train_memory"].isna().to_dict() == {"a100-40gb": True, "cpu": False}
    with pytest.raises(NotComparable, match=r"peak_train_memory: live tensors on the CPU .* and CUDA allocated"):
        Study.of([make_record("s4d"), make_record("mamba", cuda=False)])


def test_a_phase_that_was_not_completed_gives_no_number() -> None:
    whole = make_record("s4d")
    frame = tidy([whole.model_copy(update={"status": "error", "phase": "sample"})])
    assert frame["peak_train_memory"].notna().all()
    assert frame["peak_sample_memory"].isna().all()
    assert frame["sample.allocated_peak_bytes"].notna().all()


def test_a_distance_that_is_nan_is_null_with_its_cell_named() -> None:
    result = MetricResult(name="FVD[i3d,n=2048,f=16]", value=math.inf, n_real=8, n_generated=8)
    study = Study.of([make_record("s4d", metrics={"fvd": result}), make_record("s4d", seed=1)])
    outcome = study.outcomes(study.quantity("fvd"))[study.groups[0]]["s4d"]
    assert (outcome.n, outcome.failures) == (1, {0: "no value"})


def test_coordinates_that_one_variant_alone_has_belong_to_its_name() -> None:
    records = [
        make_record("attention", point={"data.frames": 16, "variants.attention.mixer.backend": kernel}, identity=kernel)
        for kernel in ("math", "sdpa")
    ]
    study = Study.of([*records, make_record("s4d")])
    assert study.coordinates == ["frames"]
    assert study.labels == ["attention [backend=math]", "attention [backend=sdpa]", "s4d"]


def test_a_coordinate_never_hides_another_column() -> None:
    frame = tidy([make_record("s4d", point={"data.frames": 16, "network.size": 3, "a.depth": 1, "b.depth": 2})])
    assert frame.attrs["coordinates"] == ["frames", "network.size", "a.depth", "b.depth"]
    assert list(frame["size"]) == [32]


def test_cohorts_stand_apart_and_a_cell_that_never_ran_joins_the_only_one() -> None:
    one = Study.of(make_records(frames=(16, 32)))
    assert {group.cohort for group in one.groups} == {"a100-40gb"}
    other = [
        record.model_copy(update={"cohort": "h100", "identity": record.identity})
        for record in make_records(frames=(16, 32))
        if record.status == "ok"
    ]
    both = Study.of([*make_records(frames=(16, 32)), *other])
    for group, outcomes in both.outcomes(both.quantity("step_time")).items():
        assert all(outcome.n <= 3 for outcome in outcomes.values()), group
    assert {group.cohort for group in both.groups} == {"a100-40gb", "h100", None}


def test_mixed_protocols_are_refused_with_both_names() -> None:
    other = MetricResult(name="FVD[i3d,n=256,f=16]", value=300.0, n_real=256, n_generated=256)
    with pytest.raises(NotComparable, match=r"fvd: FVD\[i3d,n=256,f=16\] .* and FVD\[i3d,n=2048,f=16\]"):
        Study.of([make_record("s4d"), make_record("mamba", metrics={"fvd": other})])


def test_a_cell_declared_anew_is_not_averaged_with_the_old_one() -> None:
    old = make_record("s4d")
    new = make_record(
        "s4d",
        identity="f" * 20,
        distance_factor=2.0,
        attempt=old.attempt.model_copy(update={"started": "2026-11-21T00:00:00+00:00"}),
    )
    for records in ([old, new], [new, old]):
        study = Study.of(records)
        assert [cell.record.identity for cell in study.cells] == ["f" * 20]
        assert [cell.record.identity for cell in study.superseded] == [old.identity]


def test_no_results_and_no_records_are_errors(tmp_path) -> None:
    with pytest.raises(ResultsError, match="no results there"):
        read_results([tmp_path])
    store(tmp_path / "empty", [])
    with pytest.raises(ResultsError, match="not one record"):
        read_results([tmp_path / "empty"])
    with pytest.raises(NotComparable, match="no records"):
        Study.of([])


def test_the_same_cell_in_two_folders_counts_once(tmp_path) -> None:
    store(tmp_path / "a", [make_record("s4d", status="error")])
    store(tmp_path / "b", [make_record("s4d")])
    assert [cell.record.status for cell in read_results([tmp_path / "a", tmp_path / "b"])] == ["ok"]
    assert [cell.record.status for cell in read_results([tmp_path / "b", tmp_path / "a"])] == ["ok"]


def test_torch_is_never_imported() -> None:
    code = (
        "import sys, vdmbench.report.write, vdmbench.report.gate\n"
        "assert not {'torch', 'matplotlib.pyplot'} & set(sys.modules), 'imported'"
    )
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)
