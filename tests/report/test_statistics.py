from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from tests.report.synthetic import make_record
from vdmbench.records import MetricResult
from vdmbench.report.aggregation import aggregate, best, compare
from vdmbench.report.statistics import (
    OverSeeds,
    corrected,
    fewest_seeds,
    holm,
    paired_effect,
    seed_by_seed,
    seeds_needed,
    sign_p,
)
from vdmbench.report.study import NotComparable, Study

RATIO, DIFFERENCE = {"ratio": True}, {"ratio": False}


def _by_seed(values) -> dict[int, float]:
    return dict(enumerate(map(float, values)))


def distances(**series) -> Study:
    """A study of variants with these distances by seed, all else equal."""
    return Study.of(
        [
            make_record(
                variant,
                seed=seed,
                identity=f"{variant}{seed}",
                metrics={"fvd": MetricResult(name="FVD", value=float(value), n_real=2048, n_generated=2048)},
            )
            for variant, values in series.items()
            for seed, value in enumerate(values)
        ]
    )


def _best(**series) -> str | None:
    study = distances(**series)
    return best(study, study.quantity("fvd"), study.groups[0])


def test_the_p_value_is_that_of_tosses_of_a_fair_coin() -> None:
    for n in (3, 6, 9):
        for heads in range(n + 1):
            assert sign_p(heads, n) == pytest.approx(stats.binomtest(heads, n, 0.5, alternative="greater").pvalue)
    effect = paired_effect(_by_seed([1, 2, 3, 4, 5, 9]), _by_seed([2, 3, 4, 5, 6, 8]))
    assert effect.p_below() == pytest.approx(7 / 64)  # five of six or more
    assert effect.p == pytest.approx(14 / 64)


def test_the_test_does_not_depend_on_the_scale() -> None:
    values, reference = _by_seed([11, 40, 300, 8, 70, 90]), _by_seed([10, 30, 290, 9, 60, 80])
    assert paired_effect(values, reference, **RATIO).p == paired_effect(values, reference, **DIFFERENCE).p


def test_an_effect_is_the_median_on_the_quantitys_scale() -> None:
    effect = paired_effect(_by_seed([20, 11, 60]), _by_seed([10, 10, 20]), **RATIO)
    assert (effect.difference.median, effect.relative.median) == (10, 1.0)
    signed = paired_effect(_by_seed([-1.0, 0.0, 2.0]), _by_seed([-2.0, 0.5, 1.5]), **DIFFERENCE)
    assert (signed.relative, signed.on_scale.median) == (None, 0.5)


def test_a_reference_of_0_has_a_direction_and_no_ratio() -> None:
    effect = paired_effect(_by_seed([1, 2, 3, 4, 5, 6]), _by_seed([0] * 6), **RATIO)
    assert effect.p == pytest.approx(2 / 64)
    assert np.isinf(effect.relative.median)
    assert paired_effect(_by_seed([0, 0, 0]), _by_seed([0, 0, 0]), **RATIO).relative.median == 0


def test_the_interval_covers_the_median_and_needs_six_seeds() -> None:
    assert OverSeeds((1.0, 2.0, 3.0, 4.0, 5.0)).interval is None
    assert OverSeeds((6.0, 1.0, 2.0, 3.0, 4.0, 5.0)).interval == (1.0, 6.0)
    assert OverSeeds(tuple(map(float, range(10)))).interval == (1.0, 8.0)  # 97.9 %; the third to the eighth would be 89.1 %
    rng = np.random.default_rng(0)
    draws = rng.exponential(size=(2000, 10))
    covered = np.mean([low <= np.log(2) <= high for low, high in (OverSeeds(tuple(row)).interval for row in draws)])
    assert covered == pytest.approx(1 - 22 / 1024, abs=0.01)


def test_pairs_are_joined_on_the_seed() -> None:
    effect = paired_effect({3: 13.0, 1: 11.0, 2: 12.0, 9: 99.0}, {1: 1.0, 2: 2.0, 3: 3.0, 4: -50.0})
    assert (effect.difference.median, effect.n) == (10.0, 3)
    assert paired_effect({1: 1.0}, {2: 1.0}) is None


def test_fewer_than_three_pairs_claim_nothing() -> None:
    effect = paired_effect({0: 1.0, 1: 1.0}, {0: 9.0, 1: 9.0}, counted=True)
    assert (effect.difference.interval, effect.p, effect.p_below()) == (None, None, 1.0)
    assert not corrected({"a": effect})["a"].significant


