from __future__ import annotations

import numpy as np
import pytest

from tests.report.synthetic import make_record, make_records
from vdmbench.records import PhaseReading
from vdmbench.report import Study, draw
from vdmbench.report.figures import NothingToDraw
from vdmbench.report.findings import frontier_table, improvement_table, levels_table, scaling_table
from vdmbench.report.frontier import dominating, frontier_gap, points_of, undominated, widths
from vdmbench.report.improvement import performance_profile, probability_of_improvement
from vdmbench.report.scaling import crossover, exponent
from vdmbench.report.study import Group

FULL = Study.of(make_records(), reference="attention")


def test_undominated_points() -> None:
    assert undominated([(1, 9), (2, 5), (3, 5), (2, 5), (4, 1), (5, 2)]) == [True, True, False, True, True, False]


def test_who_dominates_is_named() -> None:
    memory, fvd = FULL.quantity("peak_train_memory"), FULL.quantity("fvd")
    points = {label: points_of(FULL, FULL.groups[1:2], label, memory, fvd) for label in FULL.labels}
    beaten = dominating(points)
    assert beaten["attention"] == "bi-mamba"
    assert beaten["bi-mamba"] is None
    assert "linear-attention" in beaten


def _widths(variant: str, memory: float, distance: float, seeds: int = 3, bases=(16, 32, 64)):
    return [
        make_record(
            "s4d",
            seed=seed,
            identity=f"{variant}{base}{seed}",
            point={"data.frames": 16, "network.base_channels": base},
            memory_factor=memory * base / 32,
            distance_factor=distance * (32 / base) ** 0.5,
        ).model_copy(update={"variant": variant})
        for base in bases
        for seed in range(seeds)
    ]


def test_both_questions_of_the_paper_as_numbers() -> None:
    study = Study.of([*_widths("a", 0.8, 1.0), *_widths("b", 1.0, 1.0)], reference="b")
    assert widths(study) == ["base_channels"]
    memory, fvd = study.quantity("peak_train_memory"), study.quantity("fvd")
    at_equal_distance = frontier_gap(*(points_of(study, study.groups, label, fvd, memory) for label in "ab"))
    assert at_equal_distance.relative == pytest.approx(-0.2, abs=0.01)
    at_equal_memory = frontier_gap(*(points_of(study, study.groups, label, memory, fvd) for label in "ab"))
    assert at_equal_memory.relative == pytest.approx(0.8**0.5 - 1, abs=0.01)
    assert at_equal_memory.low <= at_equal_memory.relative <= at_equal_memory.high
    table = frontier_table(study)
    row = next(row for row in table.rows if row[2].text == "a")
    assert row[4].text.startswith("-2")
    levels = {row[2].text: row for row in levels_table(study).rows}
    needs = {label: row[4].value for label, row in levels.items()}
    assert needs["a"] / needs["b"] == pytest.approx(0.8, abs=0.01)  # memory at one distance
    gives = {label: row[6].value for label, row in levels.items()}
    assert gives["a"] / gives["b"] == pytest.approx(0.8**0.5, abs=0.01)  # distance at one memory
    assert levels["a"][3].value == levels["b"][3].value


def test_a_frontier_that_does_not_reach_a_level_says_nothing() -> None:
    study = Study.of([*_widths("a", 0.8, 1.0), *_widths("b", 1.0, 1.0), *_widths("one", 1.0, 1.0, bases=(32,))])
    rows = {row[2].text: row for row in levels_table(study).rows}
    assert set(rows) == {"a", "b"}  # one width has no frontier
    apart = Study.of([*_widths("a", 0.8, 1.0), *_widths("far", 20.0, 20.0)])
    assert levels_table(apart).rows == []


