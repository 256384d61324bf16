"""Position encodings that all temporal layers share, as the published network has them."""

from __future__ import annotations

from collections.abc import Iterable

from torch import nn

from vdmbench.mixers import Mixer
from vdmbench.mixers.heads import Heads
from vdmbench.mixers.relative_bias import RelativeBias
from vdmbench.mixers.rotary import Rotary

PUBLISHED_MAX_DISTANCE = 32


class SharedPositions(nn.Module):
    """One relative-bias table, and one set of rotary frequencies where the mixers rotate (Oshima et al. 2024, code).

    The table exists under every mixer; one that no mixer uses is frozen, so that training does not wait for its gradient.
    Mixers are handed the call and not the module, so that each parameter has one name.

    Args:
        heads: of every attention, and columns of the table.
        mixers: whose own encodings are replaced.

    Raises:
        ValueError: mixers that are not the published ones, having other heads, or other rotated features.
    """

    def __init__(self, heads: int, mixers: Iterable[Mixer]) -> None:
        super().__init__()
        mixers = list(mixers)
        biases = [own for own in (getattr(mixer, "relative_bias", None) for mixer in mixers) if isinstance(own, RelativeBias)]
        rotaries = [own for own in (getattr(mixer, "rotary", None) for mixer in mixers) if isinstance(own, Rotary)]
        unlike = {part.count for mixer in mixers for part in mixer.modules() if isinstance(part, Heads)} - {heads}
        if unlike:
            raise ValueError(
                f"preset oshima2024 has base_channels / 8 = {heads} heads in every attention: "
                f"set the mixer's heads to {heads}, got {sorted(unlike)}, or leave them out where a suite or build() makes it"
            )
        widths = {rotary.width for rotary in rotaries}
        if len(widths) > 1:
            raise ValueError(
                "preset oshima2024 shares one set of rotary frequencies: set the mixer's heads and head_dim, so "
                f"that every layer rotates as many features, got {sorted(widths)}"
            )
        if biases:
            self.relative_bias = biases[0]
        else:
            self.relative_bias = RelativeBias(heads, max_distance=PUBLISHED_MAX_DISTANCE).requires_grad_(False)
        self.rotary = Rotary(widths.pop(), stored=True) if widths else None
        shared = {"relative_bias": self.relative_bias, "rotary": self.rotary}
        for mixer in mixers:
            for name, encoding in shared.items():
                if encoding is not None and isinstance(getattr(mixer, name, None), type(encoding)):
                    delattr(mixer, name)
                    setattr(mixer, name, encoding.__call__)
