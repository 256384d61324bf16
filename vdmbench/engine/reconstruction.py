"""What an autoencoder alone costs: held-out real clips, encoded and decoded, against real ones."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch

from vdmbench.autoencoders import Autoencoder, psnr
from vdmbench.engine.experiment import make_metrics
from vdmbench.engine.latents import decoded, encoded
from vdmbench.engine.real_clips import RealClips
from vdmbench.suite import CellInputs


def reconstruction(
    autoencoder: Autoencoder, inputs: CellInputs, real: RealClips, device: torch.device, reference_cache: Path | None
) -> dict[str, Any]:
    """``psnr``, ``reconstructions`` and ``reconstructed`` of an :class:`~vdmbench.records.Encoding`: as many held-out clips as
    are generated: where a network that has learned the latents perfectly would stand."""
    clips = torch.cat(list(real.batches(real.held_out)))
    back = decoded(autoencoder, encoded(autoencoder, clips, device), device)
    distances = {}
    for name, metric in make_metrics(inputs).items():
        reference = real.reference(metric.to(device), reference_cache)
        distances[name] = float(metric(reference, back, real.origins(real.held_out))["value"])
    return {"psnr": psnr(clips, back), "reconstructions": distances, "reconstructed": len(clips)}
