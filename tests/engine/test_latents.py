"""Diffusion of latents: trained once, kept, read, decoded, and judged beside what the autoencoder alone costs."""

from __future__ import annotations

import shutil
import sys

import numpy as np
import pytest
import torch

from tests.autoencoders.pretrained_folder import folder_of_autoencoder
from tests.suite.texts import MINIMAL
from vdmbench import engine
from vdmbench.engine.latents import LatentBatches, latent_space
from vdmbench.matching import solve
from vdmbench.runner.planner import problems
from vdmbench.suite import SuiteError, expand, load_suite, parse_suite
from vdmbench.suite.blocks import Run
from vdmbench.suite.shipped import shipped_suites

TINY = "autoencoder={factor: 2, channels: 4, width: 8, steps: 3, batch_size: 4}"
SMALL = ("data.source={name: sprites, train_videos: 3, test_videos: 8, video_frames: 9}", "sample.clip_x0=false")


def inputs_of(*overrides: str, variant: str = "floor"):
    cells = expand(*parse_suite(MINIMAL, "s.yaml", overrides))
    return next(cell.inputs for cell in cells if cell.variant == variant)


def run(inputs, cache) -> dict[type, engine.EngineEvent]:
    heard: list[engine.EngineEvent] = []
    resolved = solve(inputs).resolved
    cell = engine.prepare(inputs, resolved.network, resolved.mixer, torch.device("cpu"), latents_cache=cache)
    engine.run_cell(cell, heard.append)
    return {type(event): event for event in heard}


@pytest.fixture(scope="module")
def space(tmp_path_factory):
    inputs = inputs_of(TINY, *SMALL)
    source = engine.make_source(inputs, "train")
    cache = tmp_path_factory.mktemp("latents")
    return latent_space(inputs.autoencoder, source, cache, torch.device("cpu")), source, inputs, cache


def test_kept_latents_are_those_of_the_videos(space):
    made, source, _, _ = space
    batches = LatentBatches(made, frames=6, batch_size=2, seed=5)
    (first, second) = batches.chosen(1)
    batch = batches.batch(1)
    assert batch.shape == (2, 6, 4, 8, 8)
    autoencoder = made.autoencoder(torch.device("cpu"))
    for window, latents in zip((first, second), batch, strict=True):
        clip = torch.from_numpy(source.clip(window.video, window.start, 6)).permute(0, 3, 1, 2)
        own = autoencoder.encode(clip[None] / 127.5 - 1)[0]
        torch.testing.assert_close(latents.float(), own, rtol=2e-3, atol=2e-3)  # kept as float16
    from vdmbench.data.loading import TrainingBatches

    assert batches.chosen(1) == TrainingBatches(source, frames=6, batch_size=2, seed=5).chosen(1)


def test_an_autoencoder_is_trained_once(space, monkeypatch):
    made, source, inputs, cache = space
    monkeypatch.setattr("vdmbench.engine.latents.trained_autoencoder", None)  # would fail
    again = latent_space(inputs.autoencoder, source, cache, torch.device("cpu"))
    assert (again.folder, again.encoding) == (made.folder, made.encoding)
    assert again.encoding.latent_bytes == 3 * 9 * 4 * 8 * 8 * 2 < (made.folder / "latents.npy").stat().st_size
    with pytest.raises(TypeError):  # another one is not found
        latent_space(inputs.autoencoder.model_copy(update={"seed": 1}), source, cache, torch.device("cpu"))


@pytest.mark.parametrize("file", ["latents.npy", "autoencoder.safetensors", "encoding.json", "contents.json"])
@pytest.mark.parametrize("damage", ["a flipped bit", "cut off", "gone"])
def test_damaged_latents_are_made_anew(space, tmp_path, caplog, file, damage):
    made, source, inputs, _ = space
    shutil.copytree(made.folder, tmp_path / made.folder.name)
    damaged = tmp_path / made.folder.name / file
    content = damaged.read_bytes()
    if damage == "gone":
        damaged.unlink()
    else:
        damaged.write_bytes(
            content[:-9] + bytes([content[-9] ^ 4]) + content[-8:] if damage == "a flipped bit" else content[:20]
        )
    again = latent_space(inputs.autoencoder, source, tmp_path, torch.device("cpu"))
    assert again.encoding.autoencoder == made.encoding.autoencoder
    for kept in ("latents.npy", "autoencoder.safetensors"):
        assert (again.folder / kept).read_bytes() == (made.folder / kept).read_bytes()
    assert len(caplog.records) == (0 if (file, damage) == ("contents.json", "gone") else 1)


