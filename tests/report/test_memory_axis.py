"""Which memory figures and findings speak of, and what is said where it was measured too."""

from __future__ import annotations

import pytest

from tests.report.synthetic import make_record, make_records
from vdmbench.report import Study, draw
from vdmbench.report.figures import NothingToDraw
from vdmbench.report.findings import frontier_table
from vdmbench.report.frontier import points_of
from vdmbench.report.tables import main_table

SMALL = {"frames": (16, 32), "variants": ("s4d", "bi-mamba")}


def test_without_a_gpu_it_is_the_planned_memory_and_the_axis_says_for_what() -> None:
    study = Study.of(make_records(**SMALL, cuda=False, card="a100-80gb"))
    assert study.memory.name == "planned_train_memory"
    assert draw(study, "frontier").get_supxlabel() == "Training memory, planned for an A100 80GB (GiB)"
    assert draw(study, "memory").axes[0].get_ylabel() == "Training memory, planned for an A100 80GB (GiB)"
    assert draw(study, "phases").get_supylabel() == "Peak memory, planned for an A100 80GB (GiB)"
    x = points_of(study, study.groups, "s4d", study.memory, study.quantity("fvd"))[0].x
    assert set(x.values()) == {study.cells_in(study.groups[0], "s4d")[0].record.solved.memory["train"].allocated_peak_bytes}
    assert frontier_table(study).rows


def test_on_a_gpu_it_is_what_was_measured() -> None:
    study = Study.of(make_records(**SMALL, card="a100-80gb"))
    assert study.memory.name == "peak_train_memory"
    assert draw(study, "frontier").get_supxlabel() == "Training memory, CUDA allocated (GiB)"


def test_resident_memory_is_never_the_headline() -> None:
    older = [record.model_copy(update={"rehearsal": None}) for record in make_records(**SMALL, cuda=False)]
    study = Study.of(older)
    assert study.frame["resident_train_memory"].notna().any()
    with pytest.raises(NothingToDraw, match="no cell has both a distance and a peak of memory"):
        draw(study, "frontier")
    assert not frontier_table(study).rows


def test_a_measured_peak_that_is_off_its_plan_is_told_with_the_ratio() -> None:
    near = Study.of([make_record("s4d", card="h200", plan_factor=1.01)])
    assert not [note for note in main_table(near).notes if note.startswith("Warning")]
    off = Study.of([make_record("s4d", seed=seed, card="h200", plan_factor=1 / 1.05) for seed in range(9)])
    train, sample = (note for note in main_table(off).notes if note.startswith("Warning"))
    assert train.startswith(
        "Warning: training memory, measured / planned, is off 1 by more than 2 % in 9 of 9 cells: s4d seed 0"
    )
    assert train.endswith(" and 3 more.")
    assert "sampling memory" in sample


def test_of_two_plans_in_one_cohort_the_rarer_is_left_out_by_name() -> None:
    records = [make_record("s4d", seed=seed, cuda=False, card="a100-80gb") for seed in range(3)]
    other = make_record("bi-mamba", cuda=False, card="h200")
    lost = make_record("attention", cuda=False, card="h200", status="error", cohort=None)
    study = Study.of([*records, other, lost])
    assert study.outcomes(study.memory)[study.groups[0]]["bi-mamba"].n == 0
    assert study.outcomes(study.memory)[study.groups[0]]["s4d"].n == 3
    (note,) = (note for note in study.notes if "is for h200, PyTorch 2.13.0, triton" in note)
    assert note.startswith("Planned memory of 2 cells is for h200")
