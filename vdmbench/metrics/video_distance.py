"""A distance between generated and real video with everything that its reader needs beside it."""

from __future__ import annotations

import math
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from vdmbench.metrics.bootstrap import VideoDraws, bootstrap_interval
from vdmbench.metrics.extractor import ClipFeatures, Extractor, extract, in_batches
from vdmbench.metrics.frechet import Gaussian, Moments, TooFewClips, frechet_distance, standard_scale
from vdmbench.metrics.kernel import kernel_distance
from vdmbench.metrics.protocol import Protocol
from vdmbench.metrics.reference import Reference, build_reference

SMALL = 256  # clips under which an estimate is mostly its own bias
CUSTOMARY = 2048  # clips of the published protocols


class VideoDistance:
    """Fréchet distance under one protocol, its kernel companion, floor, interval and controls.

    Build a :class:`Reference` once with :meth:`reference`, then call the object with it and the generated clips.
    """

    def __init__(
        self,
        extractor: Extractor,
        protocol: Protocol,
        *,
        bootstrap: int = 200,
        confidence: float = 0.95,
        control_clips: int = 64,
        seed: int = 0,
    ) -> None:
        if bootstrap < 2 or control_clips < 2:
            raise ValueError(f"bootstrap and control_clips must be at least 2, got {bootstrap} and {control_clips}")
        self.extractor, self.protocol = extractor, protocol
        self.bootstrap, self.confidence, self.control_clips, self.seed = bootstrap, confidence, control_clips, seed

    def reference(
        self, real: Tensor | Iterable[Tensor], held_out: Tensor | Iterable[Tensor], *, fingerprint: str,
        cache: Path | None = None,
    ) -> Reference:
        """Measure real and held-out real clips, or find them in the folder ``cache``; see :func:`build_reference`."""
        return build_reference(self.extractor, self.protocol, real, held_out, fingerprint=fingerprint,
                               control_clips=self.control_clips, seed=self.seed, cache=cache)

    def __call__(self, reference: Reference, generated: Tensor | Iterable[Tensor]) -> dict[str, Any]:
        """Judge uint8 clips (batch frames 3 height width, one tensor or batches); returns a JSON-able object.

        Raises :class:`TooFewClips` below two clips, :class:`InvalidVideo` on what is not such video.
        """
        return self.judge(reference, extract(self.extractor, in_batches(generated), self.protocol))

    def judge(self, reference: Reference, generated: ClipFeatures) -> dict[str, Any]:
        """The same for features that were extracted before."""
        for side, clips in (("real", reference.real), ("held-out", reference.held_out), ("generated", generated)):
            if len(clips) < 2:
                raise TooFewClips(f"{self.protocol.name}: a distance needs at least 2 {side} clips, got {len(clips)}")
        if generated.frames != reference.real.frames:
            raise ValueError(f"generated clips have {generated.frames} frames and the reference {reference.real.frames}: "
                             "distances at different lengths say nothing of each other")
        scale = self._scale(reference)
        real, held_out, fake = (clips.features.double() / scale for clips in (reference.real, reference.held_out, generated))
        fitted = self._fit(real)
        distance = float(frechet_distance(fitted, self._fit(fake)))
        paired = held_out[: len(fake)]
        interval = bootstrap_interval(
            lambda x, y: frechet_distance(self._fit(x), self._fit(y)), real, fake, real_videos=reference.real.videos,
            generated_videos=generated.videos, replicates=self.bootstrap, confidence=self.confidence, seed=self.seed)
        controls = self._controls(reference, fitted, scale)
        deficient = min(len(real), len(fake)) <= real.shape[1]
        return {
            "name": self.protocol.label(len(real), len(fake), generated.frames),
            "value": distance,
            "interval": list(interval),
            "confidence": self.confidence,
            "kvd": float(kernel_distance(real, fake)),
            "floor": float(frechet_distance(fitted, self._fit(paired))),
            "floor_n": len(paired),
            "n_real": len(real),
            "n_generated": len(fake),
            "videos_real": len(reference.real.videos.unique()),
            "videos_generated": len(generated.videos.unique()),
            **controls,
            "rank_deficient": deficient,
            "warnings": self._warnings(len(real), len(fake), len(paired), deficient, controls["blind"]),
            "protocol": self.protocol.canonical(),
        }

    def _fit(self, features: Tensor) -> Gaussian:
        return Gaussian.fit(features, self.protocol.divisor)

    def _scale(self, reference: Reference) -> Tensor:
        if self.protocol.scale_floor is None:
            return torch.ones(reference.real.features.shape[1], dtype=torch.float64)
        return standard_scale(Moments.of(reference.real.features), self.protocol.scale_floor)

    def _controls(self, reference: Reference, fitted: Gaussian, scale: Tensor) -> dict[str, Any]:
        """Distance of each control beside the same clips unbroken; a control is seen where drawing other clips would hardly
        ever (one-sided, at the declared confidence) have left the broken ones no further away than the whole ones."""
        values: dict[str, float] = {}
        blind = []
        clean_value = math.nan
        for name, clips in reference.controls.items():
            broken = clips.features.double() / scale
            clean = reference.held_out.features[: len(broken)].double() / scale
            clean_value = float(frechet_distance(fitted, self._fit(clean)))
            values[name] = float(frechet_distance(fitted, self._fit(broken)))
            draw = VideoDraws(clips.videos, self.seed)
            excess = []
            for _ in range(self.bootstrap):
                rows = draw()
                further, whole = (frechet_distance(fitted, self._fit(side[rows])) for side in (broken, clean))
                excess.append(further - whole)
            if float(torch.stack(excess).quantile(1 - self.confidence)) <= 0:
                blind.append(name)
        count = len(next(iter(reference.controls.values())))
        return {"controls": values, "control_clean": clean_value, "control_n": count, "blind": blind}

    def _warnings(self, real: int, fake: int, held_out: int, deficient: bool, blind: list[str]) -> list[str]:
        notes = []
        least = min(real, fake)
        if least < SMALL:
            notes.append(f"{least} clips: the distance is mostly sampling bias, read it against its floor and never against "
                         "another count")
        elif least < CUSTOMARY:
            notes.append(f"{least} clips: not comparable with numbers at the customary {CUSTOMARY}")
        if deficient:
            notes.append(f"{least} clips for {self.extractor.num_features} features: covariances are singular, the distance is "
                         "exact but its bias is large")
        if real != fake:
            notes.append(f"{real} real and {fake} generated clips")
        if held_out != fake:
            notes.append(f"the floor has {held_out} held-out clips where the distance has {fake}, so it lies higher")
        if blind:
            notes.append(f"blind to {', '.join(blind)} at this count: such damage would not have shown")
        return notes
