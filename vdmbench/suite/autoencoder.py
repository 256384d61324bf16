"""The autoencoder whose latents are diffused, shared by all variants."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any, Literal

from pydantic import BeforeValidator, Discriminator, Field, Tag, model_validator

from vdmbench.home import expanded
from vdmbench.suite.diffusers_folder import read_autoencoder_folder
from vdmbench.suite.errors import closest, problem_at, union_tag
from vdmbench.suite.model import Declared
from vdmbench.suite.quantities import Seed

if TYPE_CHECKING:
    from vdmbench.suite.blocks import Data, Sample, Train

PIXEL_CHANNELS = 3


class ConvAutoencoderBlock(Declared):
    """A convolutional autoencoder of single frames, trained on the training videos before the cells that share it."""

    name: Literal["conv"] = "conv"
    """The kind: conv, small and trained here; or diffusers, pretrained, by its folder."""
    factor: Literal[2, 4, 8] = 4
    """Pixels to a place of the latents, each way."""
    channels: int = Field(default=4, gt=0, le=4_096)
    """Channels of the latents; the network has as many."""
    width: int = Field(default=32, ge=8, le=65_536, multiple_of=8)
    """Features inside, at every resolution."""
    kl: float = Field(default=1e-6, ge=0)
    """Weight of the divergence of latents from a standard normal; 0 is a plain autoencoder with noise of a learned size."""
    steps: int = Field(default=500, gt=0, le=1_000_000_000)
    """Optimiser steps."""
    batch_size: int = Field(default=32, gt=0, le=1_000_000)
    """Frames in a step."""
    learning_rate: float = Field(default=1e-3, gt=0)
    """Of Adam, constant."""
    seed: Seed = 0
    """Of its weights, frames and noise; one autoencoder serves all seeds of a suite."""


class DiffusersAutoencoderBlock(Declared):
    """A pretrained AutoencoderKL of diffusers, from a folder on this machine; never trained, and nothing is ever downloaded."""

    name: Literal["diffusers"]
    """Pretrained."""
    path: str
    """Folder with config.json and safetensors."""
    factor: int = Field(default=0, ge=0, le=1_024)
    """Pixels to a place of the latents, each way; filled in from config.json."""
    channels: int = Field(default=0, ge=0, le=4_096)
    """Channels of the latents; filled in from config.json."""
    sha256: str = ""
    """Of config.json and the weights, in this order; filled in where it is not given."""

    @model_validator(mode="before")
    @classmethod
    def _of_the_folder(cls, given: Any) -> Any:
        if not isinstance(given, dict) or not isinstance(given.get("path"), str):
            return given
        if all(given.get(field) for field in ("factor", "channels", "sha256")):  # read before, perhaps on another machine
            return given
        try:
            found = read_autoencoder_folder(expanded(given["path"]))._asdict()
        except (OSError, ValueError) as error:
            raise problem_at(("path",), str(error)) from None
        for field, value in found.items():
            if given.get(field) and given[field] != value:
                raise problem_at((field,), f"that of {given['path']} is {value}, got {given[field]}: leave it out")
        return {**given, **found}


_KINDS: dict[str, type[Declared]] = {"conv": ConvAutoencoderBlock, "diffusers": DiffusersAutoencoderBlock}


def _name_of(value: Any) -> str:
    return union_tag(value.get("name", "conv") if isinstance(value, dict) else value.name)


def _known_kind(value: Any) -> Any:
    if isinstance(value, Declared):
        return value
    if not isinstance(value, dict):
        raise ValueError("an autoencoder is a mapping, such as {name: conv, factor: 4} or {name: diffusers, path: FOLDER}")
    name = value.get("name", "conv")
    if not isinstance(name, str) or name not in _KINDS:
        raise problem_at(("name",), f"unknown autoencoder '{name}', {closest(str(name), list(_KINDS))}")
    for field in value:
        owner = next((kind for kind, block in _KINDS.items() if field in block.model_fields), None)
        if field not in _KINDS[name].model_fields and owner:
            raise problem_at((field,), f"'{field}' belongs to autoencoder '{owner}', and this is '{name}': "
                                       f"leave it out, or set 'name: {owner}'")  # fmt: skip
    return value


AutoencoderBlock = Annotated[
    Annotated[ConvAutoencoderBlock, Tag(union_tag("conv"))] | Annotated[DiffusersAutoencoderBlock, Tag(union_tag("diffusers"))],
    Discriminator(_name_of),
    BeforeValidator(_known_kind),
]
"""The autoencoder of a suite; without ``name`` it is the convolutional one."""


def check_latents(autoencoder: AutoencoderBlock, data: Data, network_channels: int, train: Train, sample: Sample) -> None:
    """Raise a problem where something declared does not go with latents; it names what to do."""
    if data.size % autoencoder.factor:
        raise problem_at(
            ("data", "size"), f"must be a multiple of the autoencoder's factor, {autoencoder.factor}, got {data.size}"
        )
    if network_channels not in (PIXEL_CHANNELS, autoencoder.channels):
        raise problem_at(("network", "channels"), f"the network has those of the latents, {autoencoder.channels}: leave it out")
    if sample.clip_x0:
        raise problem_at(("sample", "clip_x0"), "latents are not bounded by [-1, 1] as pixels are: set 'clip_x0: false'")
    for field, given in (("known_frames", sample.known_frames), ("rollout", sample.rollout)):
        if given is not None:
            raise problem_at(("sample", field), f"'{field}' is made of pixels: leave it out, or the autoencoder")
    if train.devices > 1:
        raise problem_at(("train", "devices"), "latents are read by one device: set it to 1, or leave the autoencoder out")
