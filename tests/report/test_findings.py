from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from tests.report.synthetic import make_record, make_records
from vdmbench.records import MetricResult, PhaseReading
from vdmbench.report import Study, draw
from vdmbench.report.figures import NothingToDraw
from vdmbench.report.findings import frontier_table, improvement_table, levels_table, scaling_table
from vdmbench.report.frontier import Point, dominating, frontier_gap, points_of, undominated, widths
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
    study = Study.of([*_widths("a", 0.8, 1.0, seeds=6), *_widths("b", 1.0, 1.0, seeds=6)], reference="b")
    assert widths(study) == ["base_channels"]
    memory, fvd = study.quantity("peak_train_memory"), study.quantity("fvd")
    at_equal_distance = frontier_gap(*(points_of(study, study.groups, label, fvd, memory) for label in "ab"))
    assert at_equal_distance.median == pytest.approx(-0.2, abs=0.01)
    at_equal_memory = frontier_gap(*(points_of(study, study.groups, label, memory, fvd) for label in "ab"))
    assert at_equal_memory.median == pytest.approx(0.8**0.5 - 1, abs=0.01)
    low, high = at_equal_memory.interval
    assert low <= at_equal_memory.median <= high
    table = frontier_table(study)
    row = next(row for row in table.rows if row[2].text == "a")
    assert row[4].text.startswith("-2")
    levels = {row[2].text: row for row in levels_table(study).rows}
    needs = {label: row[4].value for label, row in levels.items()}
    assert needs["a"] / needs["b"] == pytest.approx(0.8, abs=0.01)  # memory at one distance
    gives = {label: row[6].value for label, row in levels.items()}
    assert gives["a"] / gives["b"] == pytest.approx(0.8**0.5, abs=0.01)  # distance at one memory
    assert levels["a"][3].value == levels["b"][3].value


def test_nobody_is_on_the_front_or_dominated_by_fewer_than_three_seeds() -> None:
    records = [*_widths("a", 0.8, 1.0), *_widths("b", 1.0, 1.2), *_widths("two", 0.1, 0.1, seeds=2)]
    table = frontier_table(Study.of(records, reference="b"))
    assert {row[1].text: row[2].text for row in _without_where(table)} == {"a": "yes", "b": "no: a"}
    assert "points of two are left out" in table.notes[1]
    alone = Study.of([*_widths("a", 0.8, 1.0, seeds=2), *_widths("b", 1.0, 1.2, seeds=2)], reference="b")
    assert frontier_table(alone).rows == []
    assert levels_table(alone).rows == []
    front = draw(alone, "frontier").axes[0]
    assert not any(line.get_drawstyle() == "steps-post" for line in front.lines)


def _without_where(table):
    first = [column.key for column in table.columns].index("metric")
    return [row[first:] for row in table.rows]


def test_a_metric_of_which_more_is_better_has_its_front_on_the_other_side() -> None:
    def told(variant: str, value: float, memory: float):
        return [
            make_record(
                "s4d",
                seed=seed,
                identity=f"{variant}{seed}",
                memory_factor=memory,
                metrics={
                    "faithfulness": MetricResult(name="told", value=value, n_real=64, n_generated=64, lower_is_better=False)
                },
            ).model_copy(update={"variant": variant})
            for seed in range(3)
        ]

    study = Study.of([*told("good", 0.9, 1.0), *told("poor", 0.0, 1.5)], reference="poor")
    assert [row[-3].text for row in frontier_table(study).rows] == ["yes", "no: good"]


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
    square, line = (exponent(study, memory, study.groups, label) for label in ("square", "line"))
    assert (square.slopes.median, line.slopes.median) == (pytest.approx(2, abs=1e-3), pytest.approx(1, abs=1e-3))
    assert (square.lengths, square.slopes.n) == ((16, 64, 256), 3)
    met = crossover(study, memory, study.groups, "line", "square")
    assert met.frames.median == pytest.approx(100, rel=0.01)
    assert (met.below_before, met.agree, met.n) == (False, 3, 3)
    texts = [entry.text for row in scaling_table(study).rows for entry in row]
    assert any(text.startswith("from 100 frames") for text in texts)
    assert "3 lengths, 3 seeds" in texts


@pytest.mark.parametrize(("frames", "seeds"), [((16, 64), 6), ((16, 32, 64), 2)])
def test_growth_is_not_fitted_through_two_points_nor_from_two_seeds(frames, seeds) -> None:
    study = Study.of(make_records(("bi-mamba", "uni-mamba"), frames, tuple(range(seeds))), reference="uni-mamba")
    memory = study.quantity("peak_train_memory")
    assert exponent(study, memory, study.groups, "bi-mamba") is None
    assert crossover(study, memory, study.groups, "bi-mamba", "uni-mamba") is None
    table = scaling_table(study)
    assert table.rows == []
    assert "10 curves are left out: an exponent wants 3 lengths or more" in table.notes[1]


