from __future__ import annotations

import numpy as np
import pytest

from tests.report.synthetic import make_record, make_records
from vdmbench.records import MetricResult
from vdmbench.report import Study
from vdmbench.report.claims import Verdict, claims_table, judge_claims
from vdmbench.report.quantities import BUILT_IN
from vdmbench.report.render import markdown
from vdmbench.suite.claims import QUANTITIES, Claim

FULL = Study.of(make_records(), reference="attention")


def _judge(says: str, study: Study = FULL, **options):
    return judge_claims(study, [Claim(says=says, **options)])[0]


def _study(values: dict[str, list[float]]) -> Study:
    """Variants with these distances by seed, all else equal."""
    return Study.of(
        [
            make_record(
                variant,
                seed=seed,
                identity=f"{variant}{seed}",
                metrics={"fvd": MetricResult(name="FVD", value=value, n_real=2048, n_generated=2048)},
            )
            for variant, series in values.items()
            for seed, value in enumerate(series)
        ]
    )


def test_the_grammar_knows_every_quantity_of_the_report() -> None:
    assert set(QUANTITIES) == {quantity.name for quantity in BUILT_IN}
    dimension = {"bytes": "bytes", "s": "seconds", "s/clip": "seconds", "dB": "decibels", "": "plain"}
    assert {quantity.name: dimension.get(quantity.unit, "count") for quantity in BUILT_IN} == QUANTITIES


def test_supported_refuted_and_undecided() -> None:
    study = _study({"good": [10, 11, 12, 10.5], "bad": [20, 21.5, 22, 20], "alike": [10.4, 10.8, 12.3, 10.2]})
    assert _judge("fvd[good] < fvd[bad]", study).verdict == Verdict.SUPPORTED
    assert _judge("fvd[good] > fvd[bad]", study).verdict == Verdict.REFUTED
    weak = _judge("fvd[good] < fvd[alike]", study)
    assert weak.verdict == Verdict.UNDECIDED
    assert "seeds would show" in weak.findings[0].reason or "no number of seeds" in weak.findings[0].reason
    assert _judge("fvd[good] = fvd[alike] within 10%", study).verdict == Verdict.SUPPORTED
    assert _judge("fvd[good] = fvd[bad] within 10%", study).verdict == Verdict.REFUTED
    assert _judge("fvd[good] < 0.6 * fvd[bad]", study).verdict == Verdict.SUPPORTED
    assert _judge("fvd[good] < 0.4 * fvd[bad]", study).verdict == Verdict.REFUTED
    assert _judge("fvd[good] < 15", study).verdict == Verdict.SUPPORTED


def test_under_three_seeds_nothing_is_decided() -> None:
    judged = _judge("fvd[good] < fvd[bad]", _study({"good": [1, 1], "bad": [9, 9]}))
    assert judged.verdict == Verdict.UNDECIDED
    assert "2 paired seeds; at least 3 are needed" in judged.findings[0].reason


def test_equal_to_the_last_digit_is_no_difference() -> None:
    study = _study({"a": [5, 6, 7], "b": [5, 6, 7]})
    assert _judge("fvd[a] < fvd[b]", study).verdict == Verdict.UNDECIDED
    assert _judge("fvd[a] = fvd[b] within 1%", study).verdict == Verdict.SUPPORTED


def test_every_point_must_support_and_one_may_refute() -> None:
    judged = _judge("peak_train_memory[bi-mamba] < 5 GiB")
    assert [finding.verdict for finding in judged.findings] == ["supported", "supported", "refuted", "refuted"]
    assert judged.verdict == Verdict.REFUTED
    assert _judge("peak_train_memory[bi-mamba] < 5 GiB", at={"frames": [16, 32]}).verdict == Verdict.SUPPORTED
    assert _judge("peak_train_memory[bi-mamba] < 5 GiB", at={"data.frames": 128}).verdict == Verdict.REFUTED


