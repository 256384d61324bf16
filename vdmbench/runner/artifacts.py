"""Generated clips as files: exact (npz) and to look at (gif, png)."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from jaxtyping import UInt8
from torch import Tensor

from vdmbench.data import viewing

SHOWN, COLUMNS, ENLARGE = 8, 8, 2
LONGEST = 240
"""Frames of a moving picture; of longer clips it shows that many, evenly over their length."""
ROLLOUT = "samples.npy"
"""All clips of a rollout, written while they are made."""


def write_samples(
    folder: Path,
    clips: UInt8[Tensor, "clips frames channels height width"],
    real: UInt8[Tensor, "real frames channels height width"],
    *,
    stored: bool = False,
) -> dict[str, str]:
    """Write all clips as ``samples.npz`` (arrays ``samples`` and ``reference``, channels last) and the first few as a gif
    and a grid of frames; returns file names by artifact name. Clips that are ``stored`` in ``samples.npy`` are left out of the
    first, which then holds the reference alone."""
    samples = clips.permute(0, 1, 3, 4, 2).numpy()
    reference = real.permute(0, 1, 3, 4, 2).contiguous().numpy()
    arrays = {"reference": reference} if stored else {"samples": np.ascontiguousarray(samples), "reference": reference}
    np.savez_compressed(folder / "samples.npz", **arrays)
    shown = samples[:SHOWN]
    evenly = shown[:, :: -(-shown.shape[1] // LONGEST)]
    viewing.write_gif(folder / "samples.gif", viewing.tile(evenly, columns=SHOWN), enlarge=ENLARGE)
    viewing.write_contact_sheet(folder / "samples.png", shown, every=max(1, samples.shape[1] // COLUMNS), enlarge=ENLARGE)
    files = {"samples": "samples.npz", "gif": "samples.gif", "grid": "samples.png"}
    return files | ({"rollout": ROLLOUT} if stored else {})
