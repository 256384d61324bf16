"""Which cells are of one experiment. A name does not tell: a suite that was changed in one number keeps its name.

Cells are of one experiment where every declared field agrees, and the videos that one declaration of data gave them, but for
what is meant to differ: the seed, the swept fields of a cell's point, and what a variant sets for itself (its mixers and its
``set``), which must agree within the variant. A variant that sets a field itself says nothing of that field for the others, so
its cells may stand in several experiments.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from types import NoneType
from typing import Any

MIXER_FORMS = frozenset({"mixer", "pattern", "blocks"})
"""Fields that belong to each variant, whatever a suite declares."""
_BEFORE = frozenset({"init_from", "tune"})
"""What a variant begins with and chooses: its own too, for another one may begin with nothing, and lack the tuned field."""
_BEGUN_FROM = "init_from."
_OF_MATCHED = ("match", "reference")
"""Blocks that are null for the reference of a match and for variants that are exempt from it."""
_NOT_COMPARED = ("variant", "seed")
_UNSET = "not set"
_SHOWN = 3
"""Differences that a name holds."""
_LONGEST_VALUE = 40

_Field = tuple[str | None, str]
"""A variant, or null for what all variants share; and a path."""
_Key = dict[_Field, str]
"""Some fields with the values that a cell declares; one that is not there may have any value."""


@dataclass(frozen=True)
class Declaration:
    """What one cell declares, and which of it is its variant's own."""

    variant: str
    point: Mapping[str, Any]
    inputs: Mapping[str, Any]
    """The cell's declared inputs, as its record has them."""
    own: frozenset[str] = frozenset()
    """Paths that the variant's ``set`` names."""
    videos: Mapping[str, Any] = field(default_factory=dict)
    """What the cell saw, as its record has it: a hash of each split. A folder may hold other videos by the next run."""


@dataclass
class Experiment:
    """Cells that may stand in one table."""

    members: list[int] = field(default_factory=list)
    """Places in the sequence that was asked about."""
    values: dict[str, str] = field(default_factory=dict)
    """The fields in which the experiments differ, with this one's values."""
    current: bool = False
    """Whether it is the one that the suite declares now."""

    @property
    def name(self) -> str:
        """``train.steps=800``: what tells it from the others; the first differences of many."""
        shown = [f"{path}={value}" for path, value in list(self.values.items())[:_SHOWN]]
        more = len(self.values) - _SHOWN
        return ", ".join([*shown, f"{more} more"] if more > 0 else shown)


def experiments(cells: Sequence[Declaration], current: Sequence[Declaration] = ()) -> list[Experiment]:
    """The experiments that ``cells``, oldest first, are of. The one of ``current``, which the suite declares now, comes first.

    Every two cells of an experiment agree. A field in which cells of ``current`` differ among each other tells no experiments
    apart.
    """
    fields = [each | seen for each, seen in zip(_fields_of([*cells, *current]), _contents([*cells, *current]), strict=True)]
    now = _values_seen(fields[len(cells) :])
    split = {name for name, values in _values_seen(fields).items() if len(values) > 1 and len(now.get(name, ())) <= 1}
    keys = [{name: value for name, value in each.items() if name in split} for each in fields]
    keys, declared = keys[: len(cells)], keys[len(cells) :]
    found: list[_Key] = [{name: value for key in declared for name, value in key.items()}] if current else []
    for key in sorted(keys, key=len, reverse=True):  # those that say most begin an experiment, the others join where they agree
        agreeing = [other for other in found if _agree(key, other)]
        for other in agreeing:
            other.update(key)
        if not agreeing:
            found.append(dict(key))
    for other in found:
        for key in reversed(keys):
            if _agree(key, other):
                other.update(key)
    answer = []
    for number, other in enumerate(found):
        members = [index for index, key in enumerate(keys) if _agree(key, other)]
        answer.append(Experiment(members, _differing(other, found), current=bool(current) and number == 0))
    return [each for each in answer if each.members or each.current]


