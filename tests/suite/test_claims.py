from __future__ import annotations

import pytest
from pydantic import ValidationError

from tests.suite.texts import MINIMAL
from vdmbench.suite import SuiteError, expand, parse_suite
from vdmbench.suite.claims import Amount, Claim, InvalidClaim, Term, check_claim, parse_claim

VARIANTS, METRICS = ["attention", "bi-mamba", "3d-attention"], ["fvd", "ste-fd"]


def test_two_variants() -> None:
    claim = parse_claim("fvd[bi-mamba] < fvd[attention]")
    assert (claim.left, claim.relation, claim.right) == (Term("fvd", "bi-mamba"), "<", Term("fvd", "attention"))
    assert claim.quantities == ["fvd"]


def test_factors_conditions_and_coordinates() -> None:
    claim = parse_claim("peak_train_memory[bi-mamba] < 0.8*peak_train_memory[attention, backend=sdpa] when ste-fd within 5%")
    assert claim.right == Term("peak_train_memory", "attention", (("backend", "sdpa"),), 0.8)
    assert claim.right.label == "attention [backend=sdpa]"
    assert claim.alike == ("ste-fd", 0.05)
    assert parse_claim("step_time[bi-mamba] > step_time[attention] at equal fvd").equal == "fvd"
    assert parse_claim("fvd[3d-attention] = fvd[attention] within 2.5%").tolerance == 0.025
    assert parse_claim("psnr[a] = psnr[b] within 0.5 dB when ssim within 0.02").tolerance == Amount(0.5, "decibels", "0.5 dB")


@pytest.mark.parametrize(
    ("text", "value"),
    [("8 GiB", 8 * 2**30), ("8GiB", 8 * 2**30), ("512 MiB", 2**29), ("20 ms", 0.02), ("14.1M", 14.1e6), ("1e3", 1000)],
)
def test_amounts_have_units(text, value) -> None:
    amount = parse_claim(f"peak_train_memory[bi-mamba] < {text}").right
    assert isinstance(amount, Amount)
    assert amount.value == pytest.approx(value)


@pytest.mark.parametrize(
    ("says", "problem"),
    [
        ("", "expected a quantity of a variant"),
        ("fvd", r"expected '\[' and a variant after 'fvd', got the end"),
        ("fvd[a", "expected '\\]', got the end"),
        ("fvd[a] <= fvd[b]", "expected a quantity of a variant, such as fvd\\[attention\\], or an amount, got '='"),
        ("fvd[a] is fvd[b]", "expected '<', '>' or '=', got 'is'"),
        ("3 < fvd[a]", "left side must be a quantity"),
        ("fvd[a] = fvd[b]", "'=' needs a tolerance"),
        ("fvd[a] < fvd[b] within 5%", "take none"),
        ("fvd[a] < fvd[b] when fvd", "expected 'within', got the end"),
        ("fvd[a] < fvd[b] when fvd within close", "expected a percentage or an amount, such as 5% or 0.5 dB, got 'close'"),
        ("fvd[a] < fvd[b] at fvd", "expected 'equal'"),
        ("fvd[a] < fvd[b] always", "nothing may follow before 'always'"),
        ("fvd[a] < 5 at equal fvd", "right side is an amount"),
        ("__import__('os').system('x') < 1", "cannot read from"),
        ("fvd[a] < fvd[b]; 1", "cannot read from ';"),
    ],
)
def test_what_is_no_claim_is_told_where(says, problem) -> None:
    with pytest.raises(InvalidClaim, match=problem):
        parse_claim(says)
    with pytest.raises(ValidationError, match=problem):
        Claim(says=says)


@pytest.mark.parametrize(
    ("says", "problem"),
    [
        ("fvd[bi-manba] < fvd[attention]", "unknown variant 'bi-manba', did you mean 'bi-mamba'"),
        ("fvdd[bi-mamba] < fvd[attention]", "unknown quantity 'fvdd', did you mean 'fvd'"),
        ("peak_memory[bi-mamba] < 1 GiB", "unknown quantity 'peak_memory', did you mean 'peak_"),
        ("fvd[bi-mamba] < fvd[attention] at equal memroy", "unknown quantity 'memroy'"),
        ("peak_train_memory[bi-mamba] < 3 s", "cannot be compared with 3 s; units there: B, KiB"),
        ("fvd[bi-mamba] < 3 GiB", "units there: no unit"),
        ("fvd[bi-mamba] = fvd[attention] within 3 dB", "cannot be compared with 3 dB; units there: no unit"),
        ("fvd[bi-mamba] < fvd[attention] when psnr within 3 s", "psnr cannot be compared with 3 s; units there: dB"),
    ],
)
def test_names_and_units_are_checked(says, problem) -> None:
    with pytest.raises(InvalidClaim, match=problem):
        check_claim(parse_claim(says), VARIANTS, METRICS)


def test_a_good_claim_passes() -> None:
    for says in (
        "fvd[bi-mamba] < 300",
        "parameters[bi-mamba] < 14.1M",
        "parameters[bi-mamba] < 14100000",
        "step_time[bi-mamba] < 20 ms",
    ):
        check_claim(parse_claim(says), VARIANTS, METRICS)


def test_claims_are_no_part_of_a_cells_identity() -> None:
    claim = 'claims: [{says: "ste-fd[bi] < ste-fd[uni]"%s}]\n'
    plain, two, one = (
        [cell.identity for cell in expand(*parse_suite(MINIMAL + text))] for text in ("", claim % "", claim % ", sided: one")
    )
    assert plain == two == one
    with pytest.raises(SuiteError, match="sided"):
        parse_suite(MINIMAL + claim % ", sided: both")


@pytest.mark.parametrize("path", ["match.budget", "network.base_channels"])
def test_curves_of_one_size_are_refused_with_the_remedy(path: str) -> None:
    values = ["8MiB", "16MiB"] if path == "match.budget" else [8, 16]
    text = MINIMAL + "match: {quantity: memory, budget: 8MiB, knob: base_channels, unreachable: record}\n"
    claim = 'claims: [{says: "ste-fd[uni] < ste-fd[bi] at equal planned_train_memory"}]\n'
    with pytest.raises(SuiteError) as refused:
        parse_suite(text + f"sweep: {{{path}: {values[:1]}}}\n" + claim, "s.yaml")
    assert refused.value.problems == [
        f"s.yaml:19: claims[0]: 'at equal planned_train_memory' compares curves over sizes, and {path} has one value: sweep "
        "three or more, or leave 'at equal' out"
    ]
    parse_suite(text + f"sweep: {{{path}: {values}}}\n" + claim, "s.yaml")
