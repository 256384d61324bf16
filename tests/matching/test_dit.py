"""The diffusion transformer planned: its memory storage by storage, matched by it, and 5 B parameters of it."""

from __future__ import annotations

import dataclasses
from typing import Any

import pytest
import torch

from tests.memory.workloads import beside_workspaces, mixer, workload
from tests.suite.test_blocks import DIT
from vdmbench import engine, registry
from vdmbench.matching import solve
from vdmbench.matching.simulation import run_steps, simulate, trace_workload
from vdmbench.matching.workload import Workload
from vdmbench.memory.storages import StorageTracker
from vdmbench.suite import CellInputs, expand, load_suite, parse_suite
from vdmbench.suite.shipped import shipped_suites

CPU = torch.device("cpu")
SHORT = ["hth_scan_orders", "hth_ratio", "backbones"]
BLOCKS = {
    "pattern": [{"mixer": mixer("gated-delta-net"), "scan": "z"}, {"mixer": mixer("attention"), "scan": "t"}],
    "repeat": None,
}


def dit(temporal: dict[str, Any], precision: str = "fp32", **options: Any) -> Workload:
    declared = registry.networks["dit"].load_options()(**{"base_channels": 16, "depth": 2, **options}).model_dump()
    return dataclasses.replace(workload(temporal, precision=precision), network={"name": "dit", **declared})


@pytest.mark.parametrize(
    "described",
    [dit(mixer("s4d")), dit(BLOCKS), dit(BLOCKS, cross_attention=True, patch=(2, 2, 2))],
    ids=["mixer", "blocks", "cross-attention"],
)
def test_the_storages_of_a_real_run_are_simulated_one_by_one(described):
    run_steps(described, CPU, StorageTracker("cpu"))  # compiles what is not compiled yet, and that collects garbage
    simulated = trace_workload(described, device="cpu")
    with StorageTracker("cpu") as tracker:
        real = run_steps(described, CPU, tracker)
    assert [event.nbytes for event in simulated] == [event.nbytes for event in real]
    assert simulated.phases == real.phases


def test_memory_on_a_gpu_is_simulated_and_told_by_holder():
    narrow, wide = (simulate(dit(BLOCKS, "bf16", base_channels=width, cross_attention=True))["train"] for width in (16, 64))
    assert beside_workspaces(wide) > 2 * beside_workspaces(narrow)
    for planned in (narrow, wide):
        assert sum(planned.holders.values()) == planned.allocated_peak_bytes
        assert planned.holders["temporal activations"] > 0
    within = {"pattern": [{**block, "scan": "frame"} for block in BLOCKS["pattern"]], "repeat": None}
    assert "temporal activations" not in simulate(dit(within))["train"].holders


def test_variants_are_matched_by_memory(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))  # answers are kept there
    text = DIT + "match: {quantity: memory, budget: 72MiB, knob: base_channels, tolerance: 5%}\n"
    small = ["variants={hybrid: {blocks: {pattern: [attention@t, attention@frame]}}}", "network.depth=2", "data.size=8"]
    (cell,) = expand(*parse_suite(text, overrides=small))
    solved = solve(cell.inputs).solved
    assert solved.knobs["base_channels"] > 8
    assert 0.95 * 72 * 2**20 < solved.memory["train"].allocated_peak_bytes <= 72 * 2**20  # 64 of them are cuBLAS's


def tiny(name: str) -> list[CellInputs]:
    return [cell.inputs for cell in expand(*load_suite(shipped_suites()[name], tiny=True))]


@pytest.mark.parametrize("name", SHORT)
def test_shipped_suites_plan_in_their_tiny_form(name):
    for inputs in tiny(name):
        solved = solve(inputs).solved
        assert solved.parameters.network < 250_000
        assert (solved.parameters.temporal > 0) == ("identity" not in inputs.variant)


def test_a_shipped_suite_runs_in_its_tiny_form():
    """Trained, sampled and judged: exchanged axes, a path of its own, and several orders in turns."""
    chosen = ("temporal-only", "there-and-back", "by-blocks")
    for declared in (each for each in tiny("hth_scan_orders") if each.variant in chosen):
        inputs = declared.model_copy(update={"init_from": None})  # each for itself
        resolved = solve(inputs).resolved
        judged: list[Any] = []
        cell = engine.prepare(inputs, resolved.network, resolved.mixer, CPU)
        engine.run_cell(cell, lambda event, judged=judged: judged.append(event) if isinstance(event, engine.Judged) else None)
        assert [event.result.name for event in judged] == ["STE-FD[v2,16px,n=4,f=6]"]


def test_five_billion_parameters_are_counted_without_allocating_any():
    suite, lines = load_suite(shipped_suites()["hth_5b"], ["seeds=[0]"])
    solved = {cell.variant: solve(cell.inputs).solved for cell in expand(suite, lines)}
    assert {name: round(each.parameters.network / 1e9, 2) for name, each in solved.items()} == {
        "hybrid-image-2k": 5.39, "attention-image-2k": 5.01, "hybrid-video-360p": 5.39, "attention-video-360p": 5.01,
    }  # fmt: skip
    # Attention grows with the square of the tokens: 16,384 of an image, 115,200 of a video.
    for kind, tokens in (("image-2k", 16_384), ("video-360p", 115_200)):
        attention = solved[f"attention-{kind}"]
        assert attention.state_elements == 24 * 2 * 3072 * tokens
        assert attention.flops_temporal / tokens > solved[f"hybrid-{kind}"].flops_temporal / tokens
