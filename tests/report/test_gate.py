from __future__ import annotations

import json
import subprocess

import numpy as np
import pytest
from pydantic import ValidationError

from tests.report.synthetic import make_record, make_records, moving_squares, store
from vdmbench.records import MetricResult, ResultsError
from vdmbench.report.baseline import baseline_of, update_baseline
from vdmbench.report.gate import Verdict, compare_cells, compare_folders
from vdmbench.report.results import as_cells
from vdmbench.report.thresholds import InvalidThresholds, load_thresholds
from vdmbench.suite.gate import Threshold, Thresholds

BASE = as_cells(make_records(frames=(16, 32), cuda=False))


def _compare(new, **options):
    return compare_cells(BASE, as_cells(new), **options)


def _verdicts(comparison, verdict) -> set[str]:
    return {row.quantity for row in comparison.rows if row.verdict == verdict}


def test_equal_records_pass() -> None:
    comparison = _compare(make_records(frames=(16, 32), cuda=False))
    assert comparison.exit_code == 0
    assert set(comparison.counts) == {Verdict.UNCHANGED}
    assert "no regression" in comparison.to_markdown()


def test_planted_memory_and_distance_regressions_are_caught() -> None:
    memory = _compare(make_records(frames=(16, 32), cuda=False, memory_factor=1.05))
    counted = {"peak_train_memory", "peak_sample_memory"}
    assert (memory.exit_code, _verdicts(memory, Verdict.REGRESSION)) == (1, {*counted, "resident_train_memory"})
    device = compare_cells(as_cells(make_records(frames=(16, 32))), as_cells(make_records(frames=(16, 32), memory_factor=1.05)))
    assert _verdicts(device, Verdict.REGRESSION) == counted
    distance = _compare(make_records(frames=(16, 32), cuda=False, distance_factor=1.2))
    assert (distance.exit_code, _verdicts(distance, Verdict.REGRESSION)) == (1, {"fvd"})
    better = _compare(make_records(frames=(16, 32), cuda=False, memory_factor=0.85, distance_factor=0.8))
    resident = {"resident_train_memory", "resident_sample_memory"}
    assert (better.exit_code, _verdicts(better, Verdict.IMPROVED)) == (0, {*counted, *resident, "fvd"})


def test_any_change_of_planned_memory_is_a_regression_on_any_machine() -> None:
    planned = {"planned_train_memory", "planned_sample_memory", "planned_train_reserved", "planned_sample_reserved"}
    base = as_cells(make_records(frames=(16,), card="a100-80gb", cuda=False))
    for cohort in ("a100-40gb", "elsewhere"):
        for factor in (0.99, 1.001):
            new = as_cells(make_records(frames=(16,), card="a100-80gb", cuda=False, cohort=cohort, plan_factor=factor))
            comparison = compare_cells(base, new, portable=cohort == "elsewhere")
            assert (comparison.exit_code, _verdicts(comparison, Verdict.REGRESSION)) == (1, planned)


def test_plans_for_another_card_are_not_compared_and_never_pass_in_silence() -> None:
    base = as_cells(make_records(frames=(16,), card="a100-80gb"))
    comparison = compare_cells(base, as_cells(make_records(frames=(16,), card="h200", plan_factor=2.0)))
    assert comparison.exit_code == 4
    assert not _verdicts(comparison, Verdict.REGRESSION)
    row = next(row for row in comparison.rows if row.verdict == Verdict.PROTOCOL)
    assert row.note == "not comparable: a100-80gb, PyTorch 2.13.0, triton, now h200, PyTorch 2.13.0, triton"


def test_a_baseline_from_before_memory_was_planned_is_told_and_misses_nothing() -> None:
    new = make_records(frames=(16,), card="a100-80gb", cuda=False)
    before = [record.model_copy(update={"rehearsal": None}) for record in make_records(frames=(16,), cuda=False)]
    comparison = compare_cells(as_cells(before), as_cells(new))
    assert comparison.exit_code == 0
    told = comparison.to_markdown()
    for name in ("planned_train_memory", "planned_sample_reserved", "peak_train_memory"):
        assert f"all cells: {name} not judged, the baseline's records of {len(new)} cells are from before" in told
    assert {"resident_train_memory", "fvd"} <= _verdicts(comparison, Verdict.UNCHANGED), "the rest is judged"
    lost = [record.model_copy(update={"solved": record.solved.model_copy(update={"memory": {}})}) for record in new]
    gone = compare_cells(as_cells(new), as_cells(lost))
    assert gone.exit_code == 4, "a plan that is gone is missed"


