"""Checkpointing, layout and compiler: what they change, and that they change no result."""

from __future__ import annotations

import math
from itertools import product

import numpy as np
import pytest
import torch
from torch import nn

import vdmbench
from tests.suite.texts import MINIMAL
from vdmbench import engine
from vdmbench.diffusion import Diffusion
from vdmbench.engine.acceleration import require_compiler
from vdmbench.matching import solve
from vdmbench.matching.simulation import CannotSimulate, simulate
from vdmbench.networks import build
from vdmbench.suite import SuiteError, expand, load_suite, parse_suite
from vdmbench.suite.blocks import Sample, Train
from vdmbench.suite.shipped import shipped_suites

UNET = {"name": "unet3d", "base_channels": 8, "multipliers": [1, 2]}, {"name": "mamba", "direction": "both"}
DIT = {"name": "dit", "base_channels": 16, "depth": 2, "patch": (1, 4, 4)}, {"name": "attention", "head_dim": 8}


def gradients(chosen, **settings) -> dict[str, torch.Tensor]:
    torch.manual_seed(0)
    network = build(*chosen)
    for parameter in network.parameters():  # gates of a dit begin shut
        if not parameter.count_nonzero():
            nn.init.normal_(parameter, std=0.02)
    train = Train(steps=1, batch_size=2, ema=None, **settings)
    trainer = engine.Trainer(network, Diffusion(steps=8), train, 0, torch.device("cpu"))
    clips = torch.randint(0, 256, (2, 4, 3, 16, 16), dtype=torch.uint8, generator=torch.Generator().manual_seed(1))
    trainer.update([clips])
    return {name: each.grad for name, each in trainer.network.named_parameters() if each.grad is not None}


@pytest.mark.parametrize("chosen", [UNET, DIT], ids=["unet3d", "dit"])
@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_checkpointed_gradients_are_the_same(chosen, precision):
    plain, checkpointed = gradients(chosen, precision=precision), gradients(chosen, precision=precision, checkpointing=True)
    assert plain.keys() == checkpointed.keys()
    for name, gradient in plain.items():
        torch.testing.assert_close(checkpointed[name], gradient, rtol=1e-6, atol=1e-7, msg=name)


@pytest.mark.parametrize("chosen", [UNET, DIT], ids=["unet3d", "dit"])
@pytest.mark.parametrize("precision", ["fp32", "bf16"])
@pytest.mark.parametrize("checkpointing", [False, True])
def test_what_is_computed_again_changes_no_bit(chosen, precision, checkpointing):
    settings = {"precision": precision, "checkpointing": checkpointing}
    cheap, none = gradients(chosen, **settings), gradients(chosen, **settings, recompute="none")
    assert cheap.keys() == none.keys()
    assert all(torch.equal(gradient, none[name]) for name, gradient in cheap.items())


def test_channels_last_weights_give_the_same_gradients():
    plain, laid_out = gradients(UNET), gradients(UNET, channels_last=True)
    for name, gradient in plain.items():
        torch.testing.assert_close(laid_out[name], gradient, rtol=1e-4, atol=1e-6, msg=name)


def test_a_network_without_convolutions_is_not_laid_out():
    with pytest.raises(ValueError, match=r"leave train\.channels_last"):
        gradients(DIT, channels_last=True)


class _Plain(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(()))

    def forward(self, x, t):
        return self.weight * x


def _trainer(**settings) -> engine.Trainer:
    train = Train(steps=1, batch_size=2, ema=None, **settings)
    return engine.Trainer(_Plain(), Diffusion(steps=8), train, 0, torch.device("cpu"))


def test_a_network_without_blocks_is_not_checkpointed():
    with pytest.raises(ValueError, match=r"leave train\.checkpointing out"):
        _trainer(checkpointing=True)


def inputs_of(*overrides: str):
    return next(cell.inputs for cell in expand(*parse_suite(MINIMAL, "s.yaml", overrides)) if cell.variant == "bi")


def test_simulated_training_takes_less_with_checkpointing():
    long = ("data.frames=32", "data.size=32")
    plain, checkpointed = (
        simulate(solve(inputs_of(*long, f"train.checkpointing={asked}")).resolved.workload) for asked in ("false", "true")
    )
    own = [memory["train"].allocated_peak_bytes - memory["train"].holders["workspaces"] for memory in (plain, checkpointed)]
    assert own[1] < 0.5 * own[0], "what is the libraries' own stays as it is"
    assert checkpointed["sample"].allocated_peak_bytes == plain["sample"].allocated_peak_bytes


