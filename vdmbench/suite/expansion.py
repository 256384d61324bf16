"""From a suite to its cells: variants x sweep points x seeds, each validated, a problem named where it was written."""

from __future__ import annotations

import itertools
import math
from copy import deepcopy
from dataclasses import dataclass
from typing import Any, NoReturn

from pydantic import ValidationError

from vdmbench.suite.cells import Cell, CellInputs, Reference
from vdmbench.suite.errors import SuiteError, closest, explain
from vdmbench.suite.loading import SourceLines
from vdmbench.suite.overrides import UnknownPath, has_path, set_path
from vdmbench.suite.pattern import FORMS
from vdmbench.suite.schema import Suite, Variant

_SHARED = ("network", "condition", "autoencoder", "data", "diffusion", "train", "sample", "evaluate")


def _base_tree(suite: Suite, name: str, variant: Variant) -> dict[str, Any]:
    tree: dict[str, Any] = {block: value and value.model_dump() for block in _SHARED for value in [getattr(suite, block)]}
    match = suite.match
    as_declared = match is None or name == match.reference_variant or name in match.exempt
    return tree | variant.model_dump(exclude={"set"}) | {"match": None if as_declared or match is None else match.model_dump()}


_OF_A_VARIANT = "variants."


def axis_path(path: str, variant: str) -> str | None:
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
        if all(axis_path(path, name) is None for name in suite.variants):
            raise SuiteError([lines.problem(("sweep", path), f"no such variant; variants: {', '.join(suite.variants)}")])
        trees = [(_base_tree(suite, name, variant), axis_path(path, name)) for name, variant in suite.variants.items()]
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
            block = path if path and path[0] in (*_SHARED, "match", "tune") else ("variants", tree["variant"], *path)
            problems.append(lines.problem(source[-1] if source else block, message))
        raise SuiteError(problems) from None


def expand(suite: Suite, lines: SourceLines) -> list[Cell]:
    """All cells, in the order written: variants, then sweep points, then seeds; equal ones once. Trials are not among them
    (:func:`~vdmbench.suite.dependencies.with_dependencies`).

    :raises SuiteError: an axis that no variant has, a value that a field refuses, or a variant that cannot begin with another's
        weights, with its place in the file.
    """
    _check_axes(suite, lines)
    _check_number(suite, lines)
    expansion = _Expansion(suite, lines)
    cells: dict[str, Cell] = {}
    for name, number in itertools.product(suite.variants, range(len(expansion.points))):
        first, coordinates = expansion.first(name, number)
        for seed in suite.seeds:
            inputs = first.with_seed(seed)
            identity = inputs.identity()
            cell = Cell(suite.name, name, coordinates, seed, inputs, identity)
            same = cells.setdefault(identity, cell)
            if repr(same.point) != repr(cell.point):
                _refuse_same(same, cell, lines)
    return list(cells.values())


@dataclass(frozen=True)
class _Draft:
    """What is declared of a variant at a sweep point, before it is validated as a whole."""

    tree: dict[str, Any]
    coordinates: dict[str, Any]
    origin: list[tuple[str, tuple[str | int, ...]]]
    """Paths that were set after the shared blocks, and where each value was written."""


