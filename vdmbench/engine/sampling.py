"""Sampling: clips from noise, through the process that training used."""

from __future__ import annotations

from collections.abc import Callable

import torch
from jaxtyping import UInt8
from torch import Tensor, nn

from vdmbench.data.loading import to_uint8
from vdmbench.diffusion import ClipNoise, Diffusion, sample_ddim, sample_ddpm
from vdmbench.engine.training import autocast
from vdmbench.suite.blocks import Sample


def sample_clips(
    network: nn.Module,
    diffusion: Diffusion,
    sample: Sample,
    shape: tuple[int, int, int, int],
    seed: int,
    device: torch.device,
    progress: Callable[[int, int], None],
) -> UInt8[Tensor, "clips frames channels height width"]:
    """Generate ``sample.clips`` clips of ``shape`` (frames, channels, height, width), as uint8 on the CPU.

    Clip i starts from the same noise in every variant and at every batch size. ``progress`` hears of network evaluations
    done and in all.
    """
    network.eval()
    levels = sample.steps or diffusion.steps
    batches = [
        range(start, min(start + sample.batch_size, sample.clips)) for start in range(0, sample.clips, sample.batch_size)
    ]
    done: list[Tensor] = []
    for number, batch in enumerate(batches):
        draw = ClipNoise(seed, batch, shape, device=device)

        def tell(step: int, steps: int, number: int = number) -> None:
            progress(number * levels + step, len(batches) * levels)

        with torch.inference_mode(), autocast(sample.precision, device):
            if sample.sampler == "ddpm":
                clips = sample_ddpm(diffusion, network, draw, clip_x0=sample.clip_x0, progress=tell)
            else:
                clips = sample_ddim(
                    diffusion, network, draw, steps=sample.steps, eta=sample.eta, clip_x0=sample.clip_x0, progress=tell
                )
        done.append(to_uint8(clips).cpu())
    return torch.cat(done)