def test_what_was_counted_needs_no_test() -> None:
    counted = paired_effect(_by_seed([5, 5, 5]), _by_seed([6, 6, 6]), counted=True)
    assert (counted.p, counted.p_below(), counted.p_above()) == (0.0, 0.0, 1.0)
    assert paired_effect(_by_seed([5, 5, 5]), _by_seed([5, 5, 5]), counted=True).p == 1.0
    assert paired_effect(_by_seed([5, 5, 5]), _by_seed([6, 6, 7]), counted=True).p == pytest.approx(0.25)
    assert paired_effect(_by_seed([5, 5, 5]), _by_seed([6, 6, 6])).p == pytest.approx(0.25)  # a score may agree by chance


def test_seeds_without_the_number_speak_for_no_side() -> None:
    over = seed_by_seed([_by_seed([1, 2, 3, 4, 5, 6])], lambda table: np.where(table[:, 0] > 1, table[:, 0], np.nan))
    assert (over.n, over.defined, over.median) == (6, 5, 4.0)
    assert over.p_above(0) == pytest.approx(7 / 64)
    assert over.interval is None  # the lowest of six may be anything
    assert seed_by_seed([_by_seed([1, 2])], lambda table: table[:, 0]) is None


def test_holm_adjustment() -> None:
    assert holm([0.01, None, 0.04, 0.03]) == pytest.approx([0.03, None, 0.06, 0.06])
    assert holm([0.5, 0.9]) == [1.0, 1.0]


def test_seeds_that_can_decide() -> None:
    assert [fewest_seeds(tests) for tests in (1, 2, 3)] == [6, 7, 7]
    assert [fewest_seeds(tests, sides=1) for tests in (1, 2, 3)] == [5, 6, 6]


def test_seeds_needed_for_the_seen_share() -> None:
    needed = seeds_needed(5, 6)
    chance = 5.5 / 7

    def power(n: int) -> float:
        enough = next(k for k in range(n + 1) if 2 * stats.binom.sf(k - 1, n, 0.5) < 0.05)
        return float(stats.binom.sf(enough - 1, n, chance))

    assert power(needed) >= 0.8
    assert all(power(n) < 0.8 for n in range(6, needed))
    assert seeds_needed(5, 6, tests=3) > needed > seeds_needed(5, 6, sides=1)
    assert seeds_needed(3, 6) is None


SHAPES = {
    "normal": lambda rng, n: rng.normal(size=n),
    "exponential": lambda rng, n: rng.exponential(size=n),
    "lognormal": lambda rng, n: rng.lognormal(size=n),
    "two modes": lambda rng, n: np.where(rng.random(n) < 0.3, 3.0, 0.0) + rng.normal(size=n) * 0.3,
    "collapses": lambda rng, n: np.where(rng.random(n) < 0.1, 20.0, 0.0) + rng.normal(size=n),
}


@pytest.mark.parametrize("seeds", [3, 5, 8, 16])
@pytest.mark.parametrize("shape", SHAPES)
def test_variants_of_any_two_shapes_are_called_different_in_at_most_one_of_twenty_runs(shape, seeds) -> None:
    """One side of this shape, one normal, shifted so that each is as likely to be the lower; the t test fails this."""
    rng = np.random.default_rng(0)
    draw = SHAPES[shape]
    shift = float(np.median(draw(rng, 400_000) - rng.normal(size=400_000)))
    claimed = sum(
        corrected({"a": paired_effect(_by_seed(draw(rng, seeds) - shift), _by_seed(rng.normal(size=seeds)), ratio=False)})[
            "a"
        ].significant
        for _ in range(1000)
    )
    assert claimed <= 63  # 50, and two standard deviations of a fair test


def test_no_variant_among_six_equal_ones_is_called_best_too_often() -> None:
    rng = np.random.default_rng(1)
    won = sum(_best(**{name: rng.normal(300, 10, 6) for name in "abcdef"}) is not None for _ in range(60))
    assert won <= 6


def test_a_clear_winner_is_found_and_its_direction_respected() -> None:
    low, high = [10, 11, 12, 10.5, 11.5, 12.5], [20, 21.1, 22, 20.5, 21.5, 22.5]
    assert _best(a=low, b=high) == "a"
    assert _best(a=low[:5], b=high[:5]) is None  # 2 / 2^5 is no 0.05
    assert _best(a=[1, 1], b=[9, 9]) is None
    assert _best(a=low, b=high, c=[11, 12, 11, 12, 11, 13]) is None  # better than one, not than each
    study = distances(a=low, b=high)
    assert best(study, study.quantity("parameters"), study.groups[0]) is None