def test_a_full_disk_is_told_before_anything_is_encoded(space, tmp_path, monkeypatch):
    _, source, inputs, _ = space
    monkeypatch.setattr("shutil.disk_usage", lambda path: type("Usage", (), {"free": 10})())
    with pytest.raises(ValueError, match="or a larger factor or fewer channels"):
        latent_space(inputs.autoencoder, source, tmp_path, torch.device("cpu"))


def test_null_is_what_cells_without_the_field_are():
    assert inputs_of("autoencoder=null").identity() == inputs_of().identity()
    assert "autoencoder" not in inputs_of().model_dump()


@pytest.mark.parametrize(
    ("override", "remedy"),
    [
        ("sample.clip_x0=true", "set 'clip_x0: false'"),
        ("data.size=15", "multiple of the autoencoder's factor"),
        ("sample.known_frames=2", "leave it out, or the autoencoder"),
        ("network.channels=5", "leave it out"),
        ("train.devices=2", "set it to 1"),
    ],
)
def test_what_latents_cannot_have_is_refused(override, remedy):
    with pytest.raises(SuiteError, match=remedy):
        inputs_of(TINY, *SMALL, override)


def test_networks_are_planned_at_the_latents_size():
    pixels, latents = (solve(inputs_of(*SMALL, *more), memory=True).solved for more in ((), (TINY,)))
    assert latents.flops_forward < 0.35 * pixels.flops_forward
    assert latents.memory["train"].allocated_peak_bytes < pixels.memory["train"].allocated_peak_bytes


def test_the_tiny_latent_suite_runs(tmp_path):
    cells = expand(*load_suite(shipped_suites()["latent"], tiny=True))
    assert [cell.inputs.autoencoder is not None for cell in cells] == [False, False, True, True]
    told = run(cells[2].inputs, tmp_path)
    sampled, encoding = told[engine.Sampled], told[engine.Encoded].encoding
    assert sampled.clips.dtype == torch.uint8
    assert sampled.clips.shape == (4, 6, 3, 16, 16)
    assert encoding.psnr > 5
    assert encoding.reconstructions.keys() == {"ste-fd"}
    assert encoding.reconstructed == 4
    assert encoding.train_seconds > 0
    assert told[engine.Judged].result.value > 0


def pretrained(folder, *more: str):
    return inputs_of(f"autoencoder={{name: diffusers, path: '{folder}'}}", *SMALL, *more)


def test_a_cell_on_a_pretrained_autoencoder_runs(tmp_path):
    vae = folder_of_autoencoder(tmp_path / "vae")
    inputs = pretrained(vae)
    told = run(inputs, tmp_path / "latents")
    encoding = told[engine.Encoded].encoding
    assert told[engine.Sampled].clips.shape == (4, 6, 3, 16, 16)
    assert (encoding.train_steps, encoding.train_seconds, encoding.final_loss) == (None, None, None)
    assert (encoding.autoencoder, encoding.factor, encoding.channels) == (inputs.autoencoder.sha256, 2, 4)
    assert encoding.encode_seconds > 0
    assert encoding.reconstructed == 4
    (kept,) = (tmp_path / "latents").glob("*/autoencoder.safetensors")
    assert kept.stat().st_size < 1000 < (vae / "diffusion_pytorch_model.safetensors").stat().st_size  # no copy of the weights
    latents = np.load(kept.parent / "latents.npy").astype(np.float32)
    assert abs(latents.std((0, 2, 3)) - 1).max() < 0.1
    assert abs(latents.mean((0, 2, 3))).max() < 0.1


def test_latents_are_found_again_by_the_weights_and_not_by_their_place(tmp_path):
    first, same = folder_of_autoencoder(tmp_path / "a"), folder_of_autoencoder(tmp_path / "b")
    spaces = []
    for folder in (first, same, folder_of_autoencoder(tmp_path / "c", seed=1)):
        inputs = pretrained(folder)
        source = engine.make_source(inputs, "train")
        spaces.append(latent_space(inputs.autoencoder, source, tmp_path / "latents", torch.device("cpu")).folder)
    assert spaces[0] == spaces[1] != spaces[2]


def test_what_a_run_on_a_pretrained_autoencoder_wants_is_told_before_it(tmp_path, monkeypatch):
    inputs = pretrained(folder_of_autoencoder(tmp_path))
    assert problems([inputs], Run()) == []
    with monkeypatch.context() as without:
        without.setitem(sys.modules, "diffusers", None)
        (problem,) = problems([inputs], Run())
        assert "pip install 'vdmbench[latents]'" in problem
    folder_of_autoencoder(tmp_path, seed=1)
    (problem,) = problems([inputs], Run())
    assert "has changed since it was declared: plan again" in problem
