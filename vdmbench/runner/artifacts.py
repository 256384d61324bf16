"""Generated clips as files: exact (npz) and to look at (gif, png)."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from jaxtyping import UInt8
from torch import Tensor

from vdmbench.data import viewing

SHOWN, COLUMNS, ENLARGE = 8, 8, 2


def write_samples(
    folder: Path,
    clips: UInt8[Tensor, "clips frames channels height width"],
    real: UInt8[Tensor, "real frames channels height width"],
) -> dict[str, str]:
    """Write all clips as ``samples.npz`` (arrays ``samples`` and ``reference``, channels last) and the first few as a gif
    and a grid of frames; returns file names by artifact name."""
    samples = clips.permute(0, 1, 3, 4, 2).contiguous().numpy()
    reference = real.permute(0, 1, 3, 4, 2).contiguous().numpy()
    np.savez_compressed(folder / "samples.npz", samples=samples, reference=reference)
    shown = samples[:SHOWN]
    viewing.write_gif(folder / "samples.gif", viewing.tile(shown, columns=SHOWN), enlarge=ENLARGE)
    viewing.write_contact_sheet(folder / "samples.png", shown, every=max(1, samples.shape[1] // COLUMNS), enlarge=ENLARGE)
    return {"samples": "samples.npz", "gif": "samples.gif", "grid": "samples.png"}