def test_one_slow_variant_is_caught_and_a_busy_machine_is_not_blamed_on_it() -> None:
    slow = [
        make_record(
            record.variant,
            record.point["data.frames"],
            record.seed,
            cuda=False,
            status=record.status,
            step_factor=1.5 if record.variant == "s4d" else 1.1,
        )
        for record in make_records(frames=(16, 32))
    ]
    comparison = _compare(slow)
    assert comparison.exit_code == 1
    assert {row.cell.split()[0] for row in comparison.rows if row.verdict == Verdict.REGRESSION} == {"s4d"}
    assert _compare(make_records(frames=(16, 32), cuda=False, step_factor=1.3)).exit_code == 0
    assert _verdicts(_compare(make_records(frames=(16, 32), cuda=False, step_factor=2.0)), Verdict.REGRESSION) == {
        "common factor of step_time",
        "common factor of sample_time",
    }


def test_both_limits_must_be_exceeded() -> None:
    loose = Thresholds(memory=Threshold(percent=1, absolute=2**40), resident_sampling=Threshold(percent=1, absolute=2**40))
    assert _compare(make_records(frames=(16, 32), cuda=False, memory_factor=1.5), thresholds=loose).exit_code == 0
    strict = Thresholds(metrics={"fvd": Threshold(percent=1, absolute=0)})
    assert _compare(make_records(frames=(16, 32), cuda=False, distance_factor=1.02), thresholds=strict).exit_code == 1
    with pytest.raises(ValidationError):
        Thresholds.model_validate({"memori": {"percent": 1, "absolute": 1}})


def test_joined_on_identity_whatever_the_order() -> None:
    assert _compare(list(reversed(make_records(frames=(16, 32), cuda=False)))).exit_code == 0


def test_a_missing_cell_cannot_be_decided_and_a_new_one_is_told() -> None:
    fewer = _compare(make_records(frames=(16, 32), cuda=False)[1:])
    assert (fewer.exit_code, fewer.counts[Verdict.MISSING]) == (4, 1)
    assert "in the baseline only" in fewer.to_markdown()
    more = _compare([*make_records(frames=(16, 32), cuda=False), make_record("hydra", 16, 0, cuda=False)])
    assert (more.exit_code, more.counts[Verdict.NEW]) == (0, 1)


def test_an_empty_side_cannot_be_decided(tmp_path) -> None:
    full = store(tmp_path / "full", [make_record("s4d")])
    (tmp_path / "nothing").mkdir()
    for baseline, new in ((full, tmp_path / "nothing"), (tmp_path / "nothing", full), (tmp_path / "absent", full)):
        comparison = compare_folders(baseline, new)
        assert comparison.exit_code == 4
        assert "no results" in comparison.to_markdown()
    assert compare_folders(full, full).exit_code == 0
    assert compare_cells(BASE, []).exit_code == 4


@pytest.mark.parametrize(("status", "code"), [("oom", 1), ("nan", 1), ("timeout", 1), ("interrupted", 4), ("started", 4)])
def test_a_changed_status(status, code) -> None:
    new = make_records(frames=(16, 32), cuda=False)
    new[0] = make_record("identity", 16, 0, cuda=False, status=status)
    assert _compare(new).exit_code == code
    assert f"ok, now {status}" in _compare(new).to_markdown()


def test_a_cell_that_works_again_is_an_improvement() -> None:
    new = [
        make_record(record.variant, record.point["data.frames"], record.seed, cuda=False)
        for record in make_records(frames=(16, 32))
    ]
    comparison = _compare(new)
    assert (comparison.exit_code, comparison.counts[Verdict.IMPROVED]) == (0, 7)


