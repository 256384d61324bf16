"""What a folder of an ``AutoencoderKL`` of diffusers says of itself, read without torch or diffusers."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, NamedTuple

from vdmbench.file_digests import digest_of, digests

WEIGHTS = "diffusion_pytorch_model.safetensors"
"""As diffusers names them."""
KIND = "AutoencoderKL"
_WHERE = "give the folder of an AutoencoderKL on this machine, such as 'vae' of a pipeline's (nothing is downloaded)"


class AutoencoderFolder(NamedTuple):
    """Sizes, and what tells one from another."""

    factor: int
    channels: int
    sha256: str
    """Of config.json and the weights."""


def read_autoencoder_folder(folder: Path) -> AutoencoderFolder:
    """Raises ValueError where the folder holds no autoencoder of images that can be used, with what to do; and OSError."""
    config, weights = folder / "config.json", folder / WEIGHTS
    if not folder.is_dir():
        raise ValueError(f"{folder} is no folder: {_WHERE}")
    if not config.is_file():
        raise ValueError(f"{folder} holds no config.json: {_WHERE}")
    try:
        declared = json.loads(config.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise ValueError(f"{config} cannot be read ({error}): save the autoencoder there again") from None
    kind = declared.get("_class_name") if isinstance(declared, dict) else None
    if kind != KIND:
        raise ValueError(f"{config} is of {kind or 'nothing that it names'}, not of {KIND}: {_WHERE}")
    factor, channels = _sizes(declared, config)
    if not weights.is_file():
        raise ValueError(f"{folder} holds no {WEIGHTS}: save the autoencoder there again by save_pretrained, as safetensors")
    return AutoencoderFolder(factor, channels, digest_of(digests(folder, [config.name, WEIGHTS])))


def _sizes(declared: dict[str, Any], config: Path) -> tuple[int, int]:
    """Each block of the encoder but the last halves its frame."""
    colours = [declared.get("in_channels", 3), declared.get("out_channels", 3)]
    blocks, channels = declared.get("block_out_channels"), declared.get("latent_channels")
    if colours != [3, 3]:
        raise ValueError(f"{config} is of images of {colours[0]} channels, not 3: give an autoencoder of colour images")
    if not isinstance(blocks, list) or not blocks or type(channels) is not int or channels < 1:
        raise ValueError(f"{config} names no block_out_channels and latent_channels: save the autoencoder there again")
    return 2 ** (len(blocks) - 1), channels
