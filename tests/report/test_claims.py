from __future__ import annotations

import numpy as np
import pytest
from pydantic import ValidationError

from tests.report.synthetic import make_record, make_records
from vdmbench.records import MetricResult
from vdmbench.report import Study
from vdmbench.report.claims import Verdict, judge_claims, too_few_seeds
from vdmbench.report.claims_table import claims_table
from vdmbench.report.quantities import BUILT_IN
from vdmbench.report.render import markdown
from vdmbench.suite import load_suite
from vdmbench.suite.claims import QUANTITIES, Claim
from vdmbench.suite.shipped import shipped_suites

THREE = Study.of(make_records(), reference="attention")
FULL = Study.of(make_records(seeds=tuple(range(6))), reference="attention")


def _judge(says: str, study: Study = FULL, **options):
    return judge_claims(study, [Claim(says=says, **options)])[0]


def _study(values: dict[str, list[float]], *, lower: bool = True) -> Study:
    """Variants with these distances by seed, all else equal."""
    return Study.of(
        [
            make_record(
                variant,
                seed=seed,
                identity=f"{variant}{seed}",
                metrics={"fvd": MetricResult(name="FVD", value=value, n_real=2048, n_generated=2048, lower_is_better=lower)},
            )
            for variant, series in values.items()
            for seed, value in enumerate(series)
        ]
    )


def test_the_grammar_knows_every_quantity_of_the_report() -> None:
    assert set(QUANTITIES) == {quantity.name for quantity in BUILT_IN}
    dimension = {"bytes": "bytes", "s": "seconds", "s/clip": "seconds", "dB": "decibels", "": "plain"}
    assert {quantity.name: dimension.get(quantity.unit, "count") for quantity in BUILT_IN} == QUANTITIES


GOOD, BAD = [10, 11, 12, 10.5, 11.5, 12.5], [20, 21.5, 22, 20, 21, 22.5]
ALIKE = [10.4, 10.8, 12.3, 10.2, 11.6, 12.4]


def test_supported_refuted_and_undecided() -> None:
    study = _study({"good": GOOD, "bad": BAD, "alike": ALIKE})
    assert _judge("fvd[good] < fvd[bad]", study).verdict == Verdict.SUPPORTED
    assert _judge("fvd[good] > fvd[bad]", study).verdict == Verdict.REFUTED
    assert _judge("fvd[good] < fvd[alike]", study).verdict == Verdict.UNDECIDED
    assert _judge("fvd[good] = fvd[alike] within 10%", study).verdict == Verdict.SUPPORTED
    assert _judge("fvd[good] = fvd[bad] within 10%", study).verdict == Verdict.REFUTED
    assert _judge("fvd[good] < 0.65 * fvd[bad]", study).verdict == Verdict.SUPPORTED
    assert _judge("fvd[good] < 0.4 * fvd[bad]", study).verdict == Verdict.REFUTED
    assert _judge("fvd[good] < 15", study).verdict == Verdict.SUPPORTED


def test_what_a_finding_rests_on_or_wants_is_always_said() -> None:
    study = _study({"good": GOOD, "bad": BAD, "alike": ALIKE})
    sure, weak = (_judge(f"fvd[good] < fvd[{other}]", study).findings[0] for other in ("bad", "alike"))
    assert (sure.reason, sure.held, sure.n) == ("holds in 6 of 6 seeds", ((6, 6),), 6)
    assert weak.reason == "holds in 3 of 6 seeds; no number of seeds in reach would decide it"
    few = _judge("fvd[good] < fvd[bad]", _study({"good": GOOD[:3], "bad": BAD[:3]})).findings[0]
    assert few.reason == "holds in 3 of 3 seeds; cannot decide: 3 paired seeds; at least 6 are needed"
    five_of_six = _judge("fvd[good] < fvd[most]", _study({"good": GOOD, "most": [*BAD[:5], 1]})).findings[0]
    assert "holds in 5 of 6 seeds; about 25 seeds would show it" in five_of_six.reason
    three = judge_claims(study, [Claim(says=f"fvd[{left}] < fvd[{right}]") for left, right in (("good", "bad"),) * 3])
    assert {judged.verdict for judged in three} == {Verdict.UNDECIDED}  # 3 * 2 / 2^6
    assert "at least 7 are needed over 3 claims" in three[0].findings[0].reason