def test_nothing_but_failures_on_both_sides_is_no_pass() -> None:
    failed = as_cells([make_record("s4d", status="infeasible")])
    comparison = compare_cells(failed, failed)
    assert comparison.exit_code == 4
    assert "could be judged" in comparison.to_markdown()


def test_another_machine_cannot_be_decided_unless_only_the_portable_is_judged() -> None:
    new = make_records(frames=(16, 32), cuda=False, cohort="another", memory_factor=3.0, step_factor=9.0)
    comparison = _compare(new)
    assert comparison.exit_code == 4
    assert "a100-40gb, now another" in comparison.to_markdown()
    assert _compare(new, portable=True).exit_code == 0
    worse = make_records(frames=(16, 32), cuda=False, cohort="another", distance_factor=1.2)
    assert _compare(worse, portable=True).exit_code == 1


def test_another_network_under_the_same_declaration_is_a_regression_anywhere() -> None:
    new = make_records(frames=(16, 32), cuda=False, cohort="another")
    solved = new[0].solved
    new[0] = new[0].model_copy(update={"solved": solved.model_copy(update={"flops_forward": solved.flops_forward - 1})})
    comparison = _compare(new, portable=True)
    assert (comparison.exit_code, _verdicts(comparison, Verdict.REGRESSION)) == (1, {"flops"})


def test_another_protocol_or_other_data_cannot_be_decided() -> None:
    new = make_records(frames=(16, 32), cuda=False)
    new[0] = new[0].model_copy(
        update={"metrics": {"fvd": MetricResult(name="FVD[i3d,n=16,f=16]", value=900, n_real=16, n_generated=16)}}
    )
    comparison = _compare(new)
    assert (comparison.exit_code, _verdicts(comparison, Verdict.PROTOCOL)) == (4, {"fvd"})
    assert "FVD[i3d,n=2048,f=16], now FVD[i3d,n=16,f=16]" in comparison.to_markdown()
    new = [record.model_copy(update={"data": {"train": "other"}}) for record in make_records(frames=(16, 32), cuda=False)]
    assert _compare(new).exit_code == 4


def test_a_value_that_is_gone_cannot_be_decided() -> None:
    new = make_records(frames=(16, 32), cuda=False)
    new[0] = new[0].model_copy(update={"metrics": {}})
    assert _compare(new).exit_code == 4


def test_fifty_unchanged_runs_with_the_noise_of_a_real_machine_pass() -> None:
    rng = np.random.default_rng(0)
    base = make_records(frames=(16, 32), seeds=(0,), cuda=False)
    for _ in range(50):
        busy = rng.uniform(0.9, 1.3)  # the machine as a whole
        new = [
            make_record(
                record.variant,
                record.point["data.frames"],
                0,
                cuda=False,
                status=record.status,
                step_factor=busy * rng.normal(1, 0.04),
                memory_factor=rng.normal(1, 0.004),
            )
            for record in base
        ]
        assert compare_cells(as_cells(base), as_cells(new)).exit_code == 0


def test_many_seeds_decide_together() -> None:
    rng = np.random.default_rng(0)
    seeds = tuple(range(8))
    base = as_cells([make_record("s4d", seed=seed) for seed in seeds])
    scattered = as_cells([make_record("s4d", seed=seed, distance_factor=rng.normal(1, 0.2)) for seed in seeds])
    comparison = compare_cells(base, scattered)
    assert comparison.exit_code == 0
    assert "within the scatter of 8 seeds" in {row.note for row in comparison.rows}
    worse = as_cells([make_record("s4d", seed=seed, distance_factor=rng.normal(1.2, 0.02)) for seed in seeds])
    assert compare_cells(base, worse).exit_code == 1


