"""Plans: published counts exactly, matched variants within tolerance, unreachable targets named."""

from __future__ import annotations

import pytest
import torch

from tests.suite.texts import MINIMAL
from vdmbench.matching import Unreachable, resolve, solve
from vdmbench.matching.target import Target, packages_here
from vdmbench.networks import build, count_parameters
from vdmbench.suite import expand, load_suite, parse_suite
from vdmbench.suite.shipped import shipped_suites


def solutions(text: str, *overrides: str):
    return {cell.variant: (cell.inputs, solve(cell.inputs).solved) for cell in expand(*parse_suite(text, "s.yaml", overrides))}


def test_the_published_network_has_the_published_parameters():
    # Oshima et al. 2024, code at base 32: the five published counts.
    counts = {
        "attn": 14_083_475,
        "l-attn": 14_083_475,
        "s4d": 14_176_643,
        "bi-s4d": 14_256_515,
        "s6": 14_297_475,
        "bi-s6": 14_498_179,
    }
    suite, lines = load_suite(shipped_suites()["oshima2024_minerl"], ["seeds=[0]", "data.frames=2", "data.size=8"])
    assert {cell.variant: solve(cell.inputs).solved.parameters.network for cell in expand(suite, lines)} == counts


@pytest.mark.parametrize("of", ["network", "temporal"])
@pytest.mark.parametrize("knob", ["mixer_width", "base_channels"])
def test_variants_meet_the_reference(of, knob):
    text = (
        MINIMAL.replace("base_channels: 8", "base_channels: 32")
        + f"match: {{of: {of}, reference: bi, knob: {knob}, tolerance: 30%, exempt: [floor]}}\n"
    )
    found = solutions(text)
    target = getattr(found["bi"][1].parameters, of)
    inputs, uni = found["uni"]
    assert uni.target == target
    assert abs(uni.achieved - target) <= 0.3 * target
    assert uni.mismatch == pytest.approx((uni.achieved - target) / target)
    assert list(uni.knobs) == [knob]
    assert getattr(uni.parameters, of) == uni.achieved
    # What was counted without allocating is what a real network holds.
    resolved = resolve(inputs, uni.knobs)
    assert count_parameters(build(resolved.network, resolved.mixer)) == uni.parameters.model_dump()
    assert found["floor"][1].knobs == {}


def test_a_target_is_met_by_the_closest_width():
    found = solutions(MINIMAL + "match: {of: temporal, target: 20k, tolerance: 20%, exempt: [floor]}\n")
    for variant in ("uni", "bi"):
        assert abs(found[variant][1].mismatch) < 0.2


@pytest.mark.parametrize("base", [64, 112])
def test_a_sweep_of_the_published_networks_width_counts_published_networks(base):
    counts = {64: 56_279_827, 112: 172_286_035}
    suite, lines = load_suite(shipped_suites()["oshima2024_minerl"], ["seeds=[0]", f"sweep.network.base_channels=[32, {base}]"])
    cells = [cell for cell in expand(suite, lines) if cell.variant in ("attn", "l-attn") and cell.point]
    for cell in cells:
        resolved = resolve(cell.inputs, {})
        with torch.device("meta"):
            parameters = count_parameters(build(resolved.network, resolved.mixer))["network"]
        assert parameters == (14_083_475 if cell.inputs.network.base_channels == 32 else counts[base])
    assert len(cells) == 4


def test_the_knob_of_the_published_networks_width_takes_the_heads_with_it():
    text = MINIMAL.replace("base_channels: 8", "preset: oshima2024").replace("multipliers: [1]", "multipliers: [1, 2, 4, 8]")
    text = text.replace("{mixer: identity}", "{mixer: {name: linear-attention, head_dim: 64}}")
    solved = solutions(text + "match: {target: 56279827, knob: base_channels, exempt: [uni, bi]}\n")["floor"][1]
    assert (solved.knobs, solved.parameters.network) == ({"base_channels": 64}, 56_279_827)


