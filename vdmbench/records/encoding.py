"""What is recorded of the autoencoder of a cell."""

from __future__ import annotations

from pydantic import Field

from vdmbench.records.recorded import Recorded


class Encoding(Recorded):
    """The autoencoder whose latents were diffused; its making is shared by all cells that use it, and in no phase of theirs."""

    autoencoder: str
    """SHA-256 of its weights; of a pretrained one, of its config.json and weights."""
    parameters: int
    channels: int
    factor: int
    """Pixels to a place of the latents, each way."""
    train_steps: int | None
    """Null, with the next two: it was pretrained."""
    train_seconds: float | None
    final_loss: float | None
    """Mean over the last tenth of its steps."""
    encode_seconds: float
    """Of all training frames; of a pretrained one, loading and normalising it too."""
    latent_bytes: int
    """Of all training frames, on the disk."""
    decode_seconds: float | None = None
    """Of the generated clips; part of the evaluate phase."""
    psnr: float | None = None
    """dB, of held-out test clips, encoded and decoded."""
    reconstructions: dict[str, float] = Field(default_factory=dict)
    """Distance of these to the real clips, by metric: where a network that has learned the latents perfectly would stand."""
    reconstructed: int | None = None
    """Clips of both."""
