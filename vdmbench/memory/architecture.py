"""What of a card decides which kernels PyTorch takes on it: its compute capability and its multiprocessors."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Architecture:
    """A card's, by NVIDIA's data sheets.

    Attributes:
        capability: compute capability, major and minor.
        multiprocessors: streaming multiprocessors; of them follows how far some kernels split their work.
    """

    capability: tuple[int, int]
    multiprocessors: int


_A100 = Architecture((8, 0), 108)
_CARDS = {
    "v100-32gb": Architecture((7, 0), 80),
    "t4": Architecture((7, 5), 40),
    "a100-40gb": _A100,
    "a100-80gb": _A100,
    "rtx3090": Architecture((8, 6), 82),
    "a6000": Architecture((8, 6), 84),
    "l4": Architecture((8, 9), 58),
    "l40s": Architecture((8, 9), 142),
    "rtx4080": Architecture((8, 9), 76),
    "rtx4090": Architecture((8, 9), 128),
    "h100-80gb": Architecture((9, 0), 132),
    "h200": Architecture((9, 0), 132),
    "b200": Architecture((10, 0), 148),
    "rtx5090": Architecture((12, 0), 170),
}


def card_like(capability: tuple[int, int]) -> str:
    """A card of the list with that compute capability, on which PyTorch takes the same kernels.

    Raises ValueError where there is none.
    """
    for card, found in _CARDS.items():
        if found.capability == capability:
            return card
    raise ValueError(f"no card of compute capability {capability[0]}.{capability[1]} is known to vdmbench.memory.architecture")


def architecture(card: str) -> Architecture:
    """That of the card of this name; of an A100 for one that is not in the list, as an amount of memory is."""
    return _CARDS.get(card, _A100)
