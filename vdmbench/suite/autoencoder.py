"""The autoencoder whose latents are diffused, shared by all variants."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from pydantic import Field

from vdmbench.suite.errors import problem_at
from vdmbench.suite.model import Declared

if TYPE_CHECKING:
    from vdmbench.suite.blocks import Data, Sample, Train

PIXEL_CHANNELS = 3


class AutoencoderBlock(Declared):
    """A convolutional autoencoder of single frames, trained on the training videos before the cells that share it."""

    name: Literal["conv"] = "conv"
    """The kind: conv, small and trained here."""
    factor: Literal[2, 4, 8] = 4
    """Pixels to a place of the latents, each way."""
    channels: int = Field(default=4, gt=0)
    """Channels of the latents; the network has as many."""
    width: int = Field(default=32, ge=8, multiple_of=8)
    """Features inside, at every resolution."""
    kl: float = Field(default=1e-6, ge=0)
    """Weight of the divergence of latents from a standard normal; 0 is a plain autoencoder with noise of a learned size."""
    steps: int = Field(default=500, gt=0)
    """Optimiser steps."""
    batch_size: int = Field(default=32, gt=0)
    """Frames in a step."""
    learning_rate: float = Field(default=1e-3, gt=0)
    """Of Adam, constant."""
    seed: int = Field(default=0, ge=0)
    """Of its weights, frames and noise; one autoencoder serves all seeds of a suite."""


def check_latents(autoencoder: AutoencoderBlock, data: Data, network_channels: int, train: Train, sample: Sample) -> None:
    """Raise a problem where something declared does not go with latents; it names what to do."""
    if data.size % autoencoder.factor:
        raise problem_at(
            ("data", "size"), f"must be a multiple of the autoencoder's factor, {autoencoder.factor}, got {data.size}"
        )
    if network_channels not in (PIXEL_CHANNELS, autoencoder.channels):
        raise problem_at(
            ("network", "channels"), f"the network has those of the latents, {autoencoder.channels}: leave it out"
        )
    if sample.clip_x0:
        raise problem_at(("sample", "clip_x0"), "latents are not bounded by [-1, 1] as pixels are: set 'clip_x0: false'")
    for field, given in (("known_frames", sample.known_frames), ("rollout", sample.rollout)):
        if given is not None:
            raise problem_at(("sample", field), f"'{field}' is made of pixels: leave it out, or the autoencoder")
    if train.devices > 1:
        raise problem_at(("train", "devices"), "latents are read by one device: set it to 1, or leave the autoencoder out")