def differences(found: Sequence[Experiment]) -> list[str]:
    """``train.steps: 400 / 800``: a line a field in which the experiments differ, with the values in their order."""
    paths = dict.fromkeys(path for each in found for path in each.values)
    return [f"{path}: {' / '.join(dict.fromkeys(each.values.get(path, _UNSET) for each in found))}" for path in paths]


def difference(one: Declaration, other: Declaration) -> str:
    """In one line, what two cells declare otherwise: ``train.steps: 400 / 800``; the first fields of many."""
    first, second = (each | seen for each, seen in zip(_fields_of([one, other]), _contents([one, other]), strict=True))
    keys = [{path: value for (_, path), value in each.items()} for each in (first, second)]
    unlike = {path: None for path in [*keys[0], *keys[1]] if keys[0].get(path, _UNSET) != keys[1].get(path, _UNSET)}
    lines = [f"{path}: {' / '.join(_shown(key.get(path, _UNSET)) for key in keys)}" for path in _collapsed(list(unlike))]
    more = len(lines) - _SHOWN
    return "; ".join([*lines[:_SHOWN], f"{more} more"] if more > 0 else lines)


def _contents(cells: Sequence[Declaration]) -> list[_Key]:
    """Of each cell which videos it saw, counted as they are met, where one declaration of data has met several."""
    seen: dict[str, list[str]] = {}
    each_saw: list[tuple[str, str] | None] = []
    for cell in cells:
        sample = cell.inputs.get("sample") or {}
        asked = json.dumps(
            [cell.inputs.get("data"), sample.get("frames"), sample.get("known_frames")], sort_keys=True, default=str
        )
        saw = json.dumps(cell.videos, sort_keys=True, default=str)
        if cell.videos and saw not in seen.setdefault(asked, []):
            seen[asked].append(saw)
        each_saw.append((asked, saw) if cell.videos else None)
    return [
        {(None, "data.videos"): f"content {seen[each[0]].index(each[1]) + 1}"} if each and len(seen[each[0]]) > 1 else {}
        for each in each_saw
    ]


def _agree(one: _Key, other: _Key) -> bool:
    return all(other[name] == value for name, value in one.items() if name in other)


def _values_seen(fields: Sequence[_Key]) -> dict[_Field, set[str]]:
    seen: dict[_Field, set[str]] = {}
    for each in fields:
        for name, value in each.items():
            seen.setdefault(name, set()).add(value)
    return seen


def _fields_of(cells: Sequence[Declaration]) -> list[_Key]:
    """Of each cell, the fields that must agree. One that a cell leaves out, and others declare, is there as not set.

    Which fields those are is asked once of all cells that answer alike: a folder holds ten thousand of a few kinds.
    """
    free = frozenset(path for point in _once(cell.point for cell in cells) for path in _swept(point))
    every = [dict(_leaves(cell.inputs)) for cell in cells]
    shared = dict.fromkeys(path for leaves in every for path in leaves)
    of_variant: dict[str, dict[str, None]] = {}
    paths_seen = set[tuple[str, frozenset[str], tuple[str, ...]]]()
    for cell, leaves in zip(cells, every, strict=True):
        kind = (cell.variant, cell.own, tuple(leaves))
        if kind not in paths_seen:
            paths_seen.add(kind)
            own = [path for path in leaves if _within(path, MIXER_FORMS | _BEFORE | cell.own)]
            of_variant.setdefault(cell.variant, {}).update(dict.fromkeys(own))
    asked: dict[Any, list[tuple[_Field, str]]] = {}
    answer = []
    for cell, leaves in zip(cells, every, strict=True):
        unmatched = frozenset(block for block in _OF_MATCHED if cell.inputs.get(block) is None)
        alike = (cell.variant, cell.own, frozenset(cell.point), unmatched)
        if alike not in asked:
            asked[alike] = list(_must_agree(cell, shared, of_variant.get(cell.variant, {}), free, unmatched))
        key = {name: leaves.get(path, _UNSET) for name, path in asked[alike]}
        swept = _swept(cell.point, cell.variant) if unmatched or cell.inputs.keys() & _OF_MATCHED else frozenset()
        for block in _OF_MATCHED:
            if block in cell.inputs and not _within(block, swept):
                key[cell.variant, block] = _UNSET if block in unmatched else "set"
        answer.append(key)
    return answer


