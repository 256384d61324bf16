"""From a suite to its cells: variant x sweep point x seed, each with an identity.

A cell's identity is a hash of what was *declared* for it, defaults included, and of the version of the numbers that this code
makes of it: a default that changes is a new cell and can never pass for the old one, and so is one that is trained otherwise.
What the solver answers, which backend ran and on which machine are audit data in its record.
"""

from __future__ import annotations

import hashlib
import itertools
import json
import math
from dataclasses import dataclass
from typing import Any, NoReturn

from pydantic import Field, SerializerFunctionWrapHandler, ValidationError, model_serializer, model_validator

from vdmbench.cell_label import cell_label
from vdmbench.suite.autoencoder import PIXEL_CHANNELS, AutoencoderBlock, check_latents
from vdmbench.suite.blocks import Data, Evaluate, Match, NetworkChoice, Sample, Train
from vdmbench.suite.condition import Conditioning, check_faithfulness, check_guidance
from vdmbench.suite.diffusion import Diffusion, check_sampler
from vdmbench.suite.errors import SuiteError, explain, problem_at
from vdmbench.suite.loading import SourceLines
from vdmbench.suite.numbers import NUMBERS
from vdmbench.suite.options.published import check_published_heads
from vdmbench.suite.overrides import UnknownPath, has_path, set_path
from vdmbench.suite.pattern import FORMS, TemporalLayers
from vdmbench.suite.quantities import Seed
from vdmbench.suite.rollout import check_rollout
from vdmbench.suite.schema import SUITE_SCHEMA, Suite, Variant

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


class _Dumped(TemporalLayers):
    @model_serializer(mode="wrap")
    def _without_what_is_not_asked(self, dump: SerializerFunctionWrapHandler) -> dict[str, Any]:
        tree: dict[str, Any] = TemporalLayers._without_the_others(self, dump)
        if tree.get("condition") is None:
            tree.pop("condition", None)
        if tree.get("autoencoder") is None:
            tree.pop("autoencoder", None)
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
    match: Match | None
    """Null also for variants that are exempt, and for the reference itself."""
    reference: Reference | None
    condition: Conditioning | None = None
    """Null: nothing is told."""
    autoencoder: AutoencoderBlock | None = None
    """Null: pixels are diffused."""
    data: Data
    diffusion: Diffusion
    train: Train
    sample: Sample
    evaluate: Evaluate

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

    @property
    def label(self) -> str:
        """For people: variant, coordinates, seed."""
        return cell_label(self.variant, self.point, self.seed)


_SHARED = ("network", "condition", "autoencoder", "data", "diffusion", "train", "sample", "evaluate")


def _base_tree(suite: Suite, name: str, variant: Variant) -> dict[str, Any]:
    tree: dict[str, Any] = {block: value and value.model_dump() for block in _SHARED for value in [getattr(suite, block)]}
    match = suite.match
    as_declared = match is None or name == match.reference_variant or name in match.exempt
    return tree | variant.model_dump(exclude={"set"}) | {"match": None if as_declared or match is None else match.model_dump()}


_OF_A_VARIANT = "variants."


def _axis_path(path: str, variant: str) -> str | None:
    """An axis as a path into one variant's tree; None where it belongs to another variant."""
    if not path.startswith(_OF_A_VARIANT):
        return path
    own = f"{_OF_A_VARIANT}{variant}."
    return path.removeprefix(own) if path.startswith(own) else None


def _set(tree: dict[str, Any], path: str, value: Any, where: tuple[str | int, ...], lines: SourceLines) -> None:
    try:
        set_path(tree, path, value)
    except UnknownPath as error:
        raise SuiteError([lines.problem(where, str(error))]) from None


def _check_axes(suite: Suite, lines: SourceLines) -> None:
    for path in suite.sweep:
        if all(_axis_path(path, name) is None for name in suite.variants):
            raise SuiteError([lines.problem(("sweep", path), f"no such variant; variants: {', '.join(suite.variants)}")])
        trees = [(_base_tree(suite, name, variant), _axis_path(path, name)) for name, variant in suite.variants.items()]
        if not any(axis is not None and has_path(tree, axis) for tree, axis in trees):
            tree, axis = next((tree, axis) for tree, axis in trees if axis is not None)
            try:
                set_path(tree, axis, None)
            except UnknownPath as error:
                raise SuiteError([lines.problem(("sweep", path), f"no variant has this field: {error}")]) from None


_MOST_CELLS = 100_000


def _check_number(suite: Suite, lines: SourceLines) -> None:
    """A product of axes is easily more than anybody meant."""
    cells = len(suite.variants) * len(suite.seeds) * math.prod(len(values) for values in suite.sweep.values())
    if cells > _MOST_CELLS:
        message = f"{cells:,} cells, more than {_MOST_CELLS:,}: sweep fewer values, or split the suite"
        raise SuiteError([lines.problem(("sweep",), message)])


