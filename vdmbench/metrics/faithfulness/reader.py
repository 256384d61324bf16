"""The sprite reader: which shape, in which colour, begins to move in which direction; read from the pixels of a clip.

Small enough to be part of the package. Its weights were trained on real clips by ``benchmarks/train_sprite_reader.py``.
"""

from __future__ import annotations

from functools import cache
from pathlib import Path

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int, UInt8
from safetensors.torch import load_file
from torch import Tensor, nn

FRAMES, SIZE = 8, 32
"""What it looks at: the first frames of a clip, brought to that many pixels a side."""
WEIGHTS = Path(__file__).with_name("sprite_reader.safetensors")

ATTRIBUTES: dict[str, tuple[str, ...]] = {
    "shape": ("disc", "square", "triangle", "hexagon", "ring", "cross", "star"),
    "colour": (
        "red", "orange", "yellow", "lime", "green", "teal", "cyan", "azure", "blue", "violet", "magenta", "pink",
    ),
    "direction": (
        "right", "down and right", "down", "down and left", "left", "up and left", "up", "up and right",
    ),
}  # fmt: skip
"""What is read, and the words that a caption has for it."""

_WIDTHS = (24, 40, 56, 56)


class SpriteReader(nn.Module):
    """Frames side by side as channels, four convolutions, and one linear map of the mean and the largest of each feature."""

    def __init__(self) -> None:
        super().__init__()
        inputs = (3 * FRAMES, *_WIDTHS[:-1])
        self.convolutions = nn.ModuleList(
            nn.Conv2d(wide, out, 3, stride=2 if 0 < level < 3 else 1, padding=1, bias=False)
            for level, (wide, out) in enumerate(zip(inputs, _WIDTHS, strict=True))
        )
        self.norms = nn.ModuleList(nn.GroupNorm(8, width) for width in _WIDTHS)
        self.head = nn.Linear(2 * _WIDTHS[-1], sum(map(len, ATTRIBUTES.values())))

    def forward(self, clips: UInt8[Tensor, "clips frames 3 height width"]) -> dict[str, Float[Tensor, "clips words"]]:
        """Logits of the words of each attribute. Raises ValueError for clips of fewer than ``FRAMES`` frames."""
        if clips.shape[1] < FRAMES:
            raise ValueError(f"the sprite reader looks at {FRAMES} frames, and clips have {clips.shape[1]}: sample longer ones")
        x = clips[:, :FRAMES].float().div(127.5).sub(1).flatten(1, 2)
        if x.shape[-2:] != (SIZE, SIZE):
            x = F.interpolate(x, (SIZE, SIZE), mode="bilinear", antialias=True)
        return self.read(x)

    def read(self, x: Float[Tensor, "clips channels size size"]) -> dict[str, Float[Tensor, "clips words"]]:
        """Of frames in [-1, 1] at its own size, folded into channels."""
        for convolution, norm in zip(self.convolutions, self.norms, strict=True):
            x = F.silu(norm(convolution(x)))
        features = torch.cat([x.mean((2, 3)), x.amax((2, 3))], 1)
        parts = self.head(features).split([len(words) for words in ATTRIBUTES.values()], 1)
        return dict(zip(ATTRIBUTES, parts, strict=True))


@cache
def load_reader() -> SpriteReader:
    """The reader with the weights of the package, on the CPU."""
    reader = SpriteReader()
    reader.load_state_dict({name: value.float() for name, value in load_file(WEIGHTS).items()})
    return reader.eval().requires_grad_(False)


def words_of(caption: str) -> dict[str, str] | None:
    """What a sprite's caption says of each attribute; None of a caption of another form, or of several sprites.

    ``a magenta two-coloured hexagon moving up and left``: colour, pattern (not read), shape, direction.
    """
    looks, moving, direction = caption.partition(" moving ")
    words = looks.split()
    if not moving or len(words) < 3:
        return None
    said = {"shape": words[-1], "colour": words[1], "direction": direction}
    return said if all(said[name] in known for name, known in ATTRIBUTES.items()) else None


def numbers_of(captions: list[str]) -> Int[Tensor, "captions attributes"]:
    """The words of each caption by their places in :data:`ATTRIBUTES`.

    Raises ValueError for the first caption that does not say them.
    """
    rows = []
    for caption in captions:
        said = words_of(caption)
        if said is None:
            raise ValueError(
                f"faithfulness reads captions of one sprite, got {caption!r}: use data.source {{name: sprites, sprites: 1}}"
            )
        rows.append([words.index(said[name]) for name, words in ATTRIBUTES.items()])
    return torch.tensor(rows, dtype=torch.int64).view(-1, len(ATTRIBUTES))