def test_out_of_memory_is_a_result() -> None:
    finding = _judge("peak_train_memory[bi-mamba] < peak_train_memory[attention]", at={"frames": 128}).findings[0]
    assert finding.verdict == Verdict.SUPPORTED
    assert "the right side ran out of memory in all 3 seeds" in finding.reason
    assert _judge("peak_train_memory[attention] < peak_train_memory[bi-mamba]", at={"frames": 128}).verdict == Verdict.REFUTED
    assert _judge("fvd[bi-mamba] < fvd[attention]", at={"frames": 128}).verdict == Verdict.UNDECIDED


def test_a_condition_leaves_out_points_and_names_them() -> None:
    judged = _judge("peak_train_memory[bi-mamba] < peak_train_memory[attention] when fvd within 5%")
    assert [finding.where for finding in judged.findings] == ["16 frames", "64 frames"]
    assert judged.unmet == ("32 frames", "128 frames")
    assert "not judged at 32 frames; 128 frames" in markdown(claims_table([judged]))
    never = _judge("peak_train_memory[bi-mamba] < peak_train_memory[identity] when fvd within 5%")
    assert (never.findings, never.verdict) == ((), Verdict.UNDECIDED)
    assert "nowhere within 5 %" in never.reason


def test_pooling_averages_over_points_seed_by_seed() -> None:
    pooled = _judge("fvd[bi-mamba] < fvd[attention]", at={"frames": [16, 32, 64]}, pool=["frames"])
    assert len(pooled.findings) == 1
    assert pooled.findings[0].n == 3
    single = [_judge("fvd[bi-mamba] < fvd[attention]", at={"frames": frames}).findings[0].relative for frames in (16, 32, 64)]
    assert min(single) < pooled.findings[0].relative < max(single)


def test_memory_at_equal_distance_along_the_widths() -> None:
    def width(variant: str, base: int, seed: int, memory: float):
        return make_record(
            "s4d",
            seed=seed,
            identity=f"{variant}{base}{seed}",
            point={"data.frames": 16, "network.base_channels": base},
            memory_factor=memory * base / 32,
            distance_factor=(32 / base) ** 0.5,
        ).model_copy(update={"variant": variant})

    def study(memory: float) -> Study:
        return Study.of(
            [
                width(variant, base, seed, factor)
                for variant, factor in (("lean", memory), ("fat", 1.0))
                for base in (16, 32, 64)
                for seed in range(4)
            ],
            reference="fat",
        )

    judged = _judge("peak_train_memory[lean] < peak_train_memory[fat] at equal fvd", study(0.7))
    assert judged.verdict == Verdict.SUPPORTED
    assert judged.findings[0].relative == pytest.approx(-0.3, abs=0.02)
    assert judged.findings[0].low <= -0.3 <= judged.findings[0].high
    assert _judge("peak_train_memory[lean] < peak_train_memory[fat] at equal fvd", study(1.3)).verdict == Verdict.REFUTED
    lone = _judge("peak_train_memory[bi-mamba] < peak_train_memory[attention] at equal fvd", at={"frames": 16})
    assert lone.verdict == Verdict.UNDECIDED
    assert "two or more on each side" in lone.findings[0].reason


def test_what_these_records_have_not_is_told() -> None:
    misnamed = _judge("fvd[bi-manba] < fvd[attention]")
    assert misnamed.verdict == Verdict.UNDECIDED
    assert "did you mean 'bi-mamba'" in misnamed.reason
    assert "'depth' is not swept; swept: frames" in _judge("fvd[bi-mamba] < fvd[attention]", at={"depth": 3}).reason
    assert _judge("fvd[bi-mamba] < fvd[attention]", at={"frames": 999}).reason == "no cells at {'frames': 999}"


def test_equal_variants_are_told_apart_in_at_most_one_of_twenty_suites() -> None:
    """A/A over a whole suite: three claims on six equal variants, three seeds, whatever way they point."""
    rng = np.random.default_rng(0)
    claims = [Claim(says=f"fvd[{left}] < fvd[{right}]") for left, right in ("ab", "cd", "ef")]
    wrong = sum(
        any(
            judgement.verdict != Verdict.UNDECIDED
            for judgement in judge_claims(_study({name: list(rng.normal(300, 12, 3)) for name in "abcdef"}), claims)
        )
        for _ in range(120)
    )
    assert wrong <= 12  # 6 expected at most, 12 is beyond two standard deviations
