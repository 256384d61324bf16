"""The loss on held-out clips: the same examples for all, of the weights that are sampled, beside training and never in it."""

from __future__ import annotations

import time
from dataclasses import replace

import pytest
import torch
from torch import nn

from tests.engine.test_conditioning import CAPTION, ONE_SPRITE
from tests.engine.test_run import Heard, assert_same_weights, run
from tests.suite.texts import MINIMAL
from vdmbench import engine
from vdmbench.data.loading import to_model_range
from vdmbench.diffusion import EDM, Diffusion, FlowMatching
from vdmbench.engine.distributed import Ranks
from vdmbench.engine.held_out_loss import HeldOutExamples, held_out_windows, levels_of, points_of
from vdmbench.engine.rehearsal import refusals
from vdmbench.engine.training import Trainer
from vdmbench.matching import solve
from vdmbench.suite import SuiteError, expand, parse_suite

CPU = torch.device("cpu")
FAST = ("train.warm_up=0", "evaluate.metrics=[]")


def experiment(*overrides: str, variant: str = "floor") -> engine.Experiment:
    (inputs,) = [cell.inputs for cell in expand(*parse_suite(MINIMAL, overrides=overrides)) if cell.variant == variant]
    resolved = solve(inputs).resolved
    return engine.prepare(inputs, resolved.network, resolved.mixer, CPU)


def examples(*overrides: str) -> HeldOutExamples:
    return HeldOutExamples(experiment(*overrides), Ranks(), None)


class Scale(nn.Module):
    """Answers with a multiple of what it sees."""

    def __init__(self, factor: float) -> None:
        super().__init__()
        self.factor = nn.Parameter(torch.tensor(factor))

    def forward(self, x, t):
        return self.factor * x


@pytest.fixture(scope="module")
def whole() -> Heard:
    return run("train.steps=4", *FAST, checkpoint_every=2)


def test_a_better_network_has_a_lower_loss():
    held_out = examples()
    assert held_out.loss(Scale(1.0)) < held_out.loss(Scale(0.0)), "what is noisy looks more like its noise than zeros do"


def test_it_is_the_mean_of_the_training_loss_over_the_declared_examples():
    held_out = examples("evaluate.val_loss={clips: 3, levels: 5}", "diffusion={steps: 8, min_snr_gamma: 2}")
    process, network, losses = held_out.cell.diffusion, Scale(0.5), []
    for x0, t, noise in seen_by(lambda: held_out.loss(network)):
        losses.append(process.loss(network, x0, t, noise))
    assert sum(map(len, losses)) == 15
    assert held_out.loss(network) == pytest.approx(float(torch.cat(losses).detach().double().mean()), rel=1e-6)


def seen_by(act) -> list[tuple[torch.Tensor, ...]]:
    """Clips, levels and noise of every call of the loss without gradients, while ``act`` runs."""
    seen, loss = [], Diffusion.loss

    def spy(self, denoiser, x0, t, noise):
        if not torch.is_grad_enabled():
            seen.append((x0.clone(), t.clone(), noise.clone()))
        return loss(self, denoiser, x0, t, noise)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Diffusion, "loss", spy)
        act()
    return seen


def test_variants_and_seeds_see_the_same_clips_levels_and_noise_at_every_point():
    one = seen_by(lambda: run(*FAST, variant="floor"))
    other = seen_by(lambda: run(*FAST, "seeds=[5]", "train.learning_rate=0.01", variant="uni"))
    assert len(one) == len(other) == 2 * 8, "two points, of 4 clips x 4 levels in batches of 2"
    for pairs in (zip(one, other, strict=True), zip(one[:8], one[8:], strict=True)):
        assert all(torch.equal(a, b) for these, those in pairs for a, b in zip(these, those, strict=True))
    noise = torch.cat([each[2] for each in one[:8]])
    assert len({tuple(each.flatten()[:4].tolist()) for each in noise}) == 16, "each example has noise of its own"


def test_clips_are_of_the_test_split():
    cell = experiment("evaluate.val_loss={clips: 6}")
    windows = held_out_windows(cell.inputs, cell.test_source)
    assert len({window.video for window in windows}) == 6
    seen = torch.cat([x0 for x0, _, _ in seen_by(lambda: HeldOutExamples(cell, Ranks(), None).loss(Scale(1.0)))])
    first = torch.from_numpy(cell.test_source.clip(windows[0].video, windows[0].start, 6)).permute(0, 3, 1, 2)
    assert torch.equal(seen[0], to_model_range(first))


def test_it_is_of_the_weights_that_are_sampled():
    """Of an average that has hardly moved it is the initial network's; of raw weights it is not."""
    slow = run("train.learning_rate=0.01", "train.ema=0.999999", *FAST).one(engine.Trained).training.val_loss
    raw = run("train.learning_rate=0.01", "train.ema=null", *FAST).one(engine.Trained).training.val_loss
    cell = experiment("train.learning_rate=0.01", "train.ema=null", variant="bi")
    initial = HeldOutExamples(cell, Ranks(), None).loss(cell.build_network())
    assert slow.values == pytest.approx([initial] * 2, rel=1e-4)
    assert abs(raw.values[-1] / initial - 1) > 0.01