def test_nothing_is_said_beyond_the_common_range_nor_from_one_width() -> None:
    study = Study.of([*_widths("a", 0.8, 1.0), *_widths("far", 20.0, 20.0), *_widths("one", 1.0, 1.0, bases=(32,))])
    memory, fvd = study.quantity("peak_train_memory"), study.quantity("fvd")
    points = {label: points_of(study, study.groups, label, memory, fvd) for label in study.labels}
    assert frontier_gap(points["a"], points["far"]) is None
    assert frontier_gap(points["a"], points["one"]) is None
    assert frontier_gap(points["a"], []) is None


def test_exponents_and_where_curves_cross() -> None:
    def records(variant: str, law):
        return [
            make_record("s4d", frames, seed, identity=f"{variant}{frames}{seed}").model_copy(
                update={
                    "variant": variant,
                    "phases": {"train": PhaseReading(seconds=1.0, allocated_peak_bytes=int(law(frames) * (1 + 0.001 * seed)))},
                }
            )
            for frames in (16, 64, 256)
            for seed in range(3)
        ]

    study = Study.of(
        [*records("square", lambda frames: 1000 * frames**2), *records("line", lambda frames: 100_000 * frames)],
        reference="square",
    )
    memory = study.quantity("peak_train_memory")
    assert exponent(study, memory, study.groups, "square").value == pytest.approx(2, abs=1e-3)
    assert exponent(study, memory, study.groups, "line").value == pytest.approx(1, abs=1e-3)
    met = crossover(study, memory, study.groups, "line", "square")
    assert met.frames.value == pytest.approx(100, rel=0.01)
    assert not met.below_before
    texts = [entry.text for row in scaling_table(study).rows for entry in row]
    assert any(text.startswith("from 100 frames") for text in texts)


def test_curves_that_do_not_cross() -> None:
    memory = FULL.quantity("peak_train_memory")
    met = crossover(FULL, memory, FULL.groups, "s4d", "attention")
    assert met.frames is None
    assert met.below_before
    assert met.lengths == (16, 64)
    assert crossover(FULL, memory, FULL.groups[:1], "s4d", "attention") is None


def test_groups_read_by_coordinate() -> None:
    group = Group("s", None, (("frames", 16), ("size", 32)))
    assert (group["frames"], group["depth"]) == (16, None)
    assert np.isfinite(group["size"])


def _data_sets(seeds: int = 4) -> Study:
    """`good` beats `plain` on two of three data sets; it fails once on the third."""
    factors = {"maze": {"plain": 1.0, "good": 0.5}, "sprites": {"plain": 1.0, "good": 0.7}, "doom": {"plain": 1.0, "good": 1.5}}
    records = [
        make_record(
            "s4d",
            seed=seed,
            identity=f"{source}{variant}{seed}",
            point={"data.source": {"name": source}},
            distance_factor=factor,
            status="nan" if (source, variant, seed) == ("doom", "good", 0) else "ok",
        ).model_copy(update={"variant": variant})
        for source, variants in factors.items()
        for variant, factor in variants.items()
        for seed in range(seeds)
    ]
    return Study.of(records, reference="plain")


def test_probability_of_improvement_over_data_sets() -> None:
    study = _data_sets()
    fvd = study.quantity("fvd")
    better = probability_of_improvement(study, fvd, study.groups, "good", "plain")
    assert better.probability == pytest.approx(2 / 3, abs=0.01)
    assert better.sets == 3
    assert better.low <= better.probability <= better.high
    assert probability_of_improvement(study, fvd, study.groups[:1], "plain", "plain").probability == 0.5
    table = improvement_table(study)
    assert [row[1].text for row in table.rows] == ["good"]
    assert improvement_table(FULL).rows == []


def test_performance_profiles_count_failed_runs() -> None:
    study = _data_sets()
    profile = performance_profile(study, study.quantity("fvd"), study.groups, "good", np.array([1.2, 1e9]))
    assert profile[0] == pytest.approx(8 / 12)
    assert profile[1] == pytest.approx(11 / 12)
    assert len(draw(study, "profiles").axes) == 1
    with pytest.raises(NothingToDraw, match="only one data set"):
        draw(FULL, "profiles")
