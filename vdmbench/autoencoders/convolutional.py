"""A small convolutional autoencoder of single frames."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from vdmbench.autoencoders.autoencoder import Autoencoder

GROUPS = 8


class _Residual(nn.Module):
    """x + convolutions of it: group norm, SiLU and 3x3 convolution, twice."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.norm1, self.conv1 = nn.GroupNorm(GROUPS, width), nn.Conv2d(width, width, 3, padding=1)
        self.norm2, self.conv2 = nn.GroupNorm(GROUPS, width), nn.Conv2d(width, width, 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        return x + self.conv2(F.silu(self.norm2(self.conv1(F.silu(self.norm1(x))))))


class ConvAutoencoder(Autoencoder):
    """A residual block at each resolution, strided convolutions down and nearest-neighbour ones up; Gaussian latents.

    The form of the KL-regularised autoencoder of Rombach et al. 2022 (arXiv 2112.10752, sec. G), small, without attention and
    without an adversary.

    Args:
        factor: 2, 4 or 8 pixels to a place of the latents, each way.
        channels: of the latents.
        width: features at every resolution; a multiple of 8.

    Raises:
        ValueError: sizes that do not fit.
    """

    def __init__(self, *, factor: int = 4, channels: int = 4, width: int = 32) -> None:
        super().__init__(factor=factor, channels=channels)
        if factor not in (2, 4, 8):
            raise ValueError(f"factor must be 2, 4 or 8, got {factor}")
        if width < GROUPS or width % GROUPS:
            raise ValueError(f"width must be a multiple of {GROUPS} (groups of each group norm), got {width}")
        halvings = factor.bit_length() - 1
        down, up = [], []
        for _ in range(halvings):
            down += [_Residual(width), nn.Conv2d(width, width, 3, stride=2, padding=1)]
            up += [nn.Upsample(scale_factor=2), nn.Conv2d(width, width, 3, padding=1), _Residual(width)]
        self.encoder = nn.Sequential(
            nn.Conv2d(3, width, 3, padding=1), *down, _Residual(width), nn.GroupNorm(GROUPS, width), nn.SiLU(),
            nn.Conv2d(width, 2 * channels, 1),
        )  # fmt: skip
        self.decoder = nn.Sequential(
            nn.Conv2d(channels, width, 3, padding=1), _Residual(width), *up, nn.GroupNorm(GROUPS, width), nn.SiLU(),
            nn.Conv2d(width, 3, 3, padding=1),
        )  # fmt: skip

    def distribution(
        self, images: Float[Tensor, "images 3 height width"]
    ) -> tuple[Float[Tensor, "images channels rows columns"], Float[Tensor, "images channels rows columns"]]:
        """Mean and log-variance of each latent number."""
        mean, log_variance = self.encoder(images).chunk(2, 1)
        return mean, log_variance.clamp(-30, 20)

    def encoded(self, images: Float[Tensor, "images 3 height width"]) -> Float[Tensor, "images channels rows columns"]:
        return self.distribution(images)[0]

    def decoded(self, latents: Float[Tensor, "images channels rows columns"]) -> Float[Tensor, "images 3 height width"]:
        return self.decoder(latents)

    def loss(
        self, images: Float[Tensor, "images 3 height width"], noise: Float[Tensor, "images channels rows columns"], kl: float
    ) -> Float[Tensor, ""]:
        """Mean squared error of the reconstruction of a drawn latent, plus ``kl`` times the divergence from a standard normal.

        Kingma & Welling 2014 (arXiv 1312.6114), eq. 10: the latent is mean + deviation x noise, the divergence of one number
        (mean^2 + variance - 1 - ln variance) / 2; both terms are means over numbers, of pixels and of latents.
        """
        mean, log_variance = self.distribution(images)
        drawn = mean + torch.exp(0.5 * log_variance) * noise
        divergence = 0.5 * (mean.square() + log_variance.exp() - 1 - log_variance).mean()
        return F.mse_loss(self.decoder(drawn), images) + kl * divergence