def test_under_three_seeds_nothing_is_decided() -> None:
    judged = _judge("fvd[good] < fvd[bad]", _study({"good": [1, 1], "bad": [9, 9]}))
    assert judged.verdict == Verdict.UNDECIDED
    assert "2 paired seeds; at least 6 are needed" in judged.findings[0].reason
    counted = _judge("parameters[good] < 1", _study({"good": [1, 1]}))
    assert counted.verdict == Verdict.UNDECIDED


def test_a_one_sided_claim_is_decided_by_five_seeds_and_never_refuted() -> None:
    study = _study({"good": GOOD[:5], "bad": BAD[:5]})
    assert _judge("fvd[good] < fvd[bad]", study).verdict == Verdict.UNDECIDED
    assert _judge("fvd[good] < fvd[bad]", study, sided="one").verdict == Verdict.SUPPORTED
    wrong = _judge("fvd[good] > fvd[bad]", study, sided="one")
    assert wrong.verdict == Verdict.UNDECIDED
    assert "never refuted" in wrong.findings[0].reason
    assert "One-sided, as declared" in markdown(claims_table([wrong]))
    with pytest.raises(ValidationError):
        Claim(says="fvd[good] < fvd[bad]", sided="both")


def test_equal_to_the_last_digit_is_no_difference() -> None:
    same = [5, 6, 7, 8, 9, 10]
    study = _study({"a": same, "b": same})
    assert _judge("fvd[a] < fvd[b]", study).verdict == Verdict.UNDECIDED
    assert _judge("fvd[a] = fvd[b] within 1%", study).verdict == Verdict.SUPPORTED


def test_closeness_is_on_the_quantitys_scale() -> None:
    """A factor of 1.1 either way, whichever side is named first; of what may be 0 or negative an amount."""
    base = [10.0, 11, 12, 13, 14, 15]
    study = _study({"a": base, "b": [1.099 * value for value in base], "c": [1.101 * value for value in base]})
    for left, right in (("a", "b"), ("b", "a")):
        assert _judge(f"fvd[{left}] = fvd[{right}] within 10%", study).verdict == Verdict.SUPPORTED
    for left, right in (("a", "c"), ("c", "a")):
        assert _judge(f"fvd[{left}] = fvd[{right}] within 10%", study).verdict == Verdict.REFUTED
    signed = _study({"a": [-0.1, 0.0, 0.1, 0.0, -0.1, 0.1], "b": [0.1, -0.1, 0.0, 0.1, 0.0, 0.0], "c": [1.0] * 6}, lower=False)
    assert _judge("fvd[a] = fvd[b] within 0.3", signed).verdict == Verdict.SUPPORTED
    assert _judge("fvd[a] = fvd[c] within 0.3", signed).verdict == Verdict.REFUTED
    assert _judge("fvd[a] < fvd[c]", signed).findings[0].effect == pytest.approx(-1.0)


def test_every_point_must_support_and_one_may_refute() -> None:
    judged = _judge("peak_train_memory[bi-mamba] < 5 GiB", at={"frames": [16, 32]})
    assert judged.verdict == Verdict.SUPPORTED
    assert _judge("peak_train_memory[bi-mamba] < 5 GiB", at={"data.frames": 128}).verdict == Verdict.REFUTED
    seven = Study.of(make_records(seeds=tuple(range(8))), reference="attention")
    judged = _judge("peak_train_memory[bi-mamba] < 5 GiB", seven)
    assert [finding.verdict for finding in judged.findings] == ["supported", "supported", "refuted", "refuted"]
    assert judged.verdict == Verdict.REFUTED


def test_a_claim_over_points_is_one_test_whose_p_is_the_largest() -> None:
    """Six seeds at four points: a correction over points would want 2 * 4 / 2^6; a refutation at one of them does want it."""
    judged = _judge("peak_train_memory[bi-mamba] < 20 GiB")
    assert (judged.p, len(judged.findings)) == (pytest.approx(2 / 64), 4)
    assert judged.verdict == Verdict.SUPPORTED
    refuted = _judge("peak_train_memory[bi-mamba] > 20 GiB")
    assert refuted.p == pytest.approx(4 * 2 / 64)
    assert refuted.verdict == Verdict.UNDECIDED