def test_training_is_the_same_to_the_bit_with_and_without_it(whole):
    without = run("train.steps=4", "evaluate.val_loss=null", *FAST, checkpoint_every=2)
    for one, other in zip(whole.all(engine.CheckpointDue), without.all(engine.CheckpointDue), strict=True):
        assert_same_weights(one.state, other.state)
        assert one.state.losses == other.state.losses
    assert torch.equal(whole.one(engine.Sampled).clips, without.one(engine.Sampled).clips)
    assert without.one(engine.Trained).training.val_loss is None


def test_a_resumed_run_has_the_same_curve_to_the_bit(whole):
    half = whole.all(engine.CheckpointDue)[0].state
    assert [taken.step for taken in half.held_out] == [1, 2]
    resumed = run("train.steps=4", *FAST, resume=half)
    one, other = whole.one(engine.Trained).training, resumed.one(engine.Trained).training
    assert one.val_loss.values == other.val_loss.values
    assert one.val_loss.steps == other.val_loss.steps == [1, 2, 3, 4]
    assert other.val_loss.train_seconds[:2] == one.val_loss.train_seconds[:2]
    assert other.train_seconds == other.val_loss.train_seconds[-1] > half.seconds > 0


def test_its_time_is_in_no_step_and_not_in_the_phase(monkeypatch):
    monkeypatch.setattr(HeldOutExamples, "loss", lambda self, network: time.sleep(1.0) or 1.0)
    began = time.perf_counter()
    heard = run(*FAST)
    passed = time.perf_counter() - began
    readings = [event.reading.seconds for event in heard.all(engine.PhaseEnded)]
    assert sum(readings) <= passed - 2.0, "two points, of a second each"
    assert heard.one(engine.Trained).training.train_seconds <= readings[1]


def test_a_network_is_told_of_each_clip_what_it_shows():
    heard = run(ONE_SPRITE, CAPTION, "evaluate.val_loss={clips: 2, levels: 1}", *FAST)
    assert len(heard.one(engine.Trained).training.val_loss.values) == 2

    class OfLabels(nn.Module):
        def forward(self, x, t, told):
            assert told.texts.any(dim=1).all(), "nothing is left out here"
            return x * told.texts.float().mean()

    cell = experiment(ONE_SPRITE, CAPTION, "evaluate.val_loss={clips: 2, levels: 1}")
    from vdmbench.engine.conditioning import Teller

    held_out = HeldOutExamples(cell, Ranks(), Teller(cell.inputs.condition, cell.train_source))
    assert held_out.loss(OfLabels()) > 0


@pytest.mark.parametrize(
    "process",
    [
        Diffusion(steps=64),
        EDM(),
        FlowMatching(),
        FlowMatching(timestep_sampling="logit-normal", shift=3.0),
        FlowMatching(levels="frame"),
    ],
    ids=["discrete", "edm", "flow", "logit-normal", "frames"],
)
def test_levels_are_spread_as_training_draws_them(process):
    at = levels_of(process, 64, 4, 6)
    assert at.shape == ((64, 4, 6) if process.per_frame else (64, 4))
    drawn = process.draw_levels(40_000, 6, torch.Generator().manual_seed(0)).double()
    of_each = at.double() if process.per_frame else at.double()[..., None]
    for column in range(of_each.shape[-1]):
        own = of_each[..., column].flatten().sort().values
        expected = drawn.flatten().quantile(torch.linspace(0.02, 0.98, 25, dtype=torch.float64))
        found = own.quantile(torch.linspace(0.02, 0.98, 25, dtype=torch.float64))
        assert torch.allclose(found, expected, rtol=0.1, atol=1.0 if isinstance(process, Diffusion) else 0.02)
        assert isinstance(process, Diffusion) or len(own.unique()) == 256
        parts = of_each[..., column]
        assert (parts[:, :-1].amax(0) <= parts[:, 1:].amin(0)).all(), "a clip has a level in each part"
    if process.per_frame:
        assert not torch.equal(at[..., 0], at[..., 1])


def test_points_are_even_and_end_at_the_end():
    assert points_of(100, 4) == [25, 50, 75, 100]
    assert points_of(3, 10) == [1, 2, 3]
    assert points_of(7, 2) == [4, 7]


def test_what_cannot_be_taken_is_refused_where_it_is_declared():
    with pytest.raises(SuiteError, match=r"evaluate\.val_loss\.levels"):
        experiment("evaluate.val_loss={levels: 0}")
    few = experiment("evaluate.val_loss={clips: 999999}")
    ((_, refusal),) = refusals([few.inputs], built=[(few.network, few.mixer)])
    assert refusal.path == ("evaluate", "val_loss")
    assert "999999 clips (evaluate.val_loss.clips)" in refusal.message


def test_test_videos_that_are_too_short_are_said_to_be():
    cell = experiment()

    class Short:
        split = "test"

        def __len__(self):
            return 2

        def length(self, video):
            return 3

    with pytest.raises(ValueError, match=r"set evaluate\.val_loss to null"):
        HeldOutExamples(replace(cell, test_source=Short()), Ranks(), None)


def test_a_trainer_left_in_evaluation_mode_trains_on():
    cell = experiment("train.ema=null")
    trainer = Trainer(cell.build_network(), cell.diffusion, cell.inputs.train, 0, CPU)
    HeldOutExamples(cell, Ranks(), None).loss(trainer.sampled_network)
    trainer.step([torch.zeros(2, 6, 3, 16, 16, dtype=torch.uint8)])
    assert trainer.network.training
