"""What the memory of a cell depends on, and nothing else."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from vdmbench.matching.cost import Choice, structure
from vdmbench.matching.target import Target
from vdmbench.suite.blocks import Sample, Train
from vdmbench.suite.diffusion import Diffusion, DiscreteDiffusion

_OF_TRAINING = {
    "batch_size",
    "devices",
    "accumulate",
    "optimiser",
    "clip_norm",
    "ema",
    "precision",
    "checkpointing",
    "recompute",
    "channels_last",
}
_OF_SAMPLING = {"batch_size", "clips", "sampler", "eta", "clip_x0", "precision", "rollout", "channels_last"}
_OF_PROCESS = {"process", "levels", "parameterisation", "min_snr_gamma"}


@dataclass(frozen=True)
class Workload:
    """A network, its mixers, clips of one length and size, and how they are trained and sampled, of which process."""

    network: Choice
    mixer: Choice
    frames: int
    size: int
    train: Train
    sample: Sample
    diffusion: Diffusion = field(default_factory=DiscreteDiffusion)
    latents: bool = False
    """Whether training reads latents instead of pixels; size is theirs then, and channels are the network's."""
    target: Target = field(default_factory=Target)
    """The machine that its memory is planned for; what is measured takes no notice of it."""

    @property
    def sampled_frames(self) -> int:
        """Length of generated clips."""
        return self.sample.frames or self.frames

    def key(self) -> str:
        """Equal for workloads of equal memory: widths count as they are built, not as they were written."""
        train = self.train.model_dump(include=_OF_TRAINING)
        sample = self.sample.model_dump(include=_OF_SAMPLING)
        # Of these only whether they are there matters, and the second batch is like every later one.
        train.update({field: train[field] is not None for field in ("clip_norm", "ema")})
        train.update(accumulate=min(train["accumulate"], 2))
        process = self.diffusion.model_dump(include=_OF_PROCESS)
        if process.get("min_snr_gamma") is not None:
            process["min_snr_gamma"] = True
        sample.update(
            eta=sample["eta"] > 0,
            clips=min(sample["clips"], 2 * sample["batch_size"]),
            frames=self.sampled_frames,
            known=self.sample.known_frames is not None,
            guided=self.sample.guidance != 1,
        )
        train.update(latents=self.latents)
        shapes = structure(self.network, self.mixer).digest
        declared = [
            _without_width(self.network),
            _without_width(self.mixer),
            self.frames,
            self.size,
            train,
            sample,
            process,
            shapes,
            self.target.card,
            sorted(self.target.packages),
        ]
        return json.dumps(declared, sort_keys=True)


def _without_width(choice: Any) -> Any:
    if isinstance(choice, Mapping):
        return {key: _without_width(value) for key, value in choice.items() if key not in ("expand", "base_channels")}
    return [_without_width(each) for each in choice] if isinstance(choice, list | tuple) else choice
