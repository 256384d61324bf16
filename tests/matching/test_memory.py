"""Variants matched by simulated memory, FLOPs and state, through the suite that declares it."""

from __future__ import annotations

import os
import re
from pathlib import Path

import pytest
import torch

from tests.suite.texts import MINIMAL
from vdmbench.matching import Unreachable, resolve, solve
from vdmbench.matching.memory import CannotMeasure, simulated
from vdmbench.matching.plan import _tried
from vdmbench.matching.workload import Workload
from vdmbench.runner.planning import plan
from vdmbench.suite import expand, parse_suite
from vdmbench.suite.errors import SuiteError

MIB = 1 << 20
SMALL = MINIMAL.replace("size: 16", "size: 8").replace("frames: 6", "frames: 5").replace("clips: 4, ", "clips: 400, ")


@pytest.fixture(scope="module", autouse=True)
def _own_cache(tmp_path_factory):
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_CACHE_HOME", str(tmp_path_factory.mktemp("cache")))
        yield


def cell_of(variant: str, match: str):
    suite, lines = parse_suite(f"{SMALL}match: {match}\n", "s.yaml", ["seeds=[0]"])
    return next(cell for cell in expand(suite, lines) if cell.variant == variant)


def solved_of(variant: str, match: str):
    cell = cell_of(variant, match)
    return cell.inputs, solve(cell.inputs).solved


def peak(inputs, phase: str, **knobs: float) -> int:
    return simulated(resolve(inputs, knobs).workload, (phase,))[phase].allocated_peak_bytes


BY_BATCH = "{quantity: memory, phase: sample, budget: 80MiB, knob: batch_size, tolerance: 4%}"


@pytest.fixture(scope="module")
def by_batch():
    return solved_of("floor", BY_BATCH)


def test_a_budget_is_met_from_below(by_batch):
    inputs, solved = by_batch
    batch = solved.knobs["batch_size"]
    assert solved.target == 80 * MIB  # of which cuBLAS has 64
    assert solved.achieved == peak(inputs, "sample", batch_size=batch) <= 80 * MIB
    assert peak(inputs, "sample", batch_size=batch + 1) > 80 * MIB
    assert solved.quantity == "memory.sample"
    assert -0.04 < solved.mismatch <= 0
    assert resolve(inputs, solved.knobs).inputs.sample.batch_size == batch
    assert resolve(inputs, solved.knobs).inputs.train.batch_size == 2  # of the other phase, as declared


def test_what_proves_the_answer_is_recorded(by_batch):
    inputs, solved = by_batch
    batch = solved.knobs["batch_size"]
    assert [probe.setting for probe in solved.probes] == [batch, batch + 1]
    for probe in solved.probes:
        assert (probe.knob, probe.source) == ("batch_size", "simulated")
        assert probe.peak_bytes == peak(inputs, "sample", batch_size=probe.setting)
    assert solved.memory["sample"].allocated_peak_bytes == solved.achieved
    assert set(solved.memory) == {"train", "sample"}


