"""The blocks of a suite that say how every cell is trained, sampled, judged and run."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any, Literal

from pydantic import Field, field_validator, model_validator

from vdmbench import registry
from vdmbench.suite.choice import choice
from vdmbench.suite.model import Declared
from vdmbench.suite.quantities import Count, Fraction

if TYPE_CHECKING:
    MixerChoice = Any
    NetworkChoice = Any
    SourceChoice = Any
    MetricChoice = Any
else:
    MixerChoice = choice(registry.mixers, code=True)
    NetworkChoice = choice(registry.networks)
    SourceChoice = choice(registry.sources)
    MetricChoice = choice(registry.metrics)

Precision = Literal["fp32", "bf16", "fp16"]


class Match(Declared):
    """What is held equal across the variants, and which knob may move for it."""

    quantity: Literal["parameters"] = "parameters"
    """What is held equal."""
    of: Literal["network", "temporal"] = "network"
    """Of the whole network, or of its temporal mixers alone (about 7.5 % of the published network)."""
    target: Count | None = None
    """The value to meet, such as 14.1M; give this or `reference`."""
    reference: str | None = None
    """The variant whose value is to be met, as it stands at the same sweep point; give this or `target`."""
    knob: Literal["base_channels", "mixer_width"] = "mixer_width"
    """The width that the solver moves: of the network, or of the mixers inside it."""
    tolerance: Fraction = 0.02
    """Largest accepted mismatch, as a share of the target."""
    exempt: list[str] = Field(default_factory=list)
    """Variants that stay as declared, such as the floor without a mixer."""
    unreachable: Literal["error", "record"] = "error"
    """A variant that cannot be brought within tolerance: refuse the suite, or record its cells as infeasible."""

    @model_validator(mode="after")
    def _one_goal(self) -> Match:
        if (self.target is None) == (self.reference is None):
            raise ValueError("give either 'target' (a count) or 'reference' (a variant), and not both")
        return self


class Data(Declared):
    """Which video, at which length and size."""

    source: SourceChoice
    """Where videos come from."""
    frames: int = Field(gt=0)
    """Length of a clip."""
    size: int = Field(ge=8)
    """Height and width in pixels; the shorter side is resized to it with anti-aliasing, then cropped in the centre."""


class Diffusion(Declared):
    """The diffusion process that all variants share."""

    schedule: Literal["cosine", "linear", "sigmoid"] = "cosine"
    """Noise schedule."""
    parameterisation: Literal["epsilon", "v", "x0"] = "epsilon"
    """What the network predicts."""
    steps: int = Field(default=256, ge=2)
    """T, the number of noise levels."""


class Train(Declared):
    """One optimisation for all variants."""

    steps: int = Field(gt=0)
    """Optimiser steps."""
    batch_size: int = Field(gt=0)
    """Clips in a forward pass."""
    accumulate: int = Field(default=1, gt=0)
    """Forward passes in an optimiser step."""
    optimiser: Literal["adam", "adamw"] = "adam"
    """Adam, or Adam with decoupled weight decay."""
    learning_rate: float = Field(default=1e-4, gt=0)
    """Constant."""
    betas: Annotated[list[float], Field(min_length=2, max_length=2)] = Field(default=[0.9, 0.999])
    """Decay of Adam's two moments."""
    weight_decay: float = Field(default=0.0, ge=0)
    """Decoupled; adamw only."""
    clip_norm: float | None = Field(default=None, gt=0)
    """Largest gradient norm; null does not clip."""
    ema: float | None = Field(default=0.9999, gt=0, lt=1)
    """Decay of the averaged weights that are sampled; null samples the raw ones."""
    precision: Precision = "fp32"
    """Arithmetic of the forward pass (autocast); weights stay fp32."""
    warm_up: int = Field(default=2, ge=0)
    """Steps run before the first one that counts, to fill caches and tune kernels; their updates are undone."""

    @field_validator("betas")
    @classmethod
    def _betas_are_decays(cls, betas: list[float]) -> list[float]:
        if not all(0 <= beta < 1 for beta in betas):
            raise ValueError(f"each must be in [0, 1), got {betas}")
        return betas

    @model_validator(mode="after")
    def _decay_needs_adamw(self) -> Train:
        if self.weight_decay and self.optimiser != "adamw":
            raise ValueError("weight_decay is decoupled and needs 'optimiser: adamw'")
        return self


class Sample(Declared):
    """How clips are generated."""

    sampler: Literal["ddpm", "ddim"] = "ddpm"
    """Ancestral sampling over all T levels, or DDIM over fewer."""
    steps: int | None = Field(default=None, gt=0)
    """Levels that DDIM visits; null means all T, the only choice for ddpm."""
    eta: float = Field(default=0.0, ge=0, le=1)
    """Noise that DDIM adds back: 0 none, 1 as much as ddpm."""
    clip_x0: bool = True
    """Clip the predicted clean clip to [-1, 1] at every level."""
    clips: int = Field(gt=0)
    """Clips to generate."""
    batch_size: int = Field(gt=0)
    """Clips generated at once; it changes memory and time, and never the clips."""
    precision: Precision = "fp32"
    """Arithmetic of the forward pass."""

    @model_validator(mode="after")
    def _fits_sampler(self) -> Sample:
        if self.sampler == "ddpm" and self.steps is not None:
            raise ValueError("ddpm visits every level; leave 'steps' out, or use 'sampler: ddim'")
        if self.sampler == "ddpm" and self.eta:
            raise ValueError("'eta' belongs to ddim")
        return self


class Evaluate(Declared):
    """How generated clips are judged."""

    metrics: Annotated[list[MetricChoice], Field(min_length=1)]
    """Distances to the held-out real clips."""
    real_clips: int = Field(gt=1)
    """Held-out clips that the distances are taken to."""

    @field_validator("metrics")
    @classmethod
    def _once_each(cls, metrics: list[Any]) -> list[Any]:
        if len({metric.name for metric in metrics}) < len(metrics):
            raise ValueError("a metric is named twice")
        return metrics


class Run(Declared):
    """Where and for how long cells run. It changes no cell's identity."""

    device: Literal["auto", "cpu", "cuda"] = "auto"
    """auto takes the first CUDA device, or the CPU where there is none."""
    threads: int | None = Field(default=None, gt=0)
    """CPU threads of a worker; null leaves PyTorch's choice."""
    wall_limit: float | None = Field(default=None, gt=0)
    """Seconds that a cell may take; beyond, its status is timeout."""
    checkpoint_every: int = Field(default=1000, gt=0)
    """Optimiser steps between checkpoints."""
