"""A cell: all that is declared for one experiment (variant x sweep point x seed), and its identity.

A cell's identity is a hash of what was *declared* for it, defaults included, and of the version of the numbers that this code
makes of it: a default that changes is a new cell and can never pass for the old one, and so is one that is trained otherwise.
What the solver answers, which backend ran and on which machine are audit data in its record.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from typing import Any

from pydantic import Field, SerializerFunctionWrapHandler, model_serializer, model_validator

from vdmbench.cell_label import cell_label
from vdmbench.suite.autoencoder import PIXEL_CHANNELS, AutoencoderBlock, check_latents
from vdmbench.suite.blocks import Data, Evaluate, FirstMatch, Match, NetworkChoice, Sample, Train
from vdmbench.suite.condition import Conditioning, check_faithfulness, check_guidance
from vdmbench.suite.diffusion import Diffusion, check_sampler
from vdmbench.suite.errors import problem_at
from vdmbench.suite.numbers import NUMBERS
from vdmbench.suite.options.published import check_published_heads
from vdmbench.suite.pattern import TemporalLayers
from vdmbench.suite.quantities import Seed
from vdmbench.suite.rollout import check_rollout
from vdmbench.suite.schema import SUITE_SCHEMA
from vdmbench.suite.tuning import Tune

LPIPS_SIZE = 32

_LEFT_OUT: dict[str, dict[str, Any]] = {
    "sample": {
        "frames": None,
        "known_frames": None,
        "rollout": None,
        "guidance": 1.0,
        "compile": False,
        "channels_last": False,
    },
    "evaluate": {"lpips": False},
    "train": {"checkpointing": False, "compile": False, "channels_last": False},
}
"""Fields that dumps of a cell leave out where they have these values, so that cells from before these fields are the same."""


_MOVED = {"base_channels": "network.base_channels", "mixer_width": "mixer.expand", "frames": "data.frames"}
"""Knob to the field that the solver sets; the knob batch_size sets that of the phase that is matched."""


def _matches(match: Match | None) -> list[Match]:
    return [each for each in (match, match and match.also) if each is not None]


class _Dumped(TemporalLayers):
    @model_serializer(mode="wrap")
    def _without_what_is_not_asked(self, dump: SerializerFunctionWrapHandler) -> dict[str, Any]:
        tree: dict[str, Any] = TemporalLayers._without_the_others(self, dump)
        if tree.get("condition") is None:
            tree.pop("condition", None)
        for asked in ("autoencoder", "init_from", "tune"):
            if tree.get(asked) is None:
                tree.pop(asked, None)
        for block, unset in _LEFT_OUT.items():
            if block in tree:
                tree[block] = {key: value for key, value in tree[block].items() if key not in unset or value != unset[key]}
        return tree


class Reference(_Dumped):
    """What others are brought to: its network, and what else the quantity that is matched depends on."""

    network: NetworkChoice
    condition: Conditioning | None = None
    autoencoder: AutoencoderBlock | None = None
    data: Data
    train: Train
    sample: Sample


class CellInputs(_Dumped):
    """All that is declared for one cell, and nothing else: what its identity is the hash of."""

    suite_schema: int = SUITE_SCHEMA
    numbers: int = Field(default=NUMBERS, ge=NUMBERS, le=NUMBERS)
    """Version of the numbers that this code makes of the rest; of another version it makes none."""
    variant: str
    seed: Seed
    network: NetworkChoice
    match: FirstMatch | None
    """Null also for variants that are exempt, and for the reference itself."""
    reference: Reference | None
    condition: Conditioning | None = None
    """Null: nothing is told."""
    autoencoder: AutoencoderBlock | None = None
    """Null: pixels are diffused."""
    init_from: CellInputs | None = None
    """The cell, of the same seed, whose trained weights this one begins with, where path and shape agree; null: it is drawn."""
    tune: Tune | None = None
    """What is chosen by trials before the cell is trained; until then the field holds the first value. Null: nothing."""
    data: Data
    diffusion: Diffusion
    train: Train
    sample: Sample
    evaluate: Evaluate

    @model_validator(mode="after")
    def _begins_with_what_fits(self) -> CellInputs:
        if self.init_from is not None and self.init_from.autoencoder != self.autoencoder:
            message = (
                f"'{self.init_from.variant}' was trained on other latents than this variant denoises: give both the same "
                "'autoencoder', or neither"
            )
            raise problem_at(("init_from",), message)
        return self

    @model_validator(mode="after")
    def _trials_can_tell(self) -> CellInputs:
        moved = {_MOVED.get(match.knob, f"{match.phase or 'train'}.batch_size") for match in _matches(self.match)}
        if self.tune is not None and self.tune.field in moved:
            message = f"'{self.tune.field}' is what 'match' moves: tune another field, or give the match another knob"
            raise problem_at(("tune", "field"), message)
        if self.tune is not None and self.tune.steps_of(self.train.steps) > self.train.steps:
            message = (
                f"a trial of {self.tune.steps} steps is longer than the {self.train.steps} of train.steps: give at most as "
                "many, or a share such as 20%"
            )
            raise problem_at(("tune", "steps"), message)
        return self

    @model_validator(mode="after")
    def _mixers_fit_the_network(self) -> CellInputs:
        levels, depth = getattr(self.network, "levels", None), getattr(self.network, "depth", None)
        others = "'blocks' or 'mixer'" if depth is not None else "'mixer'"
        if self.pattern is not None and levels is None:
            raise problem_at(("pattern",), f"network '{self.network.name}' has no levels to place mixers at: use {others}")
        if self.pattern is not None and len(self.pattern.levels) != levels:
            raise problem_at(
                ("pattern", "levels"),
                f"a mixer for each of the network's {levels} levels is wanted, got {len(self.pattern.levels)}",
            )
        if self.blocks is not None:
            others = "'pattern' or 'mixer'" if levels is not None else "'mixer'"
            misfit = (
                f"network '{self.network.name}' has no blocks in a row: use {others}"
                if depth is None
                else self.blocks.misfit(depth)
            )
            if misfit is not None:
                raise problem_at(("blocks",), misfit)
        if self.mixer is not None and depth is not None and depth % 2:
            raise problem_at(
                ("mixer",), f"blocks within frames and with this mixer take turns: network.depth must be even, got {depth}"
            )
        check_published_heads(self.network.model_dump(), self.temporal)
        return self

    def __reduce__(self) -> tuple[Any, ...]:
        """Pickled as what was declared: models of choices are made while a table is read, and have no name elsewhere."""
        return CellInputs.model_validate, (self.model_dump(mode="json"),)

    @model_validator(mode="after")
    def _prediction_fits(self) -> CellInputs:
        known = self.sample.known_frames
        if known is not None and known >= self.sampled_frames:
            more = "sample.frames" if self.sample.frames else "data.frames"
            message = f"{known} known frames of {self.sampled_frames} leave none to predict: lower it, or raise {more}"
            raise problem_at(("sample", "known_frames"), message)
        if self.evaluate.lpips and known is None:
            message = "LPIPS is of predicted frames, and nothing is predicted: set sample.known_frames, or leave it out"
            raise problem_at(("evaluate", "lpips"), message)
        if self.evaluate.lpips and self.data.size < LPIPS_SIZE:
            message = f"LPIPS needs {LPIPS_SIZE} pixels a side, data.size is {self.data.size}: raise it, or leave it out"
            raise problem_at(("evaluate", "lpips"), message)
        return self

    @model_validator(mode="after")
    def _sampler_fits_the_process(self) -> CellInputs:
        check_sampler(self.diffusion, self.sample)
        check_guidance(self.condition, self.sample)
        check_faithfulness(self.condition, self.evaluate, self.sampled_frames)
        return self

    @model_validator(mode="after")
    def _rollout_can_go_on(self) -> CellInputs:
        if self.sample.rollout is not None:
            check_rollout(
                self.sample, self.sampled_frames, self.diffusion, self.train, self.network.model_dump(), self.temporal
            )
        return self

    @model_validator(mode="after")
    def _latents_fit(self) -> CellInputs:
        if self.autoencoder is not None:
            channels = getattr(self.network, "channels", self.autoencoder.channels)
            check_latents(self.autoencoder, self.data, channels, self.train, self.sample)
        return self

    @property
    def denoised_channels(self) -> int:
        """Of what the network denoises: pixels or latents."""
        return self.autoencoder.channels if self.autoencoder else PIXEL_CHANNELS

    @property
    def denoised_size(self) -> int:
        """Rows, and columns, of what the network denoises: pixels or places of latents."""
        return self.data.size // (self.autoencoder.factor if self.autoencoder else 1)

    @property
    def sampled_frames(self) -> int:
        """Length of generated clips, and of the real ones that judge them."""
        return self.sample.frames or self.data.frames

    def with_seed(self, seed: int) -> CellInputs:
        """The same cell of another seed, and so what it begins with."""
        begins = None if self.init_from is None else self.init_from.with_seed(seed)
        return self.model_copy(update={"seed": seed, "init_from": begins})

    def identity(self) -> str:
        """20 hex digits of SHA-256 over canonical JSON."""
        canonical = json.dumps(self.model_dump(mode="json"), sort_keys=True, separators=(",", ":"), allow_nan=False)
        return hashlib.sha256(canonical.encode()).hexdigest()[:20]


@dataclass(frozen=True)
class Cell:
    """One declared experiment."""

    suite: str
    variant: str
    point: dict[str, Any]
    """Sweep coordinates that concern this variant, by path."""
    seed: int
    inputs: CellInputs
    identity: str
    for_tuning: bool = False
    """Whether it only serves a choice of the suite's 'tune', and so stands in no table."""

    @property
    def waits(self) -> bool:
        """Whether other cells must have ended before it can begin."""
        return self.inputs.tune is not None or self.inputs.init_from is not None

    @property
    def label(self) -> str:
        """For people: variant, coordinates, seed; and that it is for tuning, where it is."""
        return cell_label(self.variant, self.point, self.seed, for_tuning=self.for_tuning)