CHANGED = {
    "cut short": lambda kept: kept[: len(kept) // 2],
    "another number": lambda kept: re.sub(r"\d{5,}(?=[,}])", "10000000", kept),
    "another's answer": lambda kept: None,
}


@pytest.mark.parametrize("change", CHANGED)
def test_the_answer_is_the_same_in_another_process_and_from_a_poisoned_cache(by_batch, tmp_path, monkeypatch, change):
    cache = Path(os.environ["XDG_CACHE_HOME"]) / "vdmbench"
    kept = {path: path.read_text() for folder in ("simulated-memory", "simulated-peaks") for path in (cache / folder).iterdir()}
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    others = [*list(kept.values())[1:], next(iter(kept.values()))]
    for (path, content), other in zip(kept.items(), others, strict=True):
        poisoned = tmp_path / "vdmbench" / path.relative_to(cache)
        poisoned.parent.mkdir(parents=True, exist_ok=True)
        poisoned.write_text(CHANGED[change](content) or other)
    assert plan([cell_of("floor", BY_BATCH)]).cells[0].solved == by_batch[1]


def test_the_order_of_a_sweep_of_budgets_changes_no_answer():
    """What one search found spares the next one evaluations, and nothing else."""

    def answers(budgets):
        _tried.clear()
        match = "{{quantity: memory, phase: sample, budget: {}B, knob: base_channels, tolerance: 99%}}"
        return {budget: solved_of("floor", match.format(budget))[1] for budget in budgets}

    inputs = cell_of("floor", BY_BATCH).inputs
    budgets = [peak(inputs, "sample", base_channels=width) + 1 for width in (10, 24, 40)]
    assert answers(budgets) == answers(budgets[::-1])


@pytest.mark.parametrize("share", [0.1, 0.5])
@pytest.mark.parametrize("variant", ["floor", "uni"])
def test_the_widest_that_fits_is_what_trying_all_gives(variant, share):
    inputs = cell_of(variant, BY_BATCH).inputs
    peaks = {width: peak(inputs, "sample", base_channels=width) for width in range(8, 32, 2)}
    budget = round(min(peaks.values()) + share * (max(peaks.values()) - min(peaks.values())))
    _, solved = solved_of(
        variant, f"{{quantity: memory, phase: sample, budget: {budget}B, knob: base_channels, tolerance: 99%}}"
    )
    assert solved.knobs == {"base_channels": max(width for width, value in peaks.items() if value <= budget)}


def test_a_budget_under_the_smallest_network_names_its_size():
    with pytest.raises(
        Unreachable,
        match=r"peak memory in sampling of identity does not fit in 0.095 MiB: at the smallest setting, base_channels 8, it "
        r"takes \d+\.\d+ MiB; raise match.budget or move another knob",
    ):
        solved_of("floor", "{quantity: memory, phase: sample, budget: 100kB, knob: base_channels}")


def test_variants_are_brought_to_the_memory_of_a_reference():
    match = "{quantity: memory, reference: uni, knob: frames, tolerance: 30%, exempt: [bi]}"
    inputs, solved = solved_of("floor", match)
    assert solved.target == peak(cell_of("uni", match).inputs, "train")
    assert solved.achieved == peak(inputs, "train", frames=solved.knobs["frames"])
    assert solved.knobs["frames"] > 4
    others = (peak(inputs, "train", frames=solved.knobs["frames"] + step) for step in (-1, 1))
    assert all(abs(solved.achieved - solved.target) <= abs(other - solved.target) for other in others)


def test_two_quantities_are_met_at_once():
    _, solved = solved_of(
        "floor",
        "{of: network, target: 400k, knob: base_channels, tolerance: 10%, also: "
        "{quantity: memory, phase: sample, budget: 80MiB, knob: batch_size, tolerance: 4%}}",
    )
    assert solved.quantity == "parameters.network"
    assert solved.parameters.network == solved.achieved == pytest.approx(400_000, rel=0.1)
    assert solved.also.quantity == "memory.sample"
    assert 0.96 * 80 * MIB <= solved.also.achieved == solved.memory["sample"].allocated_peak_bytes <= 80 * MIB
    assert list(solved.knobs) == ["base_channels", "batch_size"]


def test_the_mixers_width_fills_what_base_channels_leave():
    match = "{{quantity: memory, budget: {}B, knob: base_channels, tolerance: 3%, also: {{knob: mixer_width}}}}"
    budget = int(1.05 * peak(cell_of("uni", match.format(1)).inputs, "train", base_channels=14))
    inputs, solved = solved_of("uni", match.format(budget))
    assert solved.also.achieved == solved.achieved == peak(inputs, "train", **solved.knobs)
    assert -0.03 <= solved.mismatch <= 0
    assert list(solved.knobs) == ["base_channels", "mixer_width"]
    widest = max(width for width in range(8, 32, 2) if peak(inputs, "train", base_channels=width) <= budget)
    assert solved.knobs["base_channels"] <= widest

    _, alone = solved_of("floor", match.format(budget).replace("3%", "99%"))
    assert list(alone.knobs) == ["base_channels"], "without a mixer there is no width to fill with"
    assert alone.also is None


@pytest.mark.parametrize(
    ("also", "message"),
    [
        ("{knob: base_channels}", "both move 'base_channels'; give each a knob of its own"),
        (
            "{quantity: parameters, knob: mixer_width}",
            "without a goal it fills the first match: give it a knob alone",
        ),
    ],
)
def test_a_second_knob_without_a_goal_fills_the_first(also, message):
    with pytest.raises(SuiteError, match=message):
        cell_of("uni", f"{{quantity: memory, budget: 1MiB, knob: base_channels, also: {also}}}")
    with pytest.raises(SuiteError, match=r"give one of 'target' .* got none"):
        cell_of("uni", "{quantity: memory, knob: base_channels}")


def test_flops_and_parameters_are_met_at_once():
    _, solved = solved_of(
        "uni",
        "{of: temporal, reference: bi, knob: mixer_width, tolerance: 20%, exempt: [floor], also: "
        "{quantity: flops, of: temporal, reference: bi, knob: frames, tolerance: 20%}}",
    )
    reference = solve(cell_of("bi", "{of: temporal, reference: bi}").inputs).solved
    assert solved.target == reference.parameters.temporal
    assert solved.also.target == reference.flops_temporal
    assert solved.flops_temporal == solved.also.achieved == pytest.approx(reference.flops_temporal, rel=0.2)
    assert solved.probes == []


def test_state_is_matched_and_a_knob_that_does_not_move_it_is_named():
    _, solved = solved_of("uni", "{quantity: state, reference: bi, knob: mixer_width, tolerance: 20%, exempt: [floor]}")
    assert solved.state_elements == solved.achieved == pytest.approx(solved.target, rel=0.2)
    with pytest.raises(Unreachable, match="frames does not move state of mamba; match by another knob"):
        solved_of("uni", "{quantity: state, target: 1M, knob: frames, exempt: [floor]}")
    with pytest.raises(Unreachable, match="the reference 'floor' has no state to match"):
        solved_of("uni", "{quantity: state, reference: floor}")


@pytest.mark.skipif(torch.cuda.is_available(), reason="says what happens without a CUDA device, and there is one here")
def test_measuring_without_a_device_says_what_to_do():
    with pytest.raises(CannotMeasure, match=r"sees no CUDA device here .* use 'source: simulated'"):
        solved_of("floor", BY_BATCH.replace("budget", "source: measured, budget"))


def test_a_batch_is_never_larger_than_all_clips():
    _, solved = solved_of("floor", "{quantity: memory, phase: sample, budget: 464MiB, knob: batch_size, tolerance: 99%}")
    assert solved.knobs == {"batch_size": 400}


def test_a_second_match_survives_being_written_and_read():
    inputs = cell_of("uni", "{of: temporal, target: 20k, also: {quantity: state, target: 9k, knob: base_channels}}").inputs
    assert type(inputs).model_validate(inputs.model_dump(mode="json")) == inputs
    with pytest.raises(SuiteError, match="'unreachable' stands in the first match, for both"):
        cell_of("uni", "{target: 20k, also: {quantity: state, target: 9k, knob: base_channels, unreachable: record}}")


@pytest.mark.parametrize("written", ["16Gb", "16 gigabytes", "-1GiB", "16"])
def test_a_size_needs_a_unit_that_is_one(written):
    with pytest.raises(SuiteError, match="is not a size; write a number with one of B, kB, MB, GB, TB, KiB, MiB, GiB, TiB"):
        cell_of("floor", f"{{quantity: memory, budget: '{written}', knob: batch_size}}")


def test_decimal_and_binary_units_differ():
    decimal, binary = (
        cell_of("floor", f"{{quantity: memory, budget: {size}, knob: batch_size}}").inputs.match.budget
        for size in ("16GB", "16GiB")
    )
    assert (decimal, binary) == (16 * 10**9, 16 * 2**30)


def test_what_no_memory_depends_on_is_not_simulated_again():
    inputs = cell_of("floor", BY_BATCH).inputs

    def key(**train: object) -> str:
        at = resolve(inputs, {}).workload
        return Workload(at.network, at.mixer, at.frames, at.size, at.train.model_copy(update=train), at.sample).key()

    assert key() == key(learning_rate=1.0) == key(steps=77) == key(ema=0.9) == key(warm_up=0)
    assert len({key(), key(ema=None), key(batch_size=3), key(precision="bf16"), key(accumulate=2), key(clip_norm=1.0)}) == 6