def test_simulated_training_takes_more_where_nothing_is_computed_again():
    """What is planned is what is declared: norms, activations and sums of every block stay, and the cell is another one."""
    long = ("data.frames=32", "data.size=32")
    cheap, none = (inputs_of(*long, f"train.recompute={asked}") for asked in ("cheap", "none"))
    assert cheap.identity() == inputs_of(*long).identity() != none.identity()
    assert cheap.model_dump(mode="json")["train"]["recompute"] == "cheap"
    planned, kept = (simulate(solve(inputs).resolved.workload, ("train",))["train"] for inputs in (cheap, none))
    assert kept.allocated_peak_bytes > 1.2 * planned.allocated_peak_bytes


def test_memory_of_compiled_kernels_is_not_simulated():
    compiled = solve(inputs_of("train.compile=true"), memory=True)
    assert set(compiled.solved.memory) == {"sample"}, compiled.solved.not_simulated
    assert compiled.solved.not_simulated.startswith("train.compile is set, and what compiled kernels keep is not simulated")
    with pytest.raises(CannotSimulate, match="leave compile out"):
        simulate(compiled.resolved.workload, ("train",))


def test_cells_from_before_these_fields_are_the_same():
    before = inputs_of().model_dump(mode="json")
    assert not {"checkpointing", "compile", "channels_last"} & {*before["train"], *before["sample"]}
    assert inputs_of("train.checkpointing=true").identity() != inputs_of().identity()


@pytest.mark.parametrize(
    ("setting", "remedy"),
    [
        ("train: {warm_up: 0}", "set 'warm_up' to 1"),
        ("train: {devices: 2}", "set 'devices' to 1"),
        ("train: {recompute: none}", "leave 'recompute' out"),
    ],
)
def test_what_compile_cannot_have_is_refused(setting, remedy):
    field, value = setting.removeprefix("train: {").removesuffix("}").split(": ")
    with pytest.raises(SuiteError, match=remedy):
        inputs_of("train.compile=true", f"train.{field}={value}")
    with pytest.raises(ValueError, match="leave 'compile' out"):
        Sample(sampler="ddim", steps=2, clips=2, batch_size=2, compile=True, rollout={"chunk": 1})


def test_a_missing_compiler_is_told_before_anything_runs(monkeypatch, tmp_path):
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(ValueError, match="name it in CXX, or leave compile out"):
        require_compiler(torch.device("cpu"))


def run(inputs) -> list[engine.EngineEvent]:
    events: list[engine.EngineEvent] = []
    resolved = solve(inputs).resolved
    engine.run_cell(engine.prepare(inputs, resolved.network, resolved.mixer, torch.device("cpu")), events.append)
    return events


def test_the_tiny_efficiency_suite_runs():
    cells = expand(*load_suite(shipped_suites()["efficiency"], tiny=True))
    assert {(cell.variant, cell.point["train.checkpointing"]) for cell in cells} == set(
        product(("attention", "bi-ssm"), (False, True))
    )
    losses = {}
    for cell in (each for each in cells if each.variant == "attention"):
        (trained,) = (event for event in run(cell.inputs) if isinstance(event, engine.Trained))
        losses[cell.point["train.checkpointing"]] = trained.training.loss
    assert losses[False] == losses[True]


@pytest.mark.slow  # compiling takes minutes
@pytest.mark.timeout(1200)
def test_compiled_training_and_sampling_give_the_same(tmp_path, monkeypatch):
    """In workers, for the compiler cannot trace the type checks of this process."""
    monkeypatch.setenv("TORCHINDUCTOR_CACHE_DIR", str(tmp_path / "compiled"))
    file = tmp_path / "suite.yaml"
    file.write_text(MINIMAL)
    records, clips = {}, {}
    for asked in (False, True):
        results = tmp_path / str(asked)
        settings = ["train.ema_warm_up=true", *(["train.compile=true", "sample.compile=true"] if asked else [])]
        ended = vdmbench.run(vdmbench.load_suite(file, *settings), results, only=["bi"])
        ((_, records[asked]),) = ended.records
        assert records[asked].status == "ok", records[asked].error
        (samples,) = results.rglob("samples.npz")
        clips[asked] = np.load(samples)["samples"].astype(int)
    plain, compiled = (records[asked].training for asked in (False, True))
    assert compiled.compile_seconds > 0
    assert compiled.graph_breaks == 0
    assert plain.compile_seconds is plain.graph_breaks is None
    assert all(math.isclose(a, b, rel_tol=1e-3) for a, b in zip(plain.loss, compiled.loss, strict=True))
    assert abs(clips[False] - clips[True]).max() <= 2