def test_what_may_be_negative_has_no_exponent() -> None:
    study = Study.of(make_records(("bi-mamba",), (16, 32, 64)))
    signed = replace(study.quantity("fvd"), scale="difference")
    assert exponent(study, signed, study.groups, "bi-mamba") is None
    assert exponent(study, study.quantity("fvd"), study.groups, "bi-mamba") is not None


def test_curves_that_do_not_cross() -> None:
    study = Study.of(make_records(("attention", "uni-mamba", "bi-mamba"), (16, 32, 64, 128), (0, 1, 2)), reference="attention")
    memory = study.quantity("peak_train_memory")
    met = crossover(study, memory, study.groups, "uni-mamba", "attention")
    assert met.frames is None
    assert met.below_before
    assert met.lengths == (16, 32, 64)
    assert crossover(study, memory, study.groups[:1], "uni-mamba", "attention") is None


def test_seeds_that_disagree_on_a_crossing_are_counted() -> None:
    def records(variant: str, factors):
        return [
            make_record("s4d", frames, seed, identity=f"{variant}{frames}{seed}").model_copy(
                update={
                    "variant": variant,
                    "phases": {"train": PhaseReading(seconds=1.0, allocated_peak_bytes=int(1e6 * frames * factor[index]))},
                }
            )
            for index, frames in enumerate((16, 64, 256))
            for seed, factor in enumerate(factors)
        ]

    study = Study.of(
        [*records("a", [(0.5, 0.5, 2), (0.5, 0.5, 2), (0.5, 0.5, 0.9)]), *records("b", [(1, 1, 1)] * 3)], reference="b"
    )
    met = crossover(study, study.quantity("peak_train_memory"), study.groups, "a", "b")
    assert (met.agree, met.n, met.below_before) == (2, 3, True)
    texts = [entry.text for row in scaling_table(study).rows for entry in row]
    assert "up to 128 frames, in 2 of 3 seeds" in texts


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


def _of_two_seeds():
    study = _data_sets(seeds=2)
    return probability_of_improvement(study, study.quantity("fvd"), study.groups, "good", "plain")


def _of_two_seeds():
    study = _data_sets(seeds=2)
    return probability_of_improvement(study, study.quantity("fvd"), study.groups, "good", "plain")


def test_probability_of_improvement_over_data_sets() -> None:
    study = _data_sets()
    fvd = study.quantity("fvd")
    better = probability_of_improvement(study, fvd, study.groups, "good", "plain")
    assert better.probability == pytest.approx(2 / 3, abs=0.01)
    assert (better.sets, better.pairs) == (3, 11)  # a run of one data set ended in NaN
    assert better.low <= better.probability <= better.high
    assert _of_two_seeds() is None
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


def _by_three_seeds(variant: str, memory: float, distance: float) -> Point:
    seeds = range(3)
    quantities = FULL.quantity("peak_train_memory"), FULL.quantity("fvd")
    return Point(Group("s", None, ()), *quantities, dict.fromkeys(seeds, memory), dict.fromkeys(seeds, distance))


def test_who_dominates_is_asked_of_the_variants_best_point() -> None:
    """Of its point with the least distance, which fewer points dominate than its worst one."""
    points = {
        "small": [_by_three_seeds("small", 1, 8)],
        "good": [_by_three_seeds("good", 3, 2)],
        "asked": [_by_three_seeds("asked", 2, 9), _by_three_seeds("asked", 4, 3)],
    }
    assert dominating(points) == {"small": None, "good": None, "asked": "good"}


def test_frontiers_are_compared_between_their_ends_too() -> None:
    """Between the ends the one bends away: a gap that is read at the ends alone would be 0."""
    straight = [_by_three_seeds("straight", memory, distance) for memory, distance in ((1, 64), (16, 4))]
    bent = [_by_three_seeds("bent", memory, distance) for memory, distance in ((1, 64), (4, 8), (16, 4))]
    gap = frontier_gap(bent, straight)
    # In logarithms the straight one has 16 in the middle and the bent one half of it. Of nine places evenly apart the gap is
    # 0, 1/4, 2/4, 3/4, 1, 3/4, 2/4, 1/4 and 0 of that half.
    assert gap.median == pytest.approx(0.5 ** (4 / 9) - 1)
