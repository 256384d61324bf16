from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from vdmbench.report.aggregation import aggregate, best
from vdmbench.report.statistics import bootstrap, corrected, holm, paired_effect, seeds_needed
from vdmbench.report.study import NotComparable, Outcome, Study


def _by_seed(values) -> dict[int, float]:
    return dict(enumerate(map(float, values)))


def test_the_interval_of_a_mean_is_students() -> None:
    rng = np.random.default_rng(0)
    for n in (3, 5, 12):
        reference, values = rng.normal(size=n), rng.normal(1, 1, size=n)
        effect = paired_effect(_by_seed(values), _by_seed(reference))
        expected = stats.ttest_rel(values, reference)
        low, high = expected.confidence_interval(0.95)
        assert effect.p == pytest.approx(expected.pvalue)
        assert (effect.low, effect.high) == pytest.approx((low, high))
        resampled = bootstrap([_by_seed(values), _by_seed(reference)], lambda means: means[:, 0] - means[:, 1])
        assert resampled[1:3] == pytest.approx(
            (low, high), rel=1e-9 if n < 6 else 0.06
        )  # all resamples of few seeds are listed


def test_pairs_are_joined_on_the_seed() -> None:
    effect = paired_effect({3: 13.0, 1: 11.0, 2: 12.0, 9: 99.0}, {1: 1.0, 2: 2.0, 3: 3.0, 4: -50.0})
    assert (effect.difference, effect.n, effect.low, effect.high) == (10.0, 3, 10.0, 10.0)
    assert paired_effect({1: 1.0}, {2: 1.0}) is None


def test_fewer_than_three_pairs_claim_nothing() -> None:
    effect = paired_effect({0: 1.0, 1: 1.0}, {0: 9.0, 1: 9.0})
    assert (effect.low, effect.high, effect.p) == (None, None, None)
    assert not corrected({"a": effect})["a"].significant


def test_holm_adjustment() -> None:
    assert holm([0.01, None, 0.04, 0.03]) == pytest.approx([0.03, None, 0.06, 0.06])
    assert holm([0.5, 0.9]) == [1.0, 1.0]


@pytest.mark.parametrize("seeds", [3, 5])
@pytest.mark.parametrize("noise", ["normal", "heavy", "skewed"])
def test_equal_variants_are_called_different_in_at_most_one_of_twenty_runs(seeds, noise) -> None:
    """A/A: the same variant under two names, a thousand times over."""
    rng = np.random.default_rng(0)
    draw = {
        "normal": lambda: rng.normal(size=seeds),
        "heavy": lambda: rng.standard_t(3, size=seeds),
        "skewed": lambda: rng.lognormal(0, 0.5, size=seeds),
    }[noise]
    claimed = sum(
        corrected({"a": paired_effect(_by_seed(300 + draw()), _by_seed(300 + draw()))})["a"].significant for _ in range(1000)
    )
    assert claimed <= 63  # 50, and two standard deviations of a fair test


def test_no_variant_among_six_equal_ones_is_called_best_too_often(study) -> None:
    rng = np.random.default_rng(1)
    quantity = study.quantity("fvd")
    won = sum(
        best(quantity, {name: Outcome(_by_seed(rng.normal(300, 10, 3))) for name in "abcdef"}) is not None for _ in range(500)
    )
    assert won <= 25


def test_a_clear_winner_is_found_and_its_direction_respected(study) -> None:
    outcomes = {"a": Outcome(_by_seed([10, 11, 12])), "b": Outcome(_by_seed([20, 21.1, 22])), "c": Outcome({}, {0: "oom"})}
    assert best(study.quantity("fvd"), outcomes) == "a"
    assert best(study.quantity("train_throughput"), outcomes) == "b"
    assert best(study.quantity("parameters"), outcomes) is None
    assert best(study.quantity("fvd"), {"a": Outcome({0: 1.0, 1: 1.0}), "b": Outcome({0: 9.0, 1: 9.0})}) is None


def test_bootstrap_of_a_ratio_covers_it() -> None:
    rng = np.random.default_rng(0)
    covered = 0
    for _ in range(300):
        seed_effect = rng.normal(0, 5, size=5)
        samples = [_by_seed(100 + seed_effect + rng.normal(0, 1, 5)), _by_seed(200 + seed_effect + rng.normal(0, 1, 5))]
        _, low, high, _, n = bootstrap(samples, lambda means: means[:, 0] / means[:, 1])
        assert n == 5
        covered += low <= 0.5 <= high
    assert covered >= 270


def test_seeds_needed_for_the_seen_effect() -> None:
    weak = paired_effect(_by_seed([1.0, -0.6, 0.9, -0.2]), _by_seed([0.0] * 4))
    size = np.mean([1.0, -0.6, 0.9, -0.2]) / np.std([1.0, -0.6, 0.9, -0.2], ddof=1)
    needed = seeds_needed(weak)
    power = [1 - stats.nct.cdf(stats.t.ppf(0.975, n - 1), n - 1, size * np.sqrt(n)) for n in (needed - 1, needed)]
    assert power[0] < 0.8 <= power[1]
    assert seeds_needed(paired_effect(_by_seed([1, 1, 1]), _by_seed([0, 0, 0]))) is None


def test_aggregate_names_failures_and_pairs(study) -> None:
    table = aggregate(study).set_index(["frames", "label", "quantity"])
    lost = table.loc[(32, "attention", "fvd")]
    assert np.isnan(lost["mean"])
    assert (lost["n"], lost["failed"], lost["failures"]) == (0, 3, "oom ×3")
    partial = table.loc[(32, "s4d", "fvd")]
    assert (partial["n"], partial["failed"], partial["failures"]) == (2, 1, "nan ×1")
    paired = table.loc[(16, "bi-mamba", "fvd")]
    assert paired["pairs"] == 3
    assert paired["low"] < paired["difference"] < paired["high"]
    with pytest.raises(NotComparable, match="reference 'atention' is no variant"):
        Study.of(study.cells, reference="atention")