@pytest.mark.parametrize(
    "mixer",
    [
        "{name: attention, heads: 1, head_dim: 8}",
        "{name: s4d, block: glu}",
        "{name: mamba, block: mlp, hidden: 24}",
        "{name: pair, first: lstm, second: {name: s4d, block: gss, hidden: 24}}",
    ],
)
def test_a_width_that_is_fixed_on_every_level_is_no_knob(mixer):
    text = MINIMAL.replace("{mixer: identity}", f"{{mixer: {mixer}}}") + "match: {target: 30k}\n"
    with pytest.raises(Unreachable, match="has no width to move; match by base_channels, or exempt the variant"):
        solutions(text)


def test_an_unreachable_target_names_the_closest():
    with pytest.raises(
        Unreachable, match=r"network parameters of mamba cannot reach 1,000 within 2 %; the closest is [\d,]+ \(\+"
    ):
        solutions(MINIMAL + "match: {of: network, target: 1k, exempt: [floor]}\n")
    with pytest.raises(
        Unreachable, match="mixer 'identity' has no width to move; match by base_channels, or exempt the variant"
    ):
        solutions(MINIMAL + "match: {of: network, target: 1M}\n")


def test_cost_grows_as_the_mixers_say():
    text = MINIMAL.replace("floor: {mixer: identity}", "floor: {mixer: attention}")
    short, long = (solutions(text, f"data.frames={frames}") for frames in (4, 8))
    assert long["uni"][1].state_elements == short["uni"][1].state_elements
    assert long["floor"][1].state_elements == 2 * short["floor"][1].state_elements
    assert long["uni"][1].flops_temporal == 2 * short["uni"][1].flops_temporal
    assert long["floor"][1].flops_temporal > 2 * short["floor"][1].flops_temporal
    layer = long["uni"][1].layers["stem_temporal"]
    assert (layer.channels, layer.inner_width) == (8, 16)


def test_planning_leaves_no_trace_in_the_random_state():
    torch.manual_seed(0)
    expected = torch.rand(3)
    torch.manual_seed(0)
    solutions(MINIMAL)
    assert torch.equal(torch.rand(3), expected)


def test_the_knob_of_a_pattern_moves_all_its_mixers_in_proportion():
    pattern = "{pattern: {stem: mamba, levels: [attention], middle: identity}}"
    text = MINIMAL.replace("{mixer: identity}", pattern).replace("base_channels: 8", "base_channels: 32")
    inputs, solved = solutions(text + "match: {of: temporal, reference: bi, tolerance: 20%}\n")["floor"]
    temporal = resolve(inputs, solved.knobs).mixer
    width = solved.knobs["mixer_width"]
    assert width > 1
    assert [temporal["stem"]["expand"], temporal["levels"][0]["expand"]] == [2 * width, width]
    assert "expand" not in temporal["middle"]
    assert abs(solved.mismatch) <= 0.2


def test_a_pair_is_matched_by_its_width():
    text = MINIMAL.replace("floor: {mixer: identity}", "floor: {mixer: pair}").replace("base_channels: 8", "base_channels: 32")
    _, solved = solutions(text + "match: {of: temporal, reference: bi, tolerance: 20%}\n")["floor"]
    assert abs(solved.mismatch) <= 0.2


def test_planned_peaks_keep_what_they_are_for_and_the_card_moves_no_knob():
    budget = "match={quantity: memory, phase: sample, budget: 69MiB, knob: batch_size, tolerance: 60%}"
    cell = next(cell for cell in expand(*parse_suite(MINIMAL, "s.yaml", ["seeds=[0]", budget])) if cell.variant == "uni")
    usual, other = (solve(cell.inputs, target=target).solved for target in (None, Target("h200", packages_here())))
    assert (usual.planned_for.device, other.planned_for.device) == ("a100-80gb", "h200")
    assert other.planned_for.torch == torch.__version__.partition("+")[0]
    floor = solve(cell.inputs, memory=True, target=Target("h200", frozenset({"triton", "xformers"}))).solved
    assert floor.planned_for.packages == ["triton", "xformers"], "what is planned for, used or not"
    assert set(other.memory) == {"train", "sample"}
    assert other.knobs == usual.knobs
