"""What every autoencoder is: a map from video to smaller latents of unit variance, and one back."""

from __future__ import annotations

from abc import ABC, abstractmethod

import torch
from jaxtyping import Float
from torch import Tensor, nn

Video = Float[Tensor, "batch frames 3 height width"]
Latents = Float[Tensor, "batch frames channels rows columns"]


class Autoencoder(nn.Module, ABC):
    """Encodes each frame by itself, so that a window of latents is the latents of a window.

    Latents are shifted and scaled, channel by channel, to mean 0 and variance 1 over training frames: what a diffusion process
    in [-1, 1] expects, whatever the encoder's own range (Rombach et al. 2022, arXiv 2112.10752, sec. G).

    Attributes:
        factor: pixels to a place of the latents, each way.
        channels: of the latents.
        shift, scale: mean and deviation of each channel before they are taken out.
    """

    together = 64
    """Images that :meth:`normalise` encodes at once."""
    shift: Tensor
    scale: Tensor

    def __init__(self, *, factor: int, channels: int) -> None:
        super().__init__()
        if factor < 1 or channels < 1:
            raise ValueError(f"factor and channels must be positive, got {factor} and {channels}")
        self.factor, self.channels = factor, channels
        self.register_buffer("shift", torch.zeros(channels))
        self.register_buffer("scale", torch.ones(channels))

    @abstractmethod
    def encoded(self, images: Float[Tensor, "images 3 height width"]) -> Float[Tensor, "images channels rows columns"]:
        """Latents in the encoder's own range; of a distribution its mean."""

    @abstractmethod
    def decoded(self, latents: Float[Tensor, "images channels rows columns"]) -> Float[Tensor, "images 3 height width"]:
        """Images of latents in the encoder's own range."""

    def encode(self, video: Video) -> Latents:
        """Latents of video in [-1, 1]. Raises ValueError where height or width are no multiple of ``factor``."""
        if video.dim() != 5 or video.shape[2] != 3 or any(side % self.factor for side in video.shape[3:]):
            raise ValueError(
                f"video must be (batch, frames, 3, height, width) of multiples of {self.factor} pixels a side, got "
                f"{tuple(video.shape)}"
            )
        return ((self.encoded(video.flatten(0, 1)) - self._of_channels(self.shift)) / self._of_channels(self.scale)).unflatten(
            0, video.shape[:2]
        )

    def decode(self, latents: Latents) -> Video:
        """Video of latents, in [-1, 1] as far as the decoder keeps to it."""
        own = latents.flatten(0, 1) * self._of_channels(self.scale) + self._of_channels(self.shift)
        return self.decoded(own).unflatten(0, latents.shape[:2])

    @torch.no_grad()
    def normalise(self, images: Float[Tensor, "images 3 height width"]) -> None:
        """Set shift and scale by the latents of these images. Raises ValueError where a channel says nothing."""
        encoded = torch.cat([self.encoded(part) for part in images.split(self.together)])
        means, deviations = encoded.mean((0, 2, 3)), encoded.std((0, 2, 3))
        if not (torch.isfinite(deviations).all() and (deviations > 0).all()):
            raise ValueError("a channel of the latents is constant or not finite: train it longer, or with a smaller kl; "
                             "in place of a pretrained one take another")  # fmt: skip
        self.shift.copy_(means)
        self.scale.copy_(deviations)

    def kept(self) -> dict[str, Tensor]:
        """What is to be saved of it: all, but weights that lie in a folder of their own."""
        return self.state_dict()

    def restore(self, kept: dict[str, Tensor]) -> None:
        """Be again what :meth:`kept` was of."""
        self.load_state_dict(kept)

    @staticmethod
    def _of_channels(values: Tensor) -> Float[Tensor, "channels 1 1"]:
        return values[:, None, None]