def _validated(tree: dict[str, Any], origin: list[tuple[str, tuple[str | int, ...]]], lines: SourceLines) -> CellInputs:
    """Validate one cell; a problem is told where the value came from: the axis or `set` entry that put it there."""
    try:
        return CellInputs.model_validate(tree)
    except ValidationError as error:
        problems = []
        for path, message in explain(error, CellInputs, tree):
            field = ".".join(str(part) for part in path)
            source = [where for axis, where in origin if field == axis or field.startswith(axis + ".")]
            block = path if path and path[0] in (*_SHARED, "match") else ("variants", tree["variant"], *path)
            problems.append(lines.problem(source[-1] if source else block, message))
        raise SuiteError(problems) from None


def expand(suite: Suite, lines: SourceLines) -> list[Cell]:
    """All cells, in the order written: variants, then sweep points, then seeds; equal ones once.

    :raises SuiteError: an axis that no variant has, or a value that a field refuses, with its place in the file.
    """
    _check_axes(suite, lines)
    _check_number(suite, lines)
    points = [dict(zip(suite.sweep, values, strict=True)) for values in itertools.product(*suite.sweep.values())]
    trees: dict[tuple[str, int], tuple[dict[str, Any], dict[str, Any], list[Any]]] = {}
    for (name, variant), (number, point) in itertools.product(suite.variants.items(), enumerate(points)):
        tree = _base_tree(suite, name, variant)
        coordinates: dict[str, Any] = {}
        origin: list[tuple[str, tuple[str | int, ...]]] = []
        for path, value in variant.set.items():
            _set(tree, path, value, ("variants", name, "set", path), lines)
            origin.append((path, ("variants", name, "set", path)))
        for axis, value in point.items():
            path = _axis_path(axis, name)
            if path is not None and has_path(tree, path):
                set_path(tree, path, value)
                coordinates[axis] = value
                origin.append((path, ("sweep", axis, suite.sweep[axis].index(value))))
        trees[name, number] = tree, coordinates, origin

    cells: dict[str, Cell] = {}
    for (name, number), (tree, coordinates, origin) in trees.items():
        reference = None
        if tree["match"] is not None and suite.match is not None and suite.match.reference_variant is not None:
            name_of_other = suite.match.reference_variant
            other, its_axes, _ = trees[name_of_other, number]
            reference = {block: other[block] for block in (*Reference.model_fields, *FORMS) if block in other}
            own = {axis for axis in its_axes if _decides_reference(axis, name_of_other)}
            coordinates = {axis: value for axis, value in points[number].items() if axis in own or axis in coordinates}
        first = _validated({**tree, "variant": name, "seed": suite.seeds[0], "reference": reference}, origin, lines)
        for seed in suite.seeds:
            inputs = first.model_copy(update={"seed": seed})
            identity = inputs.identity()
            cell = Cell(suite.name, name, coordinates, seed, inputs, identity)
            same = cells.setdefault(identity, cell)
            if repr(same.point) != repr(cell.point):
                _refuse_same(same, cell, lines)
    return list(cells.values())


def _decides_reference(axis: str, reference: str) -> bool:
    """Whether an axis of the reference alone changes what others are brought to: their cells differ by it, and are named so."""
    block = (_axis_path(axis, reference) or "").partition(".")[0]
    return axis.startswith(_OF_A_VARIANT) and block in (*Reference.model_fields, *FORMS)


def problem_of(cell: Cell, path: tuple[str | int, ...], message: str, lines: SourceLines) -> str:
    """A problem of a cell's field as a line: with the sweep axis, entry of `set` or block that decided the field."""
    field = ".".join(str(part) for part in path)

    def decides(written: str | None) -> bool:
        return written is not None and (f"{field}.".startswith(f"{written}.") or f"{written}.".startswith(f"{field}."))

    own_set = ("variants", cell.variant, "set")
    axes = [("sweep", axis) for axis in cell.point if decides(_axis_path(axis, cell.variant))]
    entries = [(*own_set, written) for written in lines.keys(own_set) if decides(written)]
    block = path if path and path[0] in _SHARED else ("variants", cell.variant, *path)
    return lines.problem([block, *entries, *axes][-1], message)


def _refuse_same(one: Cell, other: Cell, lines: SourceLines) -> NoReturn:
    """Two sweep points that declare one and the same cell would silently be one row."""
    axis = next(path for path, value in other.point.items() if repr(one.point.get(path)) != repr(value))
    written = f"{one.point.get(axis)!r} and {other.point[axis]!r}"
    raise SuiteError([lines.problem(("sweep", axis), f"{written} mean the same for variant {other.variant}: leave one out")])
