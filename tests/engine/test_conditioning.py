"""Cells whose network is told something: paired, guided, refused where the data does not know."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from tests.engine.test_run import run
from tests.suite.texts import MINIMAL
from vdmbench import engine
from vdmbench.data.procedural.maze import Maze
from vdmbench.data.procedural.sprites import Sprites
from vdmbench.data.told import facts_of, motion_of
from vdmbench.data.windows import Window
from vdmbench.diffusion import Diffusion
from vdmbench.engine.conditioning import Teller, of_each_batch
from vdmbench.engine.sampling import sample_clips
from vdmbench.engine.training import Trainer
from vdmbench.matching import solve
from vdmbench.networks import build
from vdmbench.networks.conditional import Told
from vdmbench.runner.artifacts import write_samples
from vdmbench.runner.planner import problems
from vdmbench.suite import expand, parse_suite
from vdmbench.suite.blocks import Run, Sample, Train
from vdmbench.suite.condition import Conditioning

ONE_SPRITE = "data.source={name: sprites, sprites: 1}"
CAPTION = "condition={tell: [caption], text: {encoder: bytes, width: 16, depth: 1, length: 48}}"
UNET = {"name": "unet3d", "base_channels": 8, "multipliers": [1]}
CPU = torch.device("cpu")


def test_a_cell_is_told_planned_sampled_and_judged_alike_at_every_run(tmp_path):
    faithfulness = "evaluate.metrics=[{name: faithfulness, bootstrap: 20}]"
    overrides = (ONE_SPRITE, CAPTION, "data.frames=8", "sample.guidance=2", faithfulness)
    first, second = run(*overrides), run(*overrides)
    sampled = first.one(engine.Sampled)
    assert torch.equal(sampled.clips, second.one(engine.Sampled).clips)
    judged = first.one(engine.Judged).result
    assert judged.name == "faithfulness[sprites-shape+colour+direction]"
    assert 0 <= judged.value <= 1
    assert {"ceiling", "shuffled", "chance", "by_attribute"} <= set(judged.details)
    source = Sprites(split="test", frames=8, size=16, sprites=1)
    assert set(sampled.facts.captions) <= {source.describe(video, 0, 8).caption for video in range(1, 40, 2)}
    write_samples(tmp_path, sampled.clips, sampled.real, facts=sampled.facts)
    with np.load(tmp_path / "samples.npz") as kept:
        assert kept["captions"].tolist() == sampled.facts.captions


def test_variants_are_told_the_same_and_a_resumed_run_too():
    overrides = (ONE_SPRITE, CAPTION, "train.steps=4")
    whole = run(*overrides, checkpoint_every=2)
    half, end = (event.state for event in whole.all(engine.CheckpointDue))
    resumed = run(*overrides, resume=half).one(engine.CheckpointDue).state
    assert all(torch.equal(end.tensors["network"][name], value) for name, value in resumed.tensors["network"].items())
    other = run(*overrides, variant="floor")
    assert other.one(engine.Sampled).facts == whole.one(engine.Sampled).facts


def test_memory_of_a_guided_cell_is_simulated_with_its_encoders():
    def peaks(*overrides: str):
        (cell,) = [cell for cell in expand(*parse_suite(MINIMAL, overrides=overrides)) if cell.variant == "uni"]
        return solve(cell.inputs, memory=True).solved

    plain, told = peaks(), peaks(CAPTION)
    assert told.parameters.network > plain.parameters.network
    assert told.parameters.temporal == plain.parameters.temporal
    assert told.memory["train"].allocated_peak_bytes > plain.memory["train"].allocated_peak_bytes
    guided = peaks(CAPTION, "sample.guidance=3")
    assert guided.memory["sample"].allocated_peak_bytes >= told.memory["sample"].allocated_peak_bytes


def test_guidance_of_one_is_none_bit_for_bit_at_one_evaluation_a_level():
    network = build({**UNET, "condition": {"classes": 3}}, {"name": "identity"})
    evaluations = []
    network.register_forward_hook(lambda *_: evaluations.append(1))
    told = Told(labels=torch.tensor([0, 1, 2]))
    sample = Sample(sampler="ddim", steps=4, clips=3, batch_size=3)

    def clips(**how):
        evaluations.clear()
        return sample_clips(network, Diffusion(steps=8), sample, (4, 3, 8, 8), 0, CPU, lambda *_: None, **how)

    plain = clips(denoiser=lambda batch: lambda x, t: network(x, t, told))
    assert torch.equal(clips(denoiser=of_each_batch(network, lambda batch: told, 1.0, CPU)), plain)
    assert len(evaluations) == 4
    assert not torch.equal(clips(denoiser=of_each_batch(network, lambda batch: told, 4.0, CPU)), plain)
    assert len(evaluations) == 8


def two_classes(steps: int, condition: dict | None) -> float:
    """Loss on black and white clips, predicted from almost pure noise: only a label tells them apart."""
    torch.manual_seed(0)
    network = build({**UNET, **({"condition": condition} if condition else {})}, {"name": "identity"})
    train = Train(steps=steps, batch_size=8, learning_rate=1e-2, ema=None)
    process = Diffusion(steps=2, parameterisation="x0", device=CPU)
    trainer = Trainer(network, process, train, 0, CPU)
    labels = torch.arange(8) % 2
    clips = (255 * labels).to(torch.uint8).view(8, 1, 1, 1, 1).expand(8, 2, 3, 8, 8)
    for _ in range(steps):
        trainer.step([clips], [Told(labels=labels)] if condition else None)
    with torch.no_grad():
        denoiser = (lambda x, t: network(x, t, Told(labels=labels))) if condition else network
        x0 = clips / 127.5 - 1
        return float(process.loss(denoiser, x0, torch.ones(8, dtype=torch.int64), torch.randn_like(x0)).mean())


def test_a_network_that_is_told_the_class_learns_what_one_that_is_not_cannot():
    told, not_told = two_classes(100, {"classes": 2}), two_classes(100, None)
    assert told < 0.2 * not_told


def test_actions_are_recorded_ones_or_the_motion_of_a_pose():
    maze = Maze(split="train", frames=8, size=16, video_frames=64)
    facts = facts_of(maze, [Window(0, 0), Window(1, 3)], 8, ["actions"])
    assert facts.actions.shape == (2, 8, 3)
    quarter = np.array([[0.0, 0.0, 0.0], [1.0, 0.0, np.pi / 2], [1.0, 2.0, -np.pi]])
    np.testing.assert_allclose(motion_of(quarter), [[1, 0, np.pi / 2], [2, 0, np.pi / 2], [0, 0, 0]], atol=1e-9)
    teller = Teller(Conditioning(tell=["actions", "label"]), maze)
    told = teller.told(maze, [Window(0, 0)], 8)
    assert (told.actions.shape, told.labels.shape) == ((1, 8, 3), (1,))
    assert told.texts is told.mask is told.keep is None


def test_what_the_data_does_not_know_is_refused_before_any_work(tmp_path):
    for split in ("train", "test"):
        (tmp_path / split).mkdir()
        for number in range(2):
            np.save(tmp_path / split / f"{number}.npy", np.full((8, 16, 16, 3), number + 10 * len(split), np.uint8))
    folder = f"data.source={{name: folder, path: '{tmp_path}'}}"
    known = {"evaluate.real_clips=2", "sample.clips=2"}

    def inputs(*overrides: str):
        return expand(*parse_suite(MINIMAL, overrides=[*known, *overrides]))[0].inputs

    for on, remedy in (("label", "leave 'label' out"), ("actions", "use data.source maze")):
        with pytest.raises(ValueError, match=remedy):
            solve(inputs(folder, f"condition={{tell: [{on}]}}"))
    (problem,) = problems([inputs(folder, CAPTION)], Run(device="cpu"))
    assert "folder of its name" in problem
    crowd = inputs(CAPTION, "data.frames=8", "evaluate.metrics=[faithfulness]")
    (problem,) = problems([crowd], Run(device="cpu"))
    assert "sprites: 1" in problem