def test_thresholds_from_a_file(tmp_path) -> None:
    path = tmp_path / "vdmbench.toml"
    path.write_text("[gate]\nmemory = {percent = 1, absolute = 0}\n[gate.metrics.fvd]\npercent = 2\nabsolute = 0.5\n")
    limits = load_thresholds(path)
    assert (limits.memory.percent, limits.metrics["fvd"].absolute, limits.time) == (1, 0.5, Thresholds().time)
    for text, problem in (
        ("[gate]\nmemori = 1\n", "gate.memori: .*known: memory"),
        ("[gate]\nmemory = {percent = -1, absolute = 0}\n", "gate.memory.percent"),
        ("[gate", "not TOML"),
    ):
        path.write_text(text)
        with pytest.raises(InvalidThresholds, match=problem):
            load_thresholds(path)
    with pytest.raises(InvalidThresholds, match="cannot be read"):
        load_thresholds(tmp_path / "absent.toml")


def test_a_suites_own_limits_hold_where_the_file_says_nothing(tmp_path) -> None:
    base = store(tmp_path / "base", [make_record("s4d")])
    new = store(tmp_path / "new", [make_record("s4d", memory_factor=1.05, distance_factor=1.05)])
    assert compare_folders(base, new).exit_code == 1  # memory: 5 %
    declared = {"memory": {"percent": 8, "absolute": 0}, "distance": {"percent": 2, "absolute": 0}}
    (new / "suite.json").write_text(json.dumps({"gate": declared}))
    regressions = {row.quantity for row in compare_folders(base, new).rows if row.verdict == "regression"}
    assert regressions == {"fvd"}
    (tmp_path / "vdmbench.toml").write_text("[gate]\ndistance = {percent = 20, absolute = 0}\n")
    limits = load_thresholds(tmp_path / "vdmbench.toml", results=new)
    assert (limits.distance.percent, limits.memory.percent) == (20, 8)
    assert compare_folders(base, new, limits).exit_code == 0


def test_a_new_baseline_needs_a_reason_and_carries_records_alone(tmp_path) -> None:
    old = store(tmp_path / "old", [make_record("s4d"), make_record("attention")], clips=lambda record: moving_squares(1, 4, 0))
    new = store(tmp_path / "new", [make_record("s4d", memory_factor=2.0)], clips=lambda record: moving_squares(1, 4, 0))
    baseline = tmp_path / "baseline"
    update_baseline(old, baseline, "first")
    with pytest.raises(ValueError, match="needs a reason"):
        update_baseline(new, baseline, "  ")
    assert compare_folders(baseline, new).exit_code == 1
    update_baseline(new, baseline, "s4d keeps its states now")
    assert compare_folders(baseline, new).exit_code == 0
    assert {path.name for path in baseline.rglob("*") if path.is_file()} == {"record.json", "folder.json", "REASONS.md"}
    assert [line for line in (baseline / "REASONS.md").read_text().splitlines() if line.startswith("-")] == [
        "- first",
        "- s4d keeps its states now",
    ]


def test_a_baseline_of_a_git_revision(tmp_path, monkeypatch) -> None:
    store(tmp_path / "results" / "baselines" / "tiny", [make_record("s4d")])
    for command in (["init", "-q"], ["add", "-A"], ["-c", "user.name=a", "-c", "user.email=a@b", "commit", "-qm", "Baseline"]):
        subprocess.run(["git", *command], cwd=tmp_path, check=True)
    new = store(tmp_path / "now", [make_record("s4d", memory_factor=1.05)])
    monkeypatch.chdir(tmp_path)
    with baseline_of("HEAD:results/baselines/tiny") as baseline:
        assert compare_folders(baseline, new).exit_code == 1
    with baseline_of(str(new)) as same:
        assert same == new
    with pytest.raises(ResultsError, match="no such revision or path"), baseline_of("nowhere:results"):
        pass


def test_a_baseline_of_another_numbers_version_cannot_decide_and_says_what_to_do() -> None:
    new = [
        record.model_copy(update={"identity": f"new-{record.identity}", "declared": {**record.declared, "numbers": 2}})
        for record in make_records(frames=(16, 32), cuda=False)
    ]
    comparison = _compare(new)
    assert (comparison.exit_code, set(comparison.counts)) == (4, {Verdict.NUMBERS})
    assert "the baseline is of numbers version 1, the new side of version 2" in comparison.to_markdown()
    both = _compare([*make_records(frames=(16, 32), cuda=False), *new])  # a folder that holds the older records too
    assert (both.exit_code, Verdict.NUMBERS in both.counts) == (0, False)
