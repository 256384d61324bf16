"""Clips to the logits of I3D, the features that make a Fréchet distance FVD (Unterthiner et al. 2018, section 3)."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

import torch
from jaxtyping import Float
from torch import Tensor, nn

from vdmbench.metrics.i3d.network import CLASSES, MINIMUM_FRAMES
from vdmbench.metrics.i3d.weights import load_i3d
from vdmbench.metrics.protocol import Resize
from vdmbench.metrics.resize import resize
from vdmbench.metrics.video import InvalidVideo, check_uint8

SIDE = 224
BYTES_PER_FRAME = 7 * 2**20  # peak of the first convolutions at 224 pixels, float32, measured by resident memory on a CPU


class I3DFeatures(nn.Module):
    """uint8 clips of any size and at least 9 frames to 400 logits, float32.

    Args:
        weights: a weight file; without one the order of :mod:`vdmbench.metrics.i3d.weights` holds.
        resize: how frames reach 224 x 224 pixels.
        value_range: "symmetric" feeds [-1, 1], as the network was trained; "unit" feeds [0, 1], as some papers did.
        precision: "bf16" runs under autocast, faster and half a percent off.
    """

    name = "i3d"
    num_features = CLASSES
    minimum_frames = MINIMUM_FRAMES
    scale_floor: float | None = None

    def __init__(
        self,
        *,
        weights: Path | None = None,
        resize: Resize = "half-pixel",
        value_range: Literal["symmetric", "unit"] = "symmetric",
        precision: Literal["fp32", "bf16"] = "fp32",
    ) -> None:
        super().__init__()
        self.network, self.weights_digest = load_i3d(weights)
        self.resize, self.value_range, self.precision = resize, value_range, precision

    @property
    def frames_at_once(self) -> int:
        """Frames in one forward: what two clips of 16 need on a CPU, half of the free memory on a CUDA device."""
        device = self.network.logits.weight.device
        if device.type != "cuda":
            return 32
        free, _ = torch.cuda.mem_get_info(device)
        return max(32, min(1024, free // (2 * BYTES_PER_FRAME)))

    @torch.no_grad()
    def forward(self, videos: Tensor) -> Float[Tensor, "batch logits"]:
        """Logits of uint8 clips (batch frames 3 height width); raises :class:`InvalidVideo` below 9 frames."""
        batch, frames = check_uint8(videos).shape[:2]
        if frames < MINIMUM_FRAMES:
            raise InvalidVideo(f"I3D needs at least {MINIMUM_FRAMES} frames, got {frames}")
        images = resize(videos.flatten(0, 1).float(), SIDE, self.resize)
        images = images / 255 if self.value_range == "unit" else images * (2 / 255) - 1
        video = images.view(batch, frames, 3, SIDE, SIDE).transpose(1, 2).contiguous(memory_format=torch.channels_last_3d)
        half = torch.autocast(video.device.type, torch.bfloat16, enabled=self.precision == "bf16")
        # TF32 convolutions would shift distances by some tenths.
        with half, torch.backends.cudnn.flags(enabled=True, benchmark=False, deterministic=False, allow_tf32=False):
            return self.network(video)
