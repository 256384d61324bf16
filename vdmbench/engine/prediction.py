"""Prediction: the first frames of held-out test clips are given, and what is generated after them is held against the truth."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict, dataclass
from typing import Literal

import torch
from jaxtyping import Float, Int, UInt8
from torch import Tensor

from vdmbench.data.loading import stack, to_model_range
from vdmbench.diffusion import KnownFrames, Process
from vdmbench.engine.real_clips import RealClips
from vdmbench.metrics.bootstrap import interval_over_videos
from vdmbench.metrics.lpips import LPIPS, load_lpips
from vdmbench.metrics.prediction import last_known_repeated, prediction_scores
from vdmbench.metrics.recall import revisit_recall
from vdmbench.records import Prediction, PredictionScore, RecallScore
from vdmbench.suite import CellInputs

SCORED_AT_ONCE = 4
"""Clips: a long one is hundreds of frames, each an image to LPIPS."""
CONFIDENCE = 0.95


@dataclass(frozen=True)
class Continued:
    """The held-out test clips that generated ones continue: clip i the i-th of them, in every variant and at every seed.

    They are those that give each distance its floor, so a perfect prediction has just the floor.
    """

    real: RealClips
    known: int
    rule: Literal["frame-levels", "replacement"]
    device: torch.device

    @classmethod
    def of(cls, inputs: CellInputs, real: RealClips, process: Process, device: torch.device) -> Continued | None:
        """None where clips are made from noise alone."""
        known = inputs.sample.known_frames
        if known is None:
            return None
        return cls(real, known, "frame-levels" if process.per_frame else "replacement", device)

    def beginnings(self, clips: range) -> KnownFrames:
        """The known frames of a batch of clips."""
        return KnownFrames.first(self.known, to_model_range(self._true(clips).to(self.device)))

    def scores(self, generated: UInt8[Tensor, "clips frames channels height width"], *, with_lpips: bool = False) -> Prediction:
        """Of the generated clips, and of the last known frame repeated. One continuation a clip: nothing is picked."""
        lpips = load_lpips().to(self.device) if with_lpips else None
        batches = [
            range(first, min(first + SCORED_AT_ONCE, len(generated))) for first in range(0, len(generated), SCORED_AT_ONCE)
        ]
        scores = self._scored(((generated[each.start : each.stop], self._true(each)) for each in batches), lpips)
        still = self._scored(((last_known_repeated(true, self.known), true) for true in map(self._true, batches)), lpips)
        videos = self._videos(len(generated))
        table = {name: _score(values, still[name], videos) for name, values in scores.items()}
        return Prediction(
            known_frames=self.known,
            clips=len(generated),
            rule=self.rule,
            confidence=CONFIDENCE,
            psnr=table["psnr"],
            ssim=table["ssim"],
            lpips=table.get("lpips"),
            recall=self._recall(generated),
        )

    def _videos(self, clips: int) -> Int[Tensor, " clips"]:
        """The test video that each clip goes on with."""
        return self.real.origins(self.real.held_out[:clips]).videos

    def _true(self, clips: range) -> UInt8[Tensor, "clips frames channels height width"]:
        return stack(self.real.source, self.real.held_out[clips.start : clips.stop], self.real.frames)

    def _scored(
        self, pairs: Iterator[tuple[Tensor, Tensor]], lpips: LPIPS | None
    ) -> dict[str, Float[Tensor, "clips predicted"]]:
        cut = ((one[:, self.known :].to(self.device), other[:, self.known :].to(self.device)) for one, other in pairs)
        return prediction_scores(cut, lpips)

    def _recall(self, generated: UInt8[Tensor, "clips frames channels height width"]) -> RecallScore | None:
        """None where no predicted frame is known to show a view of the known ones."""

        def clips(copied: bool) -> Iterator[tuple[Tensor, Tensor, Tensor]]:
            for number, window in enumerate(self.real.held_out[: len(generated)]):
                true = self._true(range(number, number + 1))
                shown = last_known_repeated(true, self.known)[0] if copied else generated[number]
                yield shown, true[0], torch.from_numpy(self.real.source.revisits(window.video, window.start, self.real.frames))

        recall = revisit_recall(
            clips(copied=False), known=self.known, videos=self._videos(len(generated)), confidence=CONFIDENCE
        )
        if not recall.revisits:
            return None
        still = revisit_recall(clips(copied=True), known=self.known)
        return RecallScore(**asdict(recall), copied_gain=still.gain)


def _score(
    values: Float[Tensor, "clips predicted"], copied: Float[Tensor, "clips predicted"], videos: Int[Tensor, " clips"]
) -> PredictionScore:
    of_clip = values.mean(1)
    return PredictionScore(
        value=float(of_clip.mean()),
        interval=interval_over_videos(lambda drawn: float(of_clip[drawn].mean()), videos, confidence=CONFIDENCE),
        by_frame=values.mean(0).tolist(),
        copied=float(copied.mean()),
        copied_by_frame=copied.mean(0).tolist(),
    )
