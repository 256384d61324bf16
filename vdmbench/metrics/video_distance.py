"""A distance between generated and real video with everything that its reader needs beside it."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn

from vdmbench.metrics.bootstrap import VideoDraws, bootstrap_interval, widening
from vdmbench.metrics.debiased import (
    FEWEST_VIDEOS,
    Sample,
    debiased_distance,
    debiased_interval,
    effective_rank,
    videos_needed,
)
from vdmbench.metrics.drift import drift_curve
from vdmbench.metrics.extractor import ClipFeatures, Extractor, Origins, extract, in_batches
from vdmbench.metrics.frechet import Gaussian, Moments, TooFewClips, frechet_distance, standard_scale
from vdmbench.metrics.kernel import kernel_distance
from vdmbench.metrics.manifold import manifold_scores
from vdmbench.metrics.memorisation import memorisation
from vdmbench.metrics.protocol import Protocol
from vdmbench.metrics.reference import Reference, build_reference, training_features
from vdmbench.metrics.video import InvalidVideo

SMALL = 256  # clips under which an estimate is mostly its own bias
CUSTOMARY = 2048  # clips of the published protocols
PAIRED = 10_000  # clips a side for companions that compare every pair


class VideoDistance:
    """Fréchet distance under one protocol, its companions, floor, interval and controls, from one pass over the clips.

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
        if not 0.5 < confidence < 1:
            raise ValueError(f"confidence must lie between 0.5 and 1, got {confidence}")
        self.extractor, self.protocol = extractor, protocol
        self.bootstrap, self.confidence, self.control_clips, self.seed = bootstrap, confidence, control_clips, seed

    def to(self, device: torch.device | str) -> VideoDistance:
        """Extract features on ``device``; clips go there batch by batch, and features come back to the CPU."""
        if isinstance(self.extractor, nn.Module):
            self.extractor.to(device)
        return self

    def reference(
        self,
        real: Tensor | Iterable[Tensor],
        held_out: Tensor | Iterable[Tensor],
        *,
        fingerprint: str,
        real_origins: Origins | None = None,
        held_out_origins: Origins | None = None,
        cache: Path | None = None,
    ) -> Reference:
        """Measure real and held-out real clips, or find them in the folder ``cache``; see :func:`build_reference`."""
        return build_reference(
            self.extractor,
            self.protocol,
            real,
            held_out,
            fingerprint=fingerprint,
            real_origins=real_origins,
            held_out_origins=held_out_origins,
            control_clips=self.control_clips,
            seed=self.seed,
            cache=cache,
        )

    def training(
        self, clips: Iterable[Tensor], *, fingerprint: str, origins: Origins, cache: Path | None = None
    ) -> ClipFeatures:
        """Measure training clips, or find them in ``cache``: what generated clips may be copies of."""
        return training_features(self.extractor, self.protocol, clips, fingerprint=fingerprint, origins=origins, cache=cache)

    def __call__(
        self,
        reference: Reference,
        generated: Tensor | Iterable[Tensor],
        origins: Origins | None = None,
        training: ClipFeatures | None = None,
    ) -> dict[str, Any]:
        """Judge uint8 clips (batch frames 3 height width, one tensor or batches); returns a JSON-able object.

        Without ``origins`` each clip is a video of its own; without ``training`` clips nothing is said of memorisation.

        Raises :class:`TooFewClips` below two clips, :class:`InvalidVideo` on what is not such video.
        """
        return self.judge(reference, extract(self.extractor, in_batches(generated), self.protocol, origins), training)

    def judge(self, reference: Reference, generated: ClipFeatures, training: ClipFeatures | None = None) -> dict[str, Any]:
        """The same for features that were extracted before."""
        for side, clips in (("real", reference.real), ("held-out", reference.held_out), ("generated", generated)):
            if len(clips) < 2:
                raise TooFewClips(f"{self.protocol.name}: a distance needs at least 2 {side} clips, got {len(clips)}")
        if generated.frames != reference.real.frames:
            raise ValueError(
                f"generated clips have {generated.frames} frames and the reference {reference.real.frames}: "
                "distances at different lengths say nothing of each other"
            )
        sizes = [reference.real.size, generated.size]
        if self.protocol.size == "own" and sizes[0] != sizes[1]:
            raise InvalidVideo(
                f"generated clips are {_pixels(sizes[1])} and the reference {_pixels(sizes[0])}, and {self.protocol.name} "
                "measures clips as they are: resize one side first"
            )
        standard = self._standard(reference)
        real, fake = standard(reference.real.features), standard(generated.features)
        interval = bootstrap_interval(
            self._distance,
            real,
            fake,
            real_videos=reference.real.videos,
            generated_videos=generated.videos,
            replicates=self.bootstrap,
            confidence=self.confidence,
            seed=self.seed,
        )
        result: dict[str, Any] = {
            "name": self.protocol.label(len(real), len(fake), generated.frames, generated.size),
            "value": float(self._distance(real, fake)),
            "interval": interval and list(interval),
            "confidence": self.confidence,
            "n_real": len(real),
            "n_generated": len(fake),
            "videos_real": len(reference.real.videos.unique()),
            "videos_generated": len(generated.videos.unique()),
            "windows_real": reference.real.distinct_windows(self.protocol.stride),
            "windows_generated": generated.distinct_windows(self.protocol.stride),
            "rank_deficient": min(len(real), len(fake)) <= real.shape[1],
            "kvd": float(kernel_distance(real[:PAIRED], fake[:PAIRED])),
            **self._debiased(Sample(real, reference.real.videos), Sample(fake, generated.videos)),
            "manifold": manifold_scores(real[:PAIRED], fake[:PAIRED]),
            **self._floor_and_controls(reference, fake, standard),
            "memorisation": self._memorisation(reference, generated, training, standard),
            "comparable": self.protocol.comparable,
            "protocol": self.protocol.canonical(),
        }
        if self.protocol.window == "all":
            result["drift"] = drift_curve(self.protocol, reference, generated, standard)
        resized = (
            []
            if sizes[0] == sizes[1]
            else [f"clips are {_pixels(sizes[0])} real and {_pixels(sizes[1])} generated: each is resized on its own"]
        )
        return result | {"warnings": [*self._warnings(result), *resized]}

    def _memorisation(
        self,
        reference: Reference,
        generated: ClipFeatures,
        training: ClipFeatures | None,
        standard: Callable[[Tensor], Tensor],
    ) -> dict[str, Any] | None:
        """Against training clips; or, where every second real video is held out against the others, against those."""
        held_out, among = reference.held_out, training or reference.apart
        if among is None:
            return None
        if training is not None:  # neither set of real clips was trained on, and they share no video
            apart = replace(held_out, videos=held_out.videos + reference.real.videos.max() + 1)
            held_out = ClipFeatures.joined([reference.real, apart])
        seen = [replace(clips, features=standard(clips.features)) for clips in (among, generated, held_out)]
        found = memorisation(*seen, seed=self.seed)
        return found and {"among": "real" if training is None else "training", **found}

    def _standard(self, reference: Reference) -> Callable[[Tensor], Tensor]:
        """What the protocol does to features: nothing, or the reference's mean and deviations taken out of all of them."""
        if self.protocol.scale_floor is None:
            return lambda features: features
        mean = reference.real.features.mean(0, dtype=torch.float64)
        scale = standard_scale(Moments.of(reference.real.features), self.protocol.scale_floor)
        return lambda features: (features - mean) / scale

    def _fit(self, features: Float[Tensor, "rows features"]) -> Gaussian:
        return Gaussian.fit(features, self.protocol.divisor)

    def _distance(self, real: Tensor, generated: Tensor) -> Tensor:
        return frechet_distance(self._fit(real), self._fit(generated))

    def _debiased(self, real: Sample, generated: Sample) -> dict[str, Any]:
        """The distance without the bias of few clips, null under the count that it needs; and that count."""
        fewest = min(real.videos, generated.videos)
        if fewest < FEWEST_VIDEOS:
            return {"debiased": None, "debiased_interval": None, "debiased_needs": None}
        needs = videos_needed(effective_rank(real, seed=self.seed), real.features.shape[1])
        if fewest < needs:
            return {"debiased": None, "debiased_interval": None, "debiased_needs": needs}
        value = debiased_distance(real, generated, seed=self.seed)
        interval = debiased_interval(
            value, real, generated, replicates=self.bootstrap, confidence=self.confidence, seed=self.seed
        )
        return {"debiased": value, "debiased_interval": list(interval), "debiased_needs": needs}

    def _floor_and_controls(
        self, reference: Reference, fake: Float[Tensor, "rows features"], standard: Callable[[Tensor], Tensor]
    ) -> dict[str, Any]:
        """Distance of held-out real clips, as many as were generated, and of the broken ones beside the same unbroken.

        ``value_at_floor_n`` is the distance of generated clips against the same real ones and at the floor's own count, for
        where held-out clips are fewer: those two may be compared, whatever the counts.

        A control is seen where drawing other clips would hardly ever (one-sided, at the declared confidence) have left the
        broken clips no further away than the whole ones.
        """
        against = standard((reference.apart or reference.real).features)
        fitted = self._fit(against)
        held_out = standard(reference.held_out.features)
        floor = held_out[: len(fake)]
        used = min(len(clips) for clips in reference.controls.values())
        clean = held_out[:used]
        draw = VideoDraws(reference.held_out.videos[:used], self.seed)
        draws = [draw() for _ in range(self.bootstrap)]
        whole = torch.stack([frechet_distance(fitted, self._fit(clean[rows])) for rows in draws])
        values: dict[str, float] = {}
        further: dict[str, Tensor] = {}
        for name, clips in reference.controls.items():
            broken = standard(clips.features)
            values[name] = float(frechet_distance(fitted, self._fit(broken)))
            further[name] = torch.stack([frechet_distance(fitted, self._fit(broken[rows])) for rows in draws])
        # One clip repeated has no spread, so its distance is that of a point. Which clip a model would repeat is drawn as well:
        # a set of equal clips would be the same in every draw, however much depends on the clip that was taken.
        repeated = (clean - fitted.mean).square().sum(1) + fitted.trace
        values["collapse"] = float(repeated.mean())
        chosen = torch.randint(used, (self.bootstrap,), generator=torch.Generator().manual_seed(self.seed))
        further["collapse"] = repeated[chosen]
        # One-sided, so the widening of a two-sided interval that leaves twice as much out.
        wider = widening(len(draw), 2 * self.confidence - 1) if len(draw) > 1 else float("nan")
        blind = []
        for name in values:
            excess = further[name] - whole
            if not float(excess.mean() + wider * (excess.quantile(1 - self.confidence) - excess.mean())) > 0:
                blind.append(name)
        return {
            "floor": float(frechet_distance(fitted, self._fit(floor))),
            "floor_n": [len(against), len(floor)],
            "value_at_floor_n": float(frechet_distance(fitted, self._fit(fake[: len(floor)]))),
            "controls": values,
            "control_clean": float(frechet_distance(fitted, self._fit(clean))),
            "control_n": used,
            "blind": blind,
        }

    def _warnings(self, result: dict[str, Any]) -> list[str]:
        real, fake, floor = result["n_real"], result["n_generated"], result["floor_n"]
        least, prescribed = min(real, fake), self.protocol.clips
        notes = []
        if not self.protocol.comparable:
            notes.append(f"protocol '{self.protocol.name}' follows one paper and is comparable with nothing else")
        if prescribed is not None and (real, fake) != (prescribed, prescribed):
            notes.append(
                f"protocol '{self.protocol.name}' prescribes {prescribed} clips a side, got {real} real and {fake} generated"
            )
        if least < SMALL:
            notes.append(
                f"{least} clips: the distance is mostly sampling bias, read it against its floor and never against "
                "another count"
            )
        elif least < CUSTOMARY:
            notes.append(f"{least} clips: not comparable with numbers at the customary {CUSTOMARY}")
        if result["rank_deficient"]:
            notes.append(
                f"{least} clips for {self.extractor.num_features} features: covariances are singular, the distance is "
                "exact but its bias is large"
            )
        for side, count in (("real", real), ("generated", fake)):
            videos, windows = result[f"videos_{side}"], result[f"windows_{side}"]
            if windows < count:
                notes.append(
                    f"{count} {side} clips overlap: they are {windows} distinct windows of {videos} videos, and the interval "
                    "is over videos"
                )
            elif videos < count:
                notes.append(f"{count} {side} clips come from {videos} videos, and the interval is over videos")
            if videos < 2:
                notes.append(f"all {side} clips come from one video: no interval can be given")
        if result["debiased"] is None:
            wanted = f"{result['debiased_needs']} videos a side would do" if result["debiased_needs"] else "far too few videos"
            notes.append(f"no debiased distance, which could order models wrongly at this count: {wanted}")
        if real != fake:
            notes.append(f"{real} real and {fake} generated clips")
        if floor != [real, fake]:
            notes.append(
                f"the floor is of {floor[0]} against {floor[1]} real clips, the distance of {real} against {fake}: "
                "read the floor against value_at_floor_n"
            )
        copied = result["memorisation"]
        if copied is not None and copied["alarm"]:
            notes.append(
                f"{copied['nearer']} of {copied['clips']} generated clips lie nearer to a {copied['among']} clip than any of "
                f"{copied['held_out_clips']} held-out ones (p {copied['p']:.2g}): some may be copies, which "
                "no distance between sets notices"
            )
        if result["blind"]:
            notes.append(f"blind to {', '.join(result['blind'])} at this count: such damage would not have shown")
        return notes


def _pixels(size: tuple[int, int]) -> str:
    return f"{size[0]}x{size[1]} pixels"
