"""Pretrained autoencoders of diffusers, by a folder."""

from __future__ import annotations

import json
import sys

import pytest
import torch
from diffusers import AutoencoderKL
from safetensors.torch import load_file, save_file

from tests.autoencoders.pretrained_folder import folder_of_autoencoder
from vdmbench.autoencoders import DiffusersAutoencoder, MissingDiffusers

VIDEO = torch.rand(2, 3, 3, 16, 16, generator=torch.Generator().manual_seed(0)) * 2 - 1


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return folder_of_autoencoder(tmp_path_factory.mktemp("vae"))


def test_shapes_there_and_back_frozen_and_deterministic(folder):
    autoencoder = DiffusersAutoencoder(folder)
    assert (autoencoder.factor, autoencoder.channels) == (2, 4)
    latents = autoencoder.encode(VIDEO)
    assert latents.shape == (2, 3, 4, 8, 8)
    assert autoencoder.decode(latents).shape == VIDEO.shape
    assert torch.equal(autoencoder.encode(VIDEO), latents)  # the mode, not a draw
    assert not autoencoder.training
    assert not any(parameter.requires_grad for parameter in autoencoder.parameters())


def test_latents_are_those_of_diffusers_frame_by_frame(folder):
    autoencoder, peer = DiffusersAutoencoder(folder), AutoencoderKL.from_pretrained(folder, low_cpu_mem_usage=False)
    with torch.no_grad():
        own = peer.encode(VIDEO[0, 1:2]).latent_dist.mean
        torch.testing.assert_close(autoencoder.encode(VIDEO)[0, 1:2], own, rtol=1e-4, atol=1e-5)
        torch.testing.assert_close(autoencoder.decode(own[None])[0], peer.decode(own).sample, rtol=1e-4, atol=1e-5)


def test_what_is_kept_beside_the_folder_is_its_normalisation(folder):
    autoencoder, again = DiffusersAutoencoder(folder), DiffusersAutoencoder(folder)
    autoencoder.normalise(VIDEO.flatten(0, 1))
    assert sum(kept.numel() for kept in autoencoder.kept().values()) == 8
    again.restore(autoencoder.kept())
    latents = again.encode(VIDEO)
    assert torch.equal(latents, autoencoder.encode(VIDEO))
    assert latents.std((0, 1, 3, 4)).sub(1).abs().max() < 1e-3


def test_weights_saved_in_half_precision_are_run_in_single(tmp_path):
    AutoencoderKL.from_pretrained(folder_of_autoencoder(tmp_path), low_cpu_mem_usage=False).half().save_pretrained(tmp_path)
    assert DiffusersAutoencoder(tmp_path).encode(VIDEO).dtype == torch.float32


def test_no_folder_and_no_package_say_what_to_do(folder, tmp_path, monkeypatch):
    with pytest.raises(ValueError, match="give the folder of an AutoencoderKL"):
        DiffusersAutoencoder(tmp_path / "none")
    monkeypatch.setitem(sys.modules, "diffusers", None)
    with pytest.raises(MissingDiffusers, match=r"pip install 'vdmbench\[latents\]'"):
        DiffusersAutoencoder(folder)


@pytest.mark.parametrize(
    ("damage", "remedy"),
    [
        (lambda file: file.write_bytes(b"no weights"), "that can be read"),
        (lambda file: file.rename(file.with_suffix(".bin")), "that can be read"),  # pickled weights are never opened
        (lambda file: save_file(dict(list(load_file(file).items())[1:]), file, {"format": "pt"}), "save the autoencoder there"),
    ],
)
def test_weights_that_are_not_whole_are_refused_in_one_line(damage, remedy, tmp_path):
    damage(folder_of_autoencoder(tmp_path) / "diffusion_pytorch_model.safetensors")
    with pytest.raises(ValueError, match=remedy) as refused:
        DiffusersAutoencoder(tmp_path)
    assert "\n" not in str(refused.value)


def test_the_sizes_of_config_are_checked_against_the_weights(tmp_path):
    config = folder_of_autoencoder(tmp_path) / "config.json"
    config.write_text(json.dumps(json.loads(config.read_text()) | {"latent_channels": 5}))
    with pytest.raises(ValueError, match=str(tmp_path)):
        DiffusersAutoencoder(tmp_path)
