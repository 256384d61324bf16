"""The convolutional autoencoder and what every one offers."""

from __future__ import annotations

import pytest
import torch

from vdmbench.autoencoders import ConvAutoencoder, psnr


def video(frames: int = 3, size: int = 16) -> torch.Tensor:
    return torch.rand(2, frames, 3, size, size, generator=torch.Generator().manual_seed(0)) * 2 - 1


@pytest.mark.parametrize("factor", [2, 4, 8])
def test_shapes_there_and_back(factor):
    autoencoder = ConvAutoencoder(factor=factor, channels=5, width=8)
    latents = autoencoder.encode(video())
    assert latents.shape == (2, 3, 5, 16 // factor, 16 // factor)
    assert autoencoder.decode(latents).shape == (2, 3, 3, 16, 16)


def test_normalised_latents_have_unit_variance_and_decode_to_the_same():
    autoencoder = ConvAutoencoder(factor=2, channels=4, width=8)
    before = autoencoder.decode(autoencoder.encode(video()))
    autoencoder.normalise(video().flatten(0, 1))
    latents = autoencoder.encode(video())
    assert latents.std((0, 1, 3, 4)).sub(1).abs().max() < 1e-4
    assert latents.mean((0, 1, 3, 4)).abs().max() < 1e-4
    torch.testing.assert_close(autoencoder.decode(latents), before, rtol=1e-4, atol=1e-4)


def test_each_frame_is_encoded_by_itself():
    autoencoder = ConvAutoencoder(factor=4, channels=2, width=8)
    clip = video()
    torch.testing.assert_close(autoencoder.encode(clip)[:, 1:2], autoencoder.encode(clip[:, 1:2]), rtol=1e-4, atol=1e-5)


def test_the_divergence_is_that_of_two_gaussians():
    autoencoder = ConvAutoencoder(factor=2, channels=2, width=8)
    images, noise = video().flatten(0, 1), torch.zeros(6, 2, 8, 8)
    mean, log_variance = autoencoder.distribution(images)
    own = torch.distributions.Normal(mean, (0.5 * log_variance).exp())
    expected = torch.distributions.kl_divergence(own, torch.distributions.Normal(0.0, 1.0)).mean()
    difference = autoencoder.loss(images, noise, 1.0) - autoencoder.loss(images, noise, 0.0)
    torch.testing.assert_close(difference, expected, rtol=1e-4, atol=1e-5)


def test_training_makes_reconstructions_better():
    torch.manual_seed(0)
    autoencoder, images = ConvAutoencoder(factor=2, channels=4, width=8), video(size=8).flatten(0, 1)
    optimiser = torch.optim.Adam(autoencoder.parameters(), lr=3e-3)
    noise, losses = torch.zeros(6, 4, 4, 4), []
    for _ in range(30):
        optimiser.zero_grad()
        loss = autoencoder.loss(images, noise, 1e-6)
        loss.backward()
        optimiser.step()
        losses.append(loss.item())
    assert losses[-1] < 0.8 * losses[0]


@pytest.mark.parametrize(
    ("options", "remedy"),
    [
        ({"factor": 3}, "2, 4 or 8"),
        ({"width": 12}, "multiple of 8"),
        ({"channels": 0}, "must be positive"),
    ],
)
def test_sizes_that_do_not_fit_are_refused(options, remedy):
    with pytest.raises(ValueError, match=remedy):
        ConvAutoencoder(**options)


def test_video_of_no_multiple_of_the_factor_is_refused():
    with pytest.raises(ValueError, match="multiples of 8 pixels"):
        ConvAutoencoder(factor=8, channels=2, width=8).encode(video(size=12))


def test_psnr():
    real = torch.full((2, 3, 4, 4), 100, dtype=torch.uint8)
    assert psnr(real, real) == 100
    assert psnr(real, real + 1) == pytest.approx(48.1308, abs=1e-3)
