"""Sampling: clips from noise, through the process that training used."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import torch
from jaxtyping import Float, UInt8
from torch import Tensor, nn

from vdmbench.data.loading import to_uint8
from vdmbench.diffusion import (
    ClipNoise,
    Denoiser,
    KnownFrames,
    Process,
    sample_ddim,
    sample_ddpm,
    sample_dpmpp_2m,
    sample_euler,
    sample_heun,
)
from vdmbench.engine.finite import require_finite
from vdmbench.engine.training import autocast
from vdmbench.suite.blocks import Sample

PerBatch = Callable[[range], Denoiser]
"""The denoiser of a batch of clips, from their indices: the network with each clip's condition, or guided."""


def sampler_of(sample: Sample) -> Callable[..., Tensor]:
    """The declared sampler, as ``sampler(process, denoiser, draw, known=..., progress=...)``."""
    options: dict[str, Any] = {"clip_x0": sample.clip_x0}
    if sample.sampler == "ddpm":
        return partial(sample_ddpm, **options)
    if sample.sampler == "ddim":
        return partial(sample_ddim, steps=sample.steps, eta=sample.eta, **options)
    options["steps"] = sample.steps
    return partial({"dpmpp-2m": sample_dpmpp_2m, "euler": sample_euler, "heun": sample_heun}[sample.sampler], **options)


def sample_clips(
    network: nn.Module,
    diffusion: Process,
    sample: Sample,
    shape: tuple[int, int, int, int],
    seed: int,
    device: torch.device,
    progress: Callable[[int, int], None],
    *,
    denoiser: PerBatch | None = None,
    known: Callable[[range], KnownFrames] | None = None,
    latents: bool = False,
) -> UInt8[Tensor, "clips frames channels height width"] | Float[Tensor, "clips frames channels rows columns"]:
    """Generate ``sample.clips`` clips of ``shape`` (frames, channels, height, width), as uint8 on the CPU.

    Clip i starts from the same noise in every variant and at every batch size. ``progress`` hears of levels visited and in
    all. ``denoiser`` makes what is sampled with from the indices of a batch's clips, where it is not ``network`` alone;
    ``known`` tells the frames of these clips that are given. ``latents`` are not quantised: they come as they are.
    """
    network.eval()
    sampler = sampler_of(sample)
    levels = len(diffusion.visited(sample.steps))
    batches = [
        range(start, min(start + sample.batch_size, sample.clips)) for start in range(0, sample.clips, sample.batch_size)
    ]
    done: list[Tensor] = []
    for number, batch in enumerate(batches):
        draw = ClipNoise(seed, batch, shape, device=device)

        def tell(step: int, steps: int, number: int = number) -> None:
            progress(number * levels + step, len(batches) * levels)

        with torch.inference_mode(), autocast(sample.precision, device):
            clips = sampler(
                diffusion,
                network if denoiser is None else denoiser(batch),
                draw,
                known=None if known is None else known(batch),
                progress=tell,
            )
        require_finite(clips, "sampled clips")
        done.append(clips.cpu() if latents else to_uint8(clips).cpu())
    return torch.cat(done)
