"""Faithfulness: how often generated clips show what their captions say, where a small reader can tell."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import torch
from jaxtyping import Bool, Float, Int, UInt8
from torch import Tensor

from vdmbench.metrics.bootstrap import interval_over_videos
from vdmbench.metrics.faithfulness.reader import ATTRIBUTES, FRAMES, SIZE, WEIGHTS, SpriteReader, load_reader, numbers_of

AT_ONCE = 64


class Faithfulness:
    """Share of attributes that are read from a clip as its caption has them, mean over attributes and clips.

    The reader errs too: the same clips as they really are give the ceiling. Generated clips under the captions of the others
    give the floor of a model that makes good clips and does not listen.

    Args:
        confidence: coverage of the bootstrap interval over videos.
        bootstrap: its draws.
        seed: of the draws.
    """

    minimum_frames = FRAMES

    def __init__(self, *, confidence: float = 0.95, bootstrap: int = 1000, seed: int = 0) -> None:
        self.confidence, self.bootstrap, self.seed = confidence, bootstrap, seed
        self.reader: SpriteReader = load_reader()

    def __call__(
        self,
        generated: UInt8[Tensor, "clips frames 3 height width"],
        real: Iterable[UInt8[Tensor, "batch frames 3 height width"]],
        captions: list[str],
        told: tuple[str, ...] = tuple(ATTRIBUTES),
        *,
        videos: Int[Tensor, " clips"] | None = None,
    ) -> dict[str, Any]:
        """Of ``generated`` clips, clip i made under ``captions[i]``; ``real`` are the clips that the captions were taken from.

        ``videos`` names the video that each caption was taken from; without it each is of its own. Only the attributes
        ``told`` count; the rest is in the details. Fields are those of a metric's record; the details hold ``ceiling``,
        ``shuffled`` (the floor), ``chance``, and these and ``value`` of each attribute under ``by_attribute``.

        Raises ValueError for captions that are not of one sprite, or clips of too few frames.
        """
        truth = numbers_of(captions)
        read = self._read(generated.split(AT_ONCE))
        ceiling = _right(self._read(real), truth).double().mean(0)
        right, shuffled = _right(read, truth).double(), _under_other_captions(read, truth)
        counted = [place for place, name in enumerate(ATTRIBUTES) if name in told]
        of_clip = right[:, counted].mean(1)
        chance = torch.tensor([1 / len(words) for words in ATTRIBUTES.values()], dtype=torch.float64)
        columns = {"value": right.mean(0), "ceiling": ceiling, "shuffled": shuffled, "chance": chance}
        return {
            "name": f"faithfulness[sprites-{'+'.join(told)}]",
            "value": float(of_clip.mean()),
            "lower_is_better": False,
            "n_real": len(captions),
            "n_generated": len(generated),
            "interval": interval_over_videos(
                lambda drawn: float(of_clip[drawn].mean()),
                torch.arange(len(of_clip)) if videos is None else videos,
                replicates=self.bootstrap,
                confidence=self.confidence,
                seed=self.seed,
            ),
            "confidence": self.confidence,
            "protocol": {"reader": WEIGHTS.name, "frames": FRAMES, "size": SIZE, "told": list(told)},
            "details": {
                **{name: float(column[counted].mean()) for name, column in columns.items() if name != "value"},
                "by_attribute": {
                    attribute: {name: float(column[place]) for name, column in columns.items()}
                    for place, attribute in enumerate(ATTRIBUTES)
                },
            },
        }

    @torch.no_grad()
    def _read(self, batches: Iterable[Tensor]) -> Int[Tensor, "clips attributes"]:
        """The word of each attribute that the reader finds likeliest; on the CPU, where the reader is quick."""
        rows = [torch.stack([part.argmax(1) for part in self.reader(batch.cpu()).values()], 1) for batch in batches]
        return torch.cat(rows)


def _right(read: Int[Tensor, "clips attributes"], truth: Int[Tensor, "clips attributes"]) -> Bool[Tensor, "clips attributes"]:
    return read == truth


def _under_other_captions(
    read: Int[Tensor, "clips attributes"], truth: Int[Tensor, "clips attributes"]
) -> Float[Tensor, " attributes"]:
    """Share that would be right under another clip's caption: the mean over all pairs, which no draw has to be made for."""
    others = len(read) - 1
    if others < 1:
        return torch.full((read.shape[1],), float("nan"), dtype=torch.float64)
    pairs = torch.stack([(read[:, None, place] == truth[None, :, place]).sum() for place in range(read.shape[1])])
    return (pairs - _right(read, truth).sum(0)).double() / (len(read) * others)
