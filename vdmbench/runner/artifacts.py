"""Generated clips as files: exact (npz) and to look at (gif, png)."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from jaxtyping import UInt8
from torch import Tensor

from vdmbench.data import viewing
from vdmbench.data.told import ClipFacts

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
    facts: ClipFacts | None = None,
    name: str = "samples",
) -> dict[str, str]:
    """Write all clips as ``samples.npz`` (arrays ``samples`` and ``reference``, channels last) and the first few as a gif
    and a grid of frames; returns file names by artifact name. Clips that are ``stored`` in ``samples.npy`` are left out of the
    first, which then holds the reference alone. What the network was told of each clip stands beside it: ``labels``,
    ``captions``, ``actions``. ``name`` is what the files are called in place of ``samples``."""
    samples = clips.permute(0, 1, 3, 4, 2).numpy()
    reference = real.permute(0, 1, 3, 4, 2).contiguous().numpy()
    arrays = {"reference": reference} if stored else {"samples": np.ascontiguousarray(samples), "reference": reference}
    arrays |= _told(facts)
    np.savez_compressed(folder / f"{name}.npz", **arrays)  # type: ignore[arg-type]  # of the keyword allow_pickle
    shown = samples[:SHOWN]
    evenly = shown[:, :: -(-shown.shape[1] // LONGEST)]
    viewing.write_gif(folder / f"{name}.gif", viewing.tile(evenly, columns=SHOWN), enlarge=ENLARGE)
    viewing.write_contact_sheet(folder / f"{name}.png", shown, every=max(1, samples.shape[1] // COLUMNS), enlarge=ENLARGE)
    files = {"samples": f"{name}.npz", "gif": f"{name}.gif", "grid": f"{name}.png"}
    return files | ({"rollout": ROLLOUT} if stored else {})


def _told(facts: ClipFacts | None) -> dict[str, np.ndarray]:
    if facts is None:
        return {}
    arrays = {"labels": facts.labels, "captions": facts.captions, "actions": facts.actions}
    return {name: np.asarray(each) for name, each in arrays.items() if each is not None}
