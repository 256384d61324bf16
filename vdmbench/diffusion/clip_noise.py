"""Noise that belongs to a clip, not to a batch.

Every clip draws from a generator of its own, seeded from (seed, clip index). So clip i starts from the same noise for every
variant that is compared, and stays the same whether clips are sampled one at a time or sixty-four at once.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

import torch

from vdmbench.diffusion.parameterisation import Clips

# Odd, so that multiples of it run through all values modulo 2^32 as well as 2^64 (the golden-ratio Weyl sequence).
_WEYL = 0x9E3779B97F4A7C15


def clip_seed(seed: int, clip: int) -> int:
    """64-bit generator seed of one clip.

    PyTorch's CPU generator keeps only the low 32 bits of its seed. Hashing the pair would by the birthday bound give two
    of 2,048 clips the same noise once in 2,000 runs; walking from a hashed origin in odd strides never does, for up to
    2^32 clips.
    """
    origin = int.from_bytes(hashlib.sha256(f"vdmbench.clip_noise:{seed}".encode()).digest()[:8], "little")
    return (origin + clip * _WEYL) % 2**64


class ClipNoise:
    """Callable that returns the next standard normal draw of a batch of clips, (batch, \\*shape).

    ``clips`` are the global indices of the clips in the batch and ``shape`` is that of one clip. Noise is drawn on
    ``device``: PyTorch's CPU and CUDA generators give different numbers for one seed, so pairs hold within a device type.
    """

    def __init__(
        self,
        seed: int,
        clips: Sequence[int],
        shape: Sequence[int],
        *,
        device: torch.device | str = "cpu",
        dtype: torch.dtype = torch.float32,
    ) -> None:
        if not clips:
            raise ValueError("clips is empty; give the index of at least one clip")
        if seed < 0 or min(clips) < 0:
            raise ValueError(f"seed and clip indices must not be negative, got seed {seed}, clips from {min(clips)}")
        self._shape = (len(clips), *shape)
        self._device, self._dtype = torch.device(device), dtype
        self._generators = [torch.Generator(self._device).manual_seed(clip_seed(seed, clip)) for clip in clips]

    def __call__(self) -> Clips:
        """Advance every clip's generator by one draw."""
        noise = torch.empty(self._shape, device=self._device, dtype=self._dtype)
        for row, generator in zip(noise, self._generators, strict=True):
            row.normal_(generator=generator)
        return noise
