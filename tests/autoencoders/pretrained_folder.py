"""A tiny AutoencoderKL with random weights, saved as diffusers saves one."""

from __future__ import annotations

from pathlib import Path

import torch
from diffusers import AutoencoderKL


def folder_of_autoencoder(folder: Path, *, seed: int = 0) -> Path:
    """Factor 2, 4 channels."""
    torch.manual_seed(seed)
    AutoencoderKL(
        down_block_types=("DownEncoderBlock2D",) * 2, up_block_types=("UpDecoderBlock2D",) * 2, block_out_channels=(8, 8),
        latent_channels=4, norm_num_groups=4,
    ).save_pretrained(folder)  # fmt: skip
    return folder