def test_no_point_says_more_than_its_claim_could() -> None:
    """Attention ran out of memory at 128 frames, so that the claim has no answer there; its other points are one claim of
    three."""
    says = "fvd[bi-mamba] < fvd[identity]", "fvd[uni-mamba] < fvd[identity]", "fvd[attention] < fvd[identity]"
    judged = judge_claims(FULL, [Claim(says=text) for text in says])[2]
    assert judged.verdict == Verdict.UNDECIDED
    assert [finding.p for finding in judged.findings] == [pytest.approx(3 * 2 / 64)] * 3 + [None]
    assert {finding.verdict for finding in judged.findings} == {Verdict.UNDECIDED}


def test_a_collapsed_run_is_named_and_must_not_make_the_verdict() -> None:
    study = _study({"good": GOOD, "bad": BAD})
    records = [cell.record for cell in study.cells]
    lost = [
        record.model_copy(update={"training": record.training.model_copy(update={"final_loss": 9.0})})
        if (record.variant, record.seed) == ("bad", 1)
        else record
        for record in records
    ]
    finding = _judge("fvd[good] < fvd[bad]", Study.of(lost)).findings[0]
    assert finding.verdict == Verdict.UNDECIDED  # five without it
    assert finding.reason.startswith("holds in 6 of 6 seeds, 5 of 5 without what collapsed; cannot decide: 5 paired seeds")
    assert finding.reason.endswith("; collapsed: bad seed 1")
    dead = [
        record.model_copy(update={"status": "nan", "metrics": {}}) if (record.variant, record.seed) == ("good", 1) else record
        for record in records
    ]
    finding = _judge("fvd[good] < fvd[bad]", Study.of(dead)).findings[0]
    assert (finding.verdict, finding.n) == (Verdict.UNDECIDED, 5)
    assert finding.reason.startswith("holds in 5 of 6 seeds, 5 of 5 without what collapsed")


def test_out_of_memory_is_a_result() -> None:
    finding = _judge("peak_train_memory[bi-mamba] < peak_train_memory[attention]", THREE, at={"frames": 128}).findings[0]
    assert finding.verdict == Verdict.SUPPORTED
    assert "the right side ran out of memory in all 3 seeds" in finding.reason
    assert (
        _judge("peak_train_memory[attention] < peak_train_memory[bi-mamba]", THREE, at={"frames": 128}).verdict
        == Verdict.REFUTED
    )
    assert _judge("fvd[bi-mamba] < fvd[attention]", at={"frames": 128}).verdict == Verdict.UNDECIDED


def test_a_condition_must_be_shown_to_hold_and_the_points_where_it_is_not_are_named() -> None:
    near = _judge("peak_train_memory[bi-mamba] < peak_train_memory[attention] when fvd within 20%")
    assert [finding.where for finding in near.findings] == ["16 frames", "32 frames", "64 frames"]
    judged = _judge("peak_train_memory[bi-mamba] < peak_train_memory[attention] when fvd within 13%")
    assert [finding.where for finding in judged.findings] == ["16 frames", "64 frames"]
    assert judged.unmet == ("32 frames", "128 frames")
    assert "not judged at 32 frames; 128 frames" in markdown(claims_table([judged]))
    few = _judge("peak_train_memory[bi-mamba] < peak_train_memory[attention] when fvd within 20%", THREE)
    assert (few.findings, few.verdict) == ((), Verdict.UNDECIDED)  # three seeds show nothing
    assert "nowhere shown to be within 20 %" in few.reason


