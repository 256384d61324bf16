"""Every op and every mixer can be benched; names that are not known are answered with the closest."""

from __future__ import annotations

import pytest

from vdmbench import registry
from vdmbench.bench import InvalidWorkload, Workload, mixer_contest, op_contest, op_contests
from vdmbench.bench.contest import make_inputs
from vdmbench.bench.op_contests import CASES
from vdmbench.bench.tryout import try_out
from vdmbench.ops.backends import statuses


def test_every_op_with_backends_has_a_case() -> None:
    assert {status.op for status in statuses("cpu")} <= set(CASES)


@pytest.mark.parametrize("op", CASES)
def test_every_backend_that_can_run_agrees_with_the_reference(op: str) -> None:
    contest = op_contest(op)
    assert contest.contenders
    for contender in contest.contenders:
        found = try_out(contest, contender, Workload(11, 2, 64))
        assert found.status in {"ok", "unavailable"}, found
        assert found.reason or (found.relative_error is not None and found.used)


@pytest.mark.parametrize("op", CASES)
def test_inputs_are_the_same_at_every_call_and_flops_grow_with_frames(op: str) -> None:
    contest = op_contest(op)
    sizes = [Workload(frames, 2, 64) for frames in (4, 8)]
    assert all(one.equal(other) for one, other in zip(*(make_inputs(contest, sizes[0]) for _ in range(2)), strict=True))
    short, long = (contest.contenders[0].prepare(size).flops for size in sizes)
    assert 0 < short < long


def test_every_mixer_contends_and_agrees_with_its_own_width() -> None:
    contest = mixer_contest()
    assert [each.subject for each in contest.contenders] == [entry.name for entry in registry.mixers]
    for contender in contest.contenders:
        assert try_out(contest, contender, Workload(5, 2, 16)).status == "ok"


def test_a_mixer_is_named_with_options_and_has_its_own_backends() -> None:
    contest = mixer_contest(["mamba,direction=both", "identity"], ["reference", "auto"])
    assert [each.label for each in contest.contenders] == [
        "mamba,direction=both reference",
        "mamba,direction=both auto",
        "identity auto",
    ]
    found = try_out(contest, contest.contenders[0], Workload(5, 2, 16))
    assert "bidirectional_selective_scan=reference" in found.used


def test_unknown_names_are_answered_with_the_closest() -> None:
    with pytest.raises(InvalidWorkload, match="unknown op 'atention', did you mean 'attention'"):
        op_contests(["atention"])
    with pytest.raises(InvalidWorkload, match="unknown mixer 'mambo', did you mean 'mamba'"):
        mixer_contest(["mambo"])
    with pytest.raises(InvalidWorkload, match="no backend is called 'nuba', did you mean 'numba'"):
        op_contests(["selective_scan"], ["nuba"])
    with pytest.raises(InvalidWorkload, match="no backend is called 'nuba', did you mean 'numba'"):
        mixer_contest(["mamba"], ["nuba"])
    with pytest.raises(InvalidWorkload, match="mixer 'mamba,direction=sideways': direction: Input should be"):
        mixer_contest(["mamba,direction=sideways"])


def test_a_backend_of_one_op_passes_over_the_others() -> None:
    contests = op_contests(["sliding_attention", "selective_scan"], ["numba"])
    assert [contest.name for contest in contests] == ["selective_scan"]