def _once(points: Iterable[Mapping[str, Any]]) -> list[tuple[str, ...]]:
    """The paths of the points, each set of them once."""
    return list(dict.fromkeys(tuple(point) for point in points))


def _must_agree(
    cell: Declaration, shared: Iterable[str], own: Iterable[str], free: frozenset[str], unmatched: frozenset[str]
) -> Iterator[tuple[_Field, str]]:
    """The fields of a cell that must agree, of those that all cells share and of its variant's own, and where each is found."""
    swept = _swept(cell.point, cell.variant)
    left_out = MIXER_FORMS | _BEFORE | cell.own | swept
    for path in shared:
        block, _, rest = path.partition(".")
        aside = path in _NOT_COMPARED or block in unmatched or (block == "reference" and _within(rest, free | MIXER_FORMS))
        if not aside and not _within(path, left_out):
            yield (None, path), path
    for path in own:
        inside = _of_the_first(path)
        if not (_within(path, swept) or (inside != path and (_within(inside, free) or inside in _NOT_COMPARED))):
            yield (cell.variant, path), path


def _of_the_first(path: str) -> str:
    """A field of what a cell begins with, or of what that begins with, as that cell has it; another field as it is."""
    while path.startswith(_BEGUN_FROM):
        path = path.removeprefix(_BEGUN_FROM)
    return path


def _swept(point: Iterable[str], variant: str | None = None) -> frozenset[str]:
    """The paths of a point as a cell's inputs have them, ``variants.NAME.`` taken off: of one variant's own axes, or of all."""
    paths = set()
    for path in point:
        head, _, rest = path.partition(".")
        name, _, inside = rest.partition(".")
        if head != "variants":
            paths.add(path)
        elif inside and variant in (None, name):
            paths.add(inside)
    return frozenset(paths)


def _within(path: str, blocks: frozenset[str] | set[str]) -> bool:
    return any(path == block or path.startswith(f"{block}.") for block in blocks)


def _leaves(tree: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, str]]:
    """Every value that is no mapping, as JSON, by its path."""
    for name, value in tree.items():
        if isinstance(value, Mapping) and value:
            yield from _leaves(value, f"{prefix}{name}.")
        else:
            yield f"{prefix}{name}", _as_json(value)


def _as_json(value: Any) -> str:
    kind: Any = type(value)
    if kind in (str, int, bool, float, NoneType):  # most are, and most of them are the same few
        return _plain_as_json(kind, value)
    return json.dumps(value, sort_keys=True, default=str)


@lru_cache(4096)
def _plain_as_json(_: Any, value: Any) -> str:
    """By the type too: 1, 1.0 and true are equal, and not the same."""
    return json.dumps(value)


def _differing(key: _Key, among: Sequence[_Key]) -> dict[str, str]:
    unlike = [name for name, value in key.items() if any(name in other and other[name] != value for other in among)]
    paths = {(path if variant is None else f"variants.{variant}.{path}"): name for name in unlike for variant, path in [name]}
    return {path: _shown(key[paths.get(path) or paths[f"{path}.name"]]) for path in _collapsed(list(paths))}


def _collapsed(paths: Sequence[str]) -> list[str]:
    """Without what follows from another difference: the options of a choice by another name, what a match refers to, and what a
    cell begins with."""
    chosen = [path.removesuffix(".name") for path in paths if path.endswith(".name")]
    kept = dict.fromkeys(next((choice for choice in chosen if _within(path, {choice})), path) for path in paths)
    first_hand = [path for path in kept if path.partition(".")[0] != "reference" and f".{_BEGUN_FROM}" not in f".{path}"]
    return first_hand or list(kept)


def _shown(value: str) -> str:
    text = value[1:-1] if value.startswith('"') else value
    return text if len(text) <= _LONGEST_VALUE else f"{text[:_LONGEST_VALUE]}…"