def test_pooling_averages_over_points_seed_by_seed() -> None:
    pooled = _judge("fvd[bi-mamba] < fvd[attention]", at={"frames": [16, 32, 64]}, pool=["frames"])
    assert len(pooled.findings) == 1
    assert pooled.findings[0].n == 6
    single = [_judge("fvd[bi-mamba] < fvd[attention]", at={"frames": frames}).findings[0].effect for frames in (16, 32, 64)]
    assert min(single) < pooled.findings[0].effect < max(single)


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

    def study(memory: float, seeds: int = 6) -> Study:
        return Study.of(
            [
                width(variant, base, seed, factor)
                for variant, factor in (("lean", memory), ("fat", 1.0))
                for base in (16, 32, 64)
                for seed in range(seeds)
            ],
            reference="fat",
        )

    judged = _judge("peak_train_memory[lean] < peak_train_memory[fat] at equal fvd", study(0.7))
    assert judged.verdict == Verdict.SUPPORTED
    assert judged.findings[0].effect == pytest.approx(-0.3, abs=0.02)
    assert judged.findings[0].low <= -0.3 <= judged.findings[0].high
    assert _judge("peak_train_memory[lean] < peak_train_memory[fat] at equal fvd", study(1.3)).verdict == Verdict.REFUTED
    few = _judge("peak_train_memory[lean] < peak_train_memory[fat] at equal fvd", study(0.7, seeds=2))
    assert few.findings[0].reason == "2 seeds have all widths; at least 3 are needed"
    four = _judge("peak_train_memory[lean] < peak_train_memory[fat] at equal fvd", study(0.7, seeds=4))
    assert "4 paired seeds; at least 6 are needed" in four.findings[0].reason
    lone = _judge("peak_train_memory[bi-mamba] < peak_train_memory[attention] at equal fvd", at={"frames": 16})
    assert lone.verdict == Verdict.UNDECIDED
    assert "two or more on each side" in lone.findings[0].reason


def test_what_these_records_have_not_is_told() -> None:
    misnamed = _judge("fvd[bi-manba] < fvd[attention]")
    assert misnamed.verdict == Verdict.UNDECIDED
    assert "did you mean 'bi-mamba'" in misnamed.reason
    assert "'depth' is not swept; swept: frames" in _judge("fvd[bi-mamba] < fvd[attention]", at={"depth": 3}).reason
    assert _judge("fvd[bi-mamba] < fvd[attention]", at={"frames": 999}).reason == "no cells at {'frames': 999}"


@pytest.mark.parametrize("shape", ["normal", "exponential", "collapses"])
def test_equal_variants_are_told_apart_in_at_most_one_of_twenty_suites(shape) -> None:
    """A/A over a whole suite: three claims on six variants, eight seeds, whatever way they point; left sides of this shape."""
    rng = np.random.default_rng(0)
    draw = {
        "normal": lambda n: rng.normal(size=n),
        "exponential": lambda n: rng.exponential(size=n),
        "collapses": lambda n: np.where(rng.random(n) < 0.1, 15.0, 0.0) + rng.normal(size=n),
    }[shape]
    shift = float(np.median(draw(200_000) - rng.normal(size=200_000)))
    claims = [Claim(says=f"fvd[{left}] < fvd[{right}]") for left, right in ("ab", "cd", "ef")]

    def values(name: str) -> list[float]:
        return list(300 + 12 * (draw(8) - shift if name in "ace" else rng.normal(size=8)))

    wrong = sum(
        any(
            judged.verdict != Verdict.UNDECIDED
            for judged in judge_claims(_study({name: values(name) for name in "abcdef"}), claims)
        )
        for _ in range(60)
    )
    assert wrong <= 7  # 3 expected at most, 7 is beyond two standard deviations


def test_claims_that_the_seeds_cannot_decide_are_named_before_anything_runs() -> None:
    two, one = Claim(says="fvd[a] < fvd[b]"), Claim(says="fvd[a] < fvd[b]", sided="one")
    assert too_few_seeds([], 1) is None
    assert too_few_seeds([two], 6) is None
    assert too_few_seeds([one, one], 6) is None
    assert too_few_seeds([two, two, one], 6) == (
        "claims: 6 seeds cannot decide 2 of 3 claims, for whatever is not counted: 7 are needed, 6 where claims are fixed now "
        "and declared 'sided: one'"
    )
    assert too_few_seeds([one], 1) == "claims: 1 seed cannot decide 1 of 1 claims, for whatever is not counted: 5 are needed"


ONE_SEED = {"tiny", "five_minutes"}
"""Show the instrument on a CPU, and say that they settle nothing."""


@pytest.mark.parametrize("name", sorted(set(shipped_suites()) - ONE_SEED))
def test_shipped_suites_have_the_seeds_that_their_claims_want(name) -> None:
    declared, _ = load_suite(shipped_suites()[name], [])
    assert too_few_seeds(declared.claims, len(declared.seeds)) is None