class _Expansion:
    """The cells of a suite's first seed, by variant and number of the sweep point."""

    def __init__(self, suite: Suite, lines: SourceLines) -> None:
        self._suite, self._lines = suite, lines
        self.points = [dict(zip(suite.sweep, values, strict=True)) for values in itertools.product(*suite.sweep.values())]
        self._drafts = {
            (name, number): self._draft(name, point) for name in suite.variants for number, point in enumerate(self.points)
        }
        if suite.tune is not None and not any(has_path(each.tree, suite.tune.field) for each in self._drafts.values()):
            tree = next(iter(self._drafts.values())).tree
            _set(tree, suite.tune.field, None, ("tune", "field"), lines)  # raises, with the nearest name
        self._done: dict[tuple[str, int], tuple[CellInputs, dict[str, Any]]] = {}

    def _draft(self, name: str, point: dict[str, Any]) -> _Draft:
        suite, lines = self._suite, self._lines
        variant = suite.variants[name]
        tree = _base_tree(suite, name, variant)
        coordinates: dict[str, Any] = {}
        origin: list[tuple[str, tuple[str | int, ...]]] = []
        for path, value in variant.set.items():
            _set(tree, path, value, ("variants", name, "set", path), lines)
            origin.append((path, ("variants", name, "set", path)))
        for axis, value in point.items():
            own = axis_path(axis, name)
            if own is not None and has_path(tree, own):
                set_path(tree, own, value)
                coordinates[axis] = value
                origin.append((own, ("sweep", axis, suite.sweep[axis].index(value))))
        return _Draft(tree, coordinates, origin)

    def first(self, name: str, number: int, heirs: tuple[str, ...] = ()) -> tuple[CellInputs, dict[str, Any]]:
        """The cell's inputs, and the sweep coordinates that concern it.

        :param heirs: variants that begin with its weights, one after the other.
        """
        if (name, number) not in self._done:
            self._done[name, number] = self._validated_draft(name, number, heirs)
        return self._done[name, number]

    def _validated_draft(self, name: str, number: int, heirs: tuple[str, ...]) -> tuple[CellInputs, dict[str, Any]]:
        suite, draft = self._suite, self._drafts[name, number]
        tree = {**deepcopy(draft.tree), "variant": name, "seed": suite.seeds[0], "reference": None}
        also: set[str] = set()
        if tree["match"] is not None and suite.match is not None and suite.match.reference_variant is not None:
            name_of_other = suite.match.reference_variant
            other = self._drafts[name_of_other, number]
            tree["reference"] = {block: other.tree[block] for block in (*Reference.model_fields, *FORMS) if block in other.tree}
            also |= {axis for axis in other.coordinates if _decides_reference(axis, name_of_other)}
        if tree["init_from"] is not None:
            self._refuse_origin(name, tree["init_from"], draft, heirs)
            tree["init_from"], its_coordinates = self.first(tree["init_from"], number, (*heirs, name))
            also |= its_coordinates.keys()
        tune, origin = suite.tune, draft.origin
        if tune is not None and has_path(tree, tune.field):
            self._refuse_decided(tune.field, draft)
            tree["tune"] = tune.model_dump()
            set_path(tree, tune.field, tune.values[0])
            origin = [*origin, (tune.field, ("tune", "values", 0))]
        inputs = _validated(tree, origin, self._lines)
        if inputs.tune is not None and tune is not None:
            alike: dict[str, Any] = {}
            for place, value in enumerate(tune.values):
                set_path(tree, tune.field, value)
                tried = _validated(tree, [*draft.origin, (tune.field, ("tune", "values", place))], self._lines)
                before = alike.setdefault(tried.identity(), value)
                if before is not value:
                    message = f"{before!r} and {value!r} mean the same for variant {name}: leave one out"
                    raise SuiteError([self._lines.problem(("tune", "values", place), message)])
        point = self.points[number]
        return inputs, {axis: value for axis, value in point.items() if axis in also or axis in draft.coordinates}

    def _refuse_origin(self, name: str, wanted: Any, draft: _Draft, heirs: tuple[str, ...]) -> None:
        """A variant to begin with that is not there, or that itself begins with this one."""
        where = next((place for path, place in draft.origin if path == "init_from"), ("variants", name, "init_from"))
        if wanted not in self._suite.variants:
            hint = closest(str(wanted), [other for other in self._suite.variants if other != name])
            raise SuiteError([self._lines.problem(where, f"no variant is called '{wanted}', {hint}")])
        line = (*heirs, name)
        if wanted in line:
            circle = " from ".join(f"'{each}'" for each in (*line[line.index(wanted) :], wanted))
            remedy = "let one of them begin with drawn weights, by leaving its 'init_from' out"
            raise SuiteError(
                [self._lines.problem(where, f"{circle} is a circle, in which none can be trained first: {remedy}")]
            )

    def _refuse_decided(self, field: str, draft: _Draft) -> None:
        """A field that is chosen by trials and also set: what is set would do nothing."""
        for path, where in draft.origin:
            if f"{path}.".startswith(f"{field}.") or f"{field}.".startswith(f"{path}."):
                decided = "swept" if where[0] == "sweep" else f"set by variant '{where[1]}'"
                message = f"'{field}' is {decided} too, and every variant has one grid: tune it, or leave it as it is there"
                raise SuiteError([self._lines.problem(("tune", "field"), message)])


def _decides_reference(axis: str, reference: str) -> bool:
    """Whether an axis of the reference alone changes what others are brought to: their cells differ by it, and are named so."""
    block = (axis_path(axis, reference) or "").partition(".")[0]
    return axis.startswith(_OF_A_VARIANT) and block in (*Reference.model_fields, *FORMS)


def problem_of(cell: Cell, path: tuple[str | int, ...], message: str, lines: SourceLines) -> str:
    """A problem of a cell's field as a line: with the sweep axis, entry of `set` or block that decided the field."""
    field = ".".join(str(part) for part in path)

    def decides(written: str | None) -> bool:
        return written is not None and (f"{field}.".startswith(f"{written}.") or f"{written}.".startswith(f"{field}."))

    own_set = ("variants", cell.variant, "set")
    axes = [("sweep", axis) for axis in cell.point if decides(axis_path(axis, cell.variant))]
    entries = [(*own_set, written) for written in lines.keys(own_set) if decides(written)]
    block = path if path and path[0] in (*_SHARED, "tune") else ("variants", cell.variant, *path)
    return lines.problem([block, *entries, *axes][-1], message)


def _refuse_same(one: Cell, other: Cell, lines: SourceLines) -> NoReturn:
    """Two sweep points that declare one and the same cell would silently be one row."""
    axis = next(path for path, value in other.point.items() if repr(one.point.get(path)) != repr(value))
    written = f"{one.point.get(axis)!r} and {other.point[axis]!r}"
    raise SuiteError([lines.problem(("sweep", axis), f"{written} mean the same for variant {other.variant}: leave one out")])
