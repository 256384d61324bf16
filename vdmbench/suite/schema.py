"""A suite: what is compared, held equal, swept and measured."""

from __future__ import annotations

import re
from typing import Any, Literal

from pydantic import Field, field_validator, model_validator

from vdmbench import registry
from vdmbench.quantities import (
    ALONG_TRAINING,
    BUILT_IN,
    PREDICTION_PROTOCOL,
    Quantity,
    UnknownQuantity,
    metric_quantities,
    pick,
)
from vdmbench.suite.autoencoder import AutoencoderBlock
from vdmbench.suite.blocks import (
    Data,
    Evaluate,
    FirstMatch,
    NetworkChoice,
    Run,
    Sample,
    Train,
)
from vdmbench.suite.claims import Claim, InvalidClaim, check_claim
from vdmbench.suite.condition import Conditioning
from vdmbench.suite.diffusion import Diffusion, DiscreteDiffusion
from vdmbench.suite.errors import closest, problem_at
from vdmbench.suite.gate import Thresholds
from vdmbench.suite.model import Declared
from vdmbench.suite.pattern import TemporalLayers
from vdmbench.suite.quantities import Seed
from vdmbench.suite.tuning import Tune
from vdmbench.suite.widths import is_width

SUITE_SCHEMA = 1
_NAME = re.compile(r"^[a-z0-9][a-z0-9._-]*\Z")


class Variant(TemporalLayers):
    """A named choice of temporal mixers, and what else it needs to be set."""

    init_from: str | None = None
    """A variant whose trained weights this one begins with, at the same sweep point and seed; null: weights are drawn."""
    set: dict[str, Any] = Field(default_factory=dict)
    """Fields that this variant has otherwise, by path, such as `train.learning_rate: 3e-4`."""