def test_a_run_that_collapsed_must_not_make_the_difference() -> None:
    """Six of six seeds say so only if the seed whose training went astray is counted."""
    study = distances(a=[10, 11, 12, 13, 14, 15], b=[20, 21, 22, 23, 24, 25])
    assert best(study, study.quantity("fvd"), study.groups[0]) == "a"
    records = [cell.record for cell in study.cells]
    astray = [
        record.model_copy(update={"training": record.training.model_copy(update={"final_loss": 5.0})})
        if (record.variant, record.seed) == ("b", 3)
        else record
        for record in records
    ]
    study = Study.of(astray)
    effect = compare(study, study.quantity("fvd"), study.groups[0], "a", "b")
    assert [values.n for values in effect.tested] == [6, 5]
    assert effect.p == pytest.approx(2 / 32)
    assert best(study, study.quantity("fvd"), study.groups[0]) is None
    memory = compare(study, study.quantity("peak_train_memory"), study.groups[0], "a", "b")
    assert len(memory.tested) == 1  # memory does not come from what was learned


def test_a_run_that_ended_in_nan_is_worse_than_any_number() -> None:
    study = distances(a=[10, 11, 12, 13, 14, 15], b=[20, 21, 22, 23, 24, 25])
    records = [
        record.model_copy(update={"status": "nan", "metrics": {}}) if (record.variant, record.seed) == ("b", 3) else record
        for record in (cell.record for cell in study.cells)
    ]
    study = Study.of(records)
    effect = compare(study, study.quantity("fvd"), study.groups[0], "a", "b")
    assert (effect.n, [values.below(0) for values in effect.tested]) == (5, [6, 5])


def test_aggregate_names_failures_and_pairs(study) -> None:
    table = aggregate(study).set_index(["frames", "label", "quantity"])
    lost = table.loc[(32, "attention", "fvd")]
    assert np.isnan(lost["mean"])
    assert (lost["n"], lost["failed"], lost["failures"]) == (0, 3, "oom ×3")
    partial = table.loc[(32, "s4d", "fvd")]
    assert (partial["n"], partial["failed"], partial["failures"]) == (2, 1, "nan ×1")
    paired = table.loc[(16, "bi-mamba", "fvd")]
    assert paired["pairs"] == 3
    assert np.isnan(paired["low"])
    assert paired["relative"] == pytest.approx(paired["difference"] / 300, abs=0.02)
    with pytest.raises(NotComparable, match="reference 'atention' is no variant"):
        Study.of(study.cells, reference="atention")


def test_aggregate_gives_intervals_from_six_seeds_on() -> None:
    values = {"a": [10, 11, 12, 13, 14, 15], "b": [20, 21, 22, 23, 24, 30]}
    study = distances(**values)
    row = aggregate(Study.of(study.cells, reference="b")).set_index(["label", "quantity"]).loc[("a", "fvd")]
    assert (row["difference"], row["low"], row["high"]) == (-10, -15, -10)
    assert (row["relative_low"], row["relative_high"]) == pytest.approx((-0.5, -10 / 24))
    assert row["p_holm"] == pytest.approx(2 / 64)


@pytest.mark.parametrize("scale", [RATIO, DIFFERENCE], ids=["ratio", "difference"])
def test_a_lost_run_decides_its_pair_and_two_lost_runs_decide_nothing(scale) -> None:
    """The share of an infinite base is no NaN, which would speak for no side, and both lost is no tie at 0."""
    lost, numbers = np.inf, [2, 2, 2, 2, 2]
    tested = paired_effect(_by_seed([1, *numbers]), _by_seed([lost, *numbers]), **scale).tested[0]
    assert tested.values[0] == -np.inf
    tested = paired_effect(_by_seed([lost, *numbers]), _by_seed([1, *numbers]), **scale).tested[0]
    assert tested.values[0] == np.inf
    both = paired_effect(_by_seed([lost, 1, 1, 1]), _by_seed([lost, 2, 2, 2]), **scale)
    tested = both.tested[0]
    assert np.isnan(tested.values[0])
    assert (both.n, tested.n, tested.defined, tested.below(0), tested.above(0)) == (3, 4, 3, 3, 0)
    assert both.p_below() == pytest.approx(5 / 16)  # three of four or more
