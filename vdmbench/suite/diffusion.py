"""The diffusion process that all variants share: discrete, flow matching or EDM, each with fields of its own."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any, Literal

from pydantic import BeforeValidator, Discriminator, Field, Tag, model_validator

from vdmbench.suite.errors import closest, problem_at, union_tag
from vdmbench.suite.model import Declared

if TYPE_CHECKING:
    from vdmbench.suite.blocks import Sample


class _Process(Declared):
    levels: Literal["clip", "frame"] = "clip"
    """Noise levels in training: one for each clip, or one for each frame (diffusion forcing)."""

    @model_validator(mode="before")
    @classmethod
    def _fields_belong_to_the_process(cls, given: Any) -> Any:
        for field in given if isinstance(given, dict) else ():
            owners = [name for name, process in PROCESSES.items() if field in process.model_fields]
            if field not in cls.model_fields and owners:
                here, owner = given.get("process", "discrete"), owners[0]
                raise problem_at(
                    (field,),
                    f"'{field}' belongs to process '{owner}', and this is '{here}': leave it out, or set 'process: {owner}'",
                )
        return given


class DiscreteDiffusion(_Process):
    """T discrete levels, variance preserving (DDPM)."""

    process: Literal["discrete"] = "discrete"
    """T discrete levels (DDPM), flow matching (flow), or the design of Karras et al. 2022 (edm)."""
    schedule: Literal["cosine", "linear", "sigmoid"] = "cosine"
    """Noise schedule."""
    parameterisation: Literal["epsilon", "v", "x0"] = "epsilon"
    """What the network predicts."""
    steps: int = Field(default=256, ge=2, le=1_000_000)
    """T, the number of noise levels."""
    min_snr_gamma: float | None = Field(default=None, gt=0)
    """Weights the loss by min(SNR, gamma), such as 5; null is the simple loss."""


class FlowDiffusion(_Process):
    """Flow matching on straight paths (rectified flow); the network predicts the velocity, noise - x0."""

    process: Literal["flow"]
    """Flow matching."""
    timestep_sampling: Literal["uniform", "logit-normal"] = "uniform"
    """How training draws times: uniform, or more often in the middle."""
    logit_mean: float = 0.0
    """Of logit-normal: mean of ln(t / (1 - t)); more than 0 draws noisier clips."""
    logit_std: float = Field(default=1.0, gt=0)
    """Of logit-normal: its standard deviation."""
    shift: float = Field(default=1.0, gt=0)
    """Moves the times of training and sampling towards noise, such as 3; 1 leaves them."""

    @model_validator(mode="after")
    def _logit_fields_fit(self) -> FlowDiffusion:
        for field in ("logit_mean", "logit_std"):
            if self.timestep_sampling == "uniform" and getattr(self, field) != FlowDiffusion.model_fields[field].default:
                raise problem_at((field,), f"'{field}' belongs to 'timestep_sampling: logit-normal': leave it out, or set that")
        return self


class EDMDiffusion(_Process):
    """The design of Karras et al. 2022, with a preconditioned network."""

    process: Literal["edm"]
    """EDM."""
    sigma_data: float = Field(default=0.5, gt=0)
    """Standard deviation of clean clips in [-1, 1]."""
    p_mean: float = -1.2
    """Mean of ln(sigma) in training."""
    p_std: float = Field(default=1.2, gt=0)
    """Standard deviation of ln(sigma) in training."""
    sigma_min: float = Field(default=0.002, gt=0)
    """The last noise level that sampling visits."""
    sigma_max: float = Field(default=80.0, gt=0)
    """The noise level that sampling starts from."""
    rho: float = Field(default=7.0, gt=0)
    """How much closer together levels are towards the clean end."""

    @model_validator(mode="after")
    def _sigmas_in_order(self) -> EDMDiffusion:
        if self.sigma_min >= self.sigma_max:
            raise problem_at(("sigma_min",), f"must be less than sigma_max, {self.sigma_max:g}, got {self.sigma_min:g}")
        return self


PROCESSES: dict[str, type[_Process]] = {"discrete": DiscreteDiffusion, "flow": FlowDiffusion, "edm": EDMDiffusion}


def _process_of(value: Any) -> str:
    return union_tag(value.get("process", "discrete") if isinstance(value, dict) else value.process)


def _known_process(value: Any) -> Any:
    if isinstance(value, _Process):
        return value
    if not isinstance(value, dict):
        raise ValueError("a diffusion process is a mapping, such as {process: flow, shift: 3}")
    process = value.get("process", "discrete")
    if not isinstance(process, str) or process not in PROCESSES:
        raise problem_at(("process",), f"unknown process '{process}', {closest(str(process), list(PROCESSES))}")
    return value


Diffusion = Annotated[
    Annotated[DiscreteDiffusion, Tag(union_tag("discrete"))]
    | Annotated[FlowDiffusion, Tag(union_tag("flow"))]
    | Annotated[EDMDiffusion, Tag(union_tag("edm"))],
    Discriminator(_process_of),
    BeforeValidator(_known_process),
]
"""The diffusion process of a suite; without ``process`` it is the discrete one."""

SAMPLERS: dict[str, tuple[str, ...]] = {
    "discrete": ("ddpm", "ddim", "dpmpp-2m"),
    "flow": ("euler", "heun", "dpmpp-2m"),
    "edm": ("heun", "euler", "dpmpp-2m"),
}
"""The samplers that each process has."""


def evaluations(diffusion: DiscreteDiffusion | FlowDiffusion | EDMDiffusion, sample: Sample) -> int:
    """Forward passes of the network for a batch of samples; two for each level but the last of Heun's method, and twice as many
    with guidance."""
    levels = diffusion.steps if sample.steps is None and isinstance(diffusion, DiscreteDiffusion) else sample.steps
    assert levels is not None, "check_sampler asks for the steps of other processes"
    once = 2 * levels - 1 if sample.sampler == "heun" else levels
    return once if sample.guidance == 1 else 2 * once


def check_sampler(diffusion: DiscreteDiffusion | FlowDiffusion | EDMDiffusion, sample: Sample) -> None:
    """Raise a problem of the ``sample`` block where its sampler is none of the process's."""
    fitting = SAMPLERS[diffusion.process]
    if sample.sampler not in fitting:
        choices = f"{', '.join(fitting[:-1])} or {fitting[-1]}"
        hint = " (ddim with eta 0 is its Euler method)" if diffusion.process == "discrete" else ", with 'steps'"
        raise problem_at(
            ("sample", "sampler"), f"{sample.sampler} does not sample process '{diffusion.process}'; use {choices}{hint}"
        )
    if isinstance(diffusion, DiscreteDiffusion) and sample.steps is not None and sample.steps > diffusion.steps:
        raise problem_at(
            ("sample", "steps"),
            f"{sample.steps} levels cannot be visited where 'diffusion.steps' is {diffusion.steps}; lower this or raise that",
        )