class Suite(Declared):
    """The whole of a suite file."""

    schema_version: Literal[1] = Field(default=1, alias="schema")
    """Version of this format."""
    name: str
    """Names the folder of its results."""
    title: str = ""
    """One line for the report."""
    network: NetworkChoice
    """The denoiser that all variants share."""
    variants: dict[str, Variant] = Field(min_length=1)
    """What is compared."""
    sweep: dict[str, list[Any]] = Field(default_factory=dict)
    """Values by field path (data.frames, mixer.backend, variants.attention.mixer.backend, ...): every combination is run."""
    seeds: list[Seed] = Field(default=[0], min_length=1)
    """Repeats. A seed fixes batches, noise and initial samples alike for all variants, so that they are paired."""
    tune: Tune | None = None
    """A field that each variant chooses by short trials before it is trained; null: every field is as declared."""
    match: FirstMatch | None = None
    """What is held equal; null compares the variants as declared."""
    data: Data
    """Which video."""
    condition: Conditioning | None = None
    """What networks are told of a clip; null: nothing."""
    autoencoder: AutoencoderBlock | None = None
    """Whose latents are diffused; null: pixels."""
    diffusion: Diffusion = DiscreteDiffusion()
    """The diffusion process."""
    train: Train
    """The optimisation."""
    sample: Sample
    """How clips are generated."""
    evaluate: Evaluate
    """How they are judged."""
    claims: list[Claim] = Field(default_factory=list)
    """Hypotheses that the report supports, refutes or leaves open."""
    gate: Thresholds = Thresholds()
    """What `vdmbench compare` takes for a change between two runs of it; part of no cell."""
    run: Run = Run()
    """Where and for how long."""
    tiny: dict[str, Any] = Field(default_factory=dict)
    """Fields by path as `--tiny` sets them, to try the whole suite in seconds; part of no cell unless it is asked for."""

    @field_validator("name")
    @classmethod
    def _is_folder_name(cls, name: str) -> str:
        if not _NAME.match(name):
            raise ValueError(f"'{name}' must be lower-case letters, digits, '.', '_' and '-', for it names a folder")
        return name

    @field_validator("variants")
    @classmethod
    def _variant_names(cls, variants: dict[str, Variant]) -> dict[str, Variant]:
        for name in variants:
            if not _NAME.match(name):
                raise ValueError(f"variant '{name}' must be lower-case letters, digits, '.', '_' and '-'")
        return variants

    @field_validator("sweep")
    @classmethod
    def _axes_have_values(cls, sweep: dict[str, list[Any]]) -> dict[str, list[Any]]:
        for path, values in sweep.items():
            if not values:
                raise ValueError(f"'{path}' has no values; give at least one, or leave the axis out")
            if len({repr(value) for value in values}) < len(values):
                raise ValueError(f"'{path}' has a value twice")
        return sweep

    @field_validator("seeds")
    @classmethod
    def _seeds_differ(cls, seeds: list[int]) -> list[int]:
        if len(set(seeds)) < len(seeds):
            raise ValueError("a seed is given twice")
        return seeds

    @model_validator(mode="after")
    def _match_names_variants(self) -> Suite:
        match = self.match
        if match is not None:
            reference = match.reference_variant
            at = ("match", "reference") if match.reference else ("match", "also", "reference")
            for path, names in ((at, [reference] if reference else []), (("match", "exempt"), match.exempt)):
                for name in names:
                    if name not in self.variants:
                        hint = closest(name, list(self.variants))
                        raise problem_at(path, f"no variant is called '{name}', {hint}")
            if reference in match.exempt:
                raise problem_at(("match", "exempt"), "the reference itself needs no exemption")
        return self

    @property
    def quantities(self) -> list[Quantity]:
        """All that its claims may speak of."""
        return [*self._of_metrics(), *BUILT_IN]

    def _of_metrics(self) -> list[Quantity]:
        """The values of the declared metrics, and what these give beside them."""
        names = [metric.name for metric in self.evaluate.metrics]
        return [quantity for name in names for quantity in metric_quantities(name, parts=registry.metrics[name].parts)]

    @model_validator(mode="after")
    def _gate_names_metrics(self) -> Suite:
        known = [quantity.name for quantity in self._of_metrics()]
        for name in self.gate.metrics:
            if name not in known:
                raise problem_at(("gate", "metrics", name), f"the suite has no metric '{name}', {closest(name, known)}")
        return self

    @model_validator(mode="after")
    def _tuning_can_choose(self) -> Suite:
        if self.tune is None:
            return self
        shared = sorted(set(self.tune.seeds) & set(self.seeds))
        if shared:
            message = f"seed {shared[0]} is one of 'seeds' too: choose on seeds that are used for nothing else, such as 100"
            raise problem_at(("tune", "seeds"), message)
        try:
            by = pick(self.tune.by, [*self._of_metrics(), *BUILT_IN])
        except UnknownQuantity as error:
            raise problem_at(("tune", "by"), str(error)) from None
        if by.better == "neither":
            message = f"'{by.name}' has no direction, neither more nor less of it is better: choose by val_loss, or by a metric"
            raise problem_at(("tune", "by"), message)
        if by.own_points and self.evaluate.val_loss is None:
            raise problem_at(("tune", "by"), f"'{by.name}' is not taken, for evaluate.val_loss is null: leave that out")
        if by.source == PREDICTION_PROTOCOL and self.sample.known_frames is None:
            message = (
                f"'{by.name}' is of predicted frames, and none are: set sample.known_frames, or choose by another quantity"
            )
            raise problem_at(("tune", "by"), message)
        return self

    @model_validator(mode="after")
    def _claims_speak_of_this_suite(self) -> Suite:
        for number, claim in enumerate(self.claims):
            try:
                check_claim(claim.parsed(), self.variants, self._of_metrics())
            except InvalidClaim as error:
                raise problem_at(("claims", number), str(error)) from None
            self._refuse_curves_of_one_size(number, claim)
        return self

    def _points_of(self, learned: Quantity) -> int:
        """At how many places of training it is taken."""
        evaluate, points = self.evaluate, len(self.evaluate.at)
        return max(points, evaluate.val_loss.points) if learned.own_points and evaluate.val_loss else points

    def _refuse_curves_of_one_size(self, number: int, claim: Claim) -> None:
        """A claim at equal values of something reads each variant's curve over sizes."""
        sizes = {path: values for path, values in self.sweep.items() if is_width(path)}
        equal = claim.parsed().equal
        read = pick(claim.parsed().left.quantity, [*self._of_metrics(), *BUILT_IN])
        if equal in ALONG_TRAINING and read.learned and not sizes and self._points_of(read) < 2:
            more = "evaluate.val_loss.points to 2 or more" if read.own_points else "evaluate.at, such as [0.1, 0.3, 1]"
            message = f"'at equal {equal}' reads '{read.name}' along training, and it is taken at the end alone: set {more}"
            raise problem_at(("claims", number), message)
        if equal is not None and sizes and all(len(values) < 2 for values in sizes.values()):
            message = (
                f"'at equal {equal}' compares curves over sizes, and {' and '.join(sizes)} has one value: sweep three or "
                "more, or leave 'at equal' out"
            )
            raise problem_at(("claims", number), message)
