"""One cell, run in process: reproducible to the bit, resumable to the bit, and told in order."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from tests.suite.texts import MINIMAL
from vdmbench import engine
from vdmbench.matching import solve
from vdmbench.metrics.controls import CONTROLS
from vdmbench.suite import expand, parse_suite


class Heard:
    """Keeps what the engine told."""

    def __init__(self) -> None:
        self.events: list[engine.EngineEvent] = []

    def __call__(self, event: engine.EngineEvent) -> None:
        self.events.append(event)

    def all(self, kind: type) -> list:
        return [event for event in self.events if isinstance(event, kind)]

    def one(self, kind: type):
        (event,) = self.all(kind)
        return event


def run(
    *overrides: str,
    variant: str = "bi",
    resume: engine.TrainingState | None = None,
    checkpoint_every: int = 1000,
    rollout_file: Path | None = None,
    told: Heard | None = None,
) -> Heard:
    (inputs,) = [cell.inputs for cell in expand(*parse_suite(MINIMAL, overrides=overrides)) if cell.variant == variant]
    resolved = solve(inputs).resolved
    heard = told or Heard()
    cell = engine.prepare(inputs, resolved.network, resolved.mixer, torch.device("cpu"))
    engine.run_cell(cell, heard, resume=resume, checkpoint_every=checkpoint_every, rollout_file=rollout_file)
    return heard


@pytest.fixture(scope="module")
def plain() -> Heard:
    return run("train.steps=4", checkpoint_every=2)


def weights(state: engine.TrainingState) -> dict[str, torch.Tensor]:
    average = state.tensors["average"] or {}
    return {**state.tensors["network"], **{f"average.{name}": value for name, value in average.items()}}


def assert_same_weights(one: engine.TrainingState, other: engine.TrainingState) -> None:
    first, second = weights(one), weights(other)
    assert first.keys() == second.keys()
    assert all(torch.equal(first[name], second[name]) for name in first)


def test_phases_come_in_order_and_are_measured(plain):
    assert [event.phase for event in plain.all(engine.PhaseStarted)] == ["build", "warm-up", "train", "sample", "evaluate"]
    for event in plain.all(engine.PhaseEnded):
        assert event.reading.seconds > 0
        assert event.reading.rss_peak_bytes > 50 * 2**20
        assert event.reading.allocated_peak_bytes is None  # there is no device
    trained = plain.one(engine.Trained).training
    assert trained.step_seconds.count == trained.steps == len(trained.loss) == 4
    assert (
        plain.one(engine.Built).parameters
        == solve(next(cell.inputs for cell in expand(*parse_suite(MINIMAL)) if cell.variant == "bi")).solved.parameters
    )
    assert "selective_scan" in {op.removeprefix("bidirectional_") for op in plain.one(engine.BackendsUsed).backends}


def test_clips_are_uint8_video_of_the_declared_shape(plain):
    sampled = plain.one(engine.Sampled)
    assert sampled.clips.dtype == torch.uint8
    assert sampled.clips.shape == (4, 6, 3, 16, 16)
    result = plain.one(engine.Judged).result
    assert result.name == "STE-FD[v2,16px,n=4,f=6]"
    assert result.value > 0
    assert result.controls.keys() == CONTROLS.keys()


def test_the_same_seed_gives_the_same_bits(plain):
    again = run("train.steps=4", checkpoint_every=2)
    assert_same_weights(plain.all(engine.CheckpointDue)[-1].state, again.all(engine.CheckpointDue)[-1].state)
    assert torch.equal(plain.one(engine.Sampled).clips, again.one(engine.Sampled).clips)
    assert plain.one(engine.Judged).result == again.one(engine.Judged).result
    other = run("train.steps=4", "seeds=[1]")
    assert not torch.equal(plain.one(engine.Sampled).clips, other.one(engine.Sampled).clips)


def test_a_resumed_run_ends_with_the_same_bits(plain):
    half = plain.all(engine.CheckpointDue)[0].state
    assert half.step == 2
    resumed = run("train.steps=4", resume=half)
    assert_same_weights(plain.all(engine.CheckpointDue)[-1].state, resumed.one(engine.CheckpointDue).state)
    assert torch.equal(plain.one(engine.Sampled).clips, resumed.one(engine.Sampled).clips)
    assert plain.one(engine.Trained).training.loss == resumed.one(engine.Trained).training.loss
    assert resumed.one(engine.Trained).training.first_step == 2


def test_warm_up_leaves_no_trace(plain):
    cold = run("train.steps=4", "train.warm_up=0")
    assert_same_weights(plain.all(engine.CheckpointDue)[-1].state, cold.one(engine.CheckpointDue).state)
    assert "warm-up" not in [event.phase for event in cold.all(engine.PhaseStarted)]


def test_the_sampling_batch_changes_no_clip(plain):
    apart = run("train.steps=4", "sample.batch_size=1")
    difference = plain.one(engine.Sampled).clips.int() - apart.one(engine.Sampled).clips.int()
    assert difference.abs().max() <= 1  # float32 sums in another order, rounded to uint8


def test_variants_see_the_same_batches_levels_and_noise(monkeypatch):
    seen: dict[str, list] = {}
    from vdmbench.diffusion import Diffusion

    loss = Diffusion.loss
    for variant in ("floor", "uni"):

        def spy(self, denoiser, x0, t, noise, variant=variant):
            seen.setdefault(variant, []).append((x0, t, noise))
            return loss(self, denoiser, x0, t, noise)

        monkeypatch.setattr(Diffusion, "loss", spy)
        run("train.warm_up=0", variant=variant)
    assert all(
        torch.equal(a, b)
        for one, other in zip(seen["floor"], seen["uni"], strict=True)
        for a, b in zip(one, other, strict=True)
    )
    assert not torch.equal(seen["uni"][0][2], seen["uni"][1][2])


def test_diverging_training_is_told_as_such():
    with pytest.raises(engine.NonFiniteLoss, match="at step"):
        run("train.steps=40", "train.learning_rate=1e30", variant="floor")


@pytest.mark.parametrize("spoiled", [3, 4])
def test_weights_that_a_step_of_finite_loss_spoiled_are_not_told(monkeypatch, spoiled, plain):
    update = engine.Trainer.update

    def spoiling(self, batches, told=None):
        loss = update(self, batches, told)
        if self.done + 1 == spoiled:
            with torch.no_grad():
                next(self.network.parameters()).view(-1)[0] = torch.nan
        return loss

    monkeypatch.setattr(engine.Trainer, "update", spoiling)
    told = Heard()
    with pytest.raises(engine.NonFinite) as diverged:
        run("train.steps=4", "train.warm_up=0", checkpoint_every=2, told=told)
    kept = told.all(engine.CheckpointDue)[-1].state
    assert kept.step == 2
    assert isinstance(diverged.value, engine.NonFiniteLoss if spoiled == 3 else engine.NonFiniteState)
    monkeypatch.undo()
    again = run("train.steps=4", "train.warm_up=0", resume=kept)
    assert_same_weights(again.one(engine.CheckpointDue).state, plain.all(engine.CheckpointDue)[-1].state)


@pytest.mark.parametrize(
    "override",
    [
        "train.precision=bf16",
        "train.accumulate=2",
        "train.clip_norm=0.1",
        "train.ema=null",
        "train={steps: 2, batch_size: 2, optimiser: adamw, weight_decay: 0.1}",
        "sample={sampler: ddpm, clips: 4, batch_size: 4}",
        "diffusion.parameterisation=x0",
        "diffusion.parameterisation=v",
    ],
)
def test_declared_choices_run_and_change_the_result(override, request):
    default = request.getfixturevalue("two_steps")
    other = run("train.steps=2" if "train={" not in override else override, override)
    assert not torch.equal(default.one(engine.Sampled).clips, other.one(engine.Sampled).clips)


@pytest.fixture(scope="module")
def two_steps() -> Heard:
    return run("train.steps=2")
