"""What a network is told beside the diffusion time: a class, the actions of a clip's frames, a text.

Encoders live outside of the networks. Whatever they read, what they hand over is one of three shapes, all of the network's
``condition_width``, so that a network takes any encoder and an encoder serves any network.
"""

from __future__ import annotations

from dataclasses import dataclass

from jaxtyping import Bool, Float
from torch import Tensor


@dataclass(frozen=True)
class Condition:
    """The encoded condition of a batch of clips; what is None is not told.

    Attributes:
        vector: one for the whole clip, such as its class; added to the time embedding.
        frames: one for each frame, such as the action that leads to it; added to that frame's time embedding.
        tokens: a sequence of any length, such as a caption's; attended to, where the network has cross-attention.
        mask: which tokens count; None: all of them.

    Raises:
        ValueError: shapes that do not agree, or a mask without tokens.
    """

    vector: Float[Tensor, "batch width"] | None = None
    frames: Float[Tensor, "batch frames width"] | None = None
    tokens: Float[Tensor, "batch tokens width"] | None = None
    mask: Bool[Tensor, "batch tokens"] | None = None

    def __post_init__(self) -> None:
        for name, dims in (("vector", 2), ("frames", 3), ("tokens", 3)):
            part = getattr(self, name)
            if part is not None and part.dim() != dims:
                axes = {"vector": "(batch, width)", "frames": "(batch, frames, width)", "tokens": "(batch, tokens, width)"}
                raise ValueError(f"the condition's {name} must be {axes[name]}, got {tuple(part.shape)}")
        parts = [part for part in (self.vector, self.frames, self.tokens) if part is not None]
        if len({(part.shape[0], part.shape[-1]) for part in parts}) > 1:
            raise ValueError(
                "the condition's parts must be of one batch and width, got shapes "
                + " and ".join(str(tuple(part.shape)) for part in parts)
            )
        if self.mask is not None and (self.tokens is None or self.mask.shape != self.tokens.shape[:2]):
            tokens = "no tokens" if self.tokens is None else f"tokens of {tuple(self.tokens.shape)}"
            raise ValueError(f"the condition's mask says which tokens count, got {tuple(self.mask.shape)} for {tokens}")

    def check(self, batch: int, frames: int, width: int) -> None:
        """Raise ValueError where it is not for ``batch`` clips of so many ``frames``, of the network's ``condition_width``."""
        for name, part, wanted in (
            ("vector", self.vector, (batch, width)),
            ("frames", self.frames, (batch, frames, width)),
            ("tokens", self.tokens, (batch, None, width)),
        ):
            if part is not None and any(want not in (None, got) for want, got in zip(wanted, part.shape, strict=True)):
                shape = ", ".join("any" if want is None else str(want) for want in wanted)
                raise ValueError(
                    f"the condition's {name} must be ({shape}) for {batch} clips of {frames} frames, got {tuple(part.shape)}; "
                    "its width is the network's condition_width"
                )

    def added_to(
        self, embedding: Float[Tensor, "batch width"] | Float[Tensor, "batch frames width"]
    ) -> Float[Tensor, "batch width"] | Float[Tensor, "batch frames width"]:
        """The time embedding, of clips or frames, with ``vector`` and ``frames`` added; of frames, where these are told."""
        if self.frames is not None:
            embedding = (embedding if embedding.dim() == 3 else embedding[:, None]) + self.frames
        if self.vector is not None:
            embedding = embedding + (self.vector if embedding.dim() == 2 else self.vector[:, None])
        return embedding
