from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from vdmbench.records.experiments import Declaration, difference, differences, experiments


def cell(variant: str = "a", seed: int = 0, *, own: tuple[str, ...] = (), point: dict[str, Any] | None = None, **changes: Any):
    """Blocks by dotted path, as a cell declares them."""
    inputs: dict[str, Any] = {
        "variant": variant,
        "seed": seed,
        "mixer": {"name": variant},
        "match": None,
        "reference": None,
        "data": {"source": {"name": "sprites", "sprites": 1}, "frames": 8},
        "diffusion": {"parameterisation": "v"},
        "train": {"steps": 400, "batch_size": 2},
        "evaluate": {"metrics": [{"name": "ste-fd"}]},
    }
    for path, value in changes.items():
        *outer, last = path.split("__")
        block = inputs
        for name in outer:
            block = block.setdefault(name, {})
        block[last] = value
    return Declaration(variant, point or {}, inputs, frozenset(own))


def names(cells, current=()) -> dict[str, list[int]]:
    return {each.name: each.members for each in experiments(cells, current)}


def test_seeds_variants_and_mixers_do_not_tell_experiments_apart() -> None:
    cells = [cell("a"), cell("b", mixer__expand=2.0), cell("a", 1), cell("b", 1, mixer__expand=2.0)]
    assert names(cells) == {"": [0, 1, 2, 3]}


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"train__steps": 800}, "train.steps: 400 / 800"),
        ({"train__batch_size": 4}, "train.batch_size: 2 / 4"),
        ({"diffusion__parameterisation": "epsilon"}, "diffusion.parameterisation: v / epsilon"),
        ({"data__frames": 16}, "data.frames: 8 / 16"),
        ({"data__source": {"name": "folder", "path": "x"}}, "data.source: sprites / folder"),
        ({"data__source__sprites": 2}, "data.source.sprites: 1 / 2"),
        ({"evaluate__real_clips": 16}, "evaluate.real_clips: not set / 16"),
        ({"evaluate__metrics": [{"name": "fvd"}]}, 'evaluate.metrics: [{"name": "ste-fd"}] / [{"name": "fvd"}]'),
    ],
)
def test_every_declared_block_must_agree(change, said) -> None:
    found = experiments([cell("a"), cell("b"), cell("a", **change)])
    assert [each.members for each in found] == [[0, 1], [2]]
    assert differences(found) == [said]


def seen(of: Declaration, **videos: str) -> Declaration:
    return replace(of, videos=videos)


def test_cells_that_saw_other_videos_under_one_declaration_are_told_apart() -> None:
    cells = [
        seen(cell("a"), train="1", test="2"),
        seen(cell("b"), train="1", test="2"),
        seen(cell("b", 1), train="1", test="3"),
        cell("b", 2),  # ended before any data was read
        seen(cell("a", 1), train="9", test="2"),
    ]
    found = experiments(cells)
    assert [each.members for each in found] == [[0, 1, 3], [2, 3], [3, 4]]
    assert differences(found) == ["data.videos: content 1 / content 2 / content 3"]
    assert difference(cells[1], cells[2]) == "data.videos: content 1 / content 2"
    assert difference(cells[0], cells[4]) == "data.videos: content 1 / content 2"
    assert difference(cells[0], cells[3]) == "mixer: not set / not set"


def test_videos_of_other_declared_data_tell_nothing_apart() -> None:
    short = [seen(cell("a", data__frames=8, point={"data.frames": 8}), test="1"), seen(cell("b", data__frames=8), test="1")]
    long = seen(cell("a", data__frames=16, point={"data.frames": 16}), test="2")
    sampled = seen(cell("b", sample={"frames": 32}, point={"sample.frames": 32}), test="3")
    assert "data.videos" not in str([each.values for each in experiments([*short, long, sampled])])


def test_a_variants_own_settings_need_agree_within_it_alone() -> None:
    own = ("train.steps",)
    assert names([cell("a"), cell("b", train__steps=10, own=own)]) == {"": [0, 1]}
    again = [cell("a"), cell("b", train__steps=10, own=own), cell("b", train__steps=20, own=own)]
    assert names(again) == {"variants.b.train.steps=10": [0, 1], "variants.b.train.steps=20": [0, 2]} or names(again) == {
        "variants.b.train.steps=20": [0, 2],
        "variants.b.train.steps=10": [0, 1],
    }
    # A variant that sets the field itself stands in both experiments of the others.
    assert names([cell("a"), cell("c"), cell("b", train__steps=10, own=own), cell("a", train__steps=800)]) == {
        "train.steps=400": [0, 1, 2],
        "train.steps=800": [2, 3],
    }


def test_a_mixer_whose_options_changed_is_another_experiment() -> None:
    found = experiments([cell("a"), cell("b", mixer__expand=1), cell("b", mixer__expand=2)])
    assert [each.members for each in found] in ([[0, 1], [0, 2]], [[0, 2], [0, 1]])
    assert differences(found)[0].startswith("variants.b.mixer.expand: ")


def test_swept_fields_do_not_tell_experiments_apart_and_others_do_at_every_point() -> None:
    swept = [cell("a", point={"data.frames": n}, data__frames=n) for n in (8, 16)]
    assert names(swept) == {"": [0, 1]}
    mixed = [*swept, cell("a", point={"data.frames": 16}, data__frames=16, train__steps=800)]
    assert names(mixed) == {"train.steps=400": [0, 1], "train.steps=800": [2]}
    own_axis = [cell("a", point={"variants.a.train.steps": n}, train__steps=n) for n in (1, 2)]
    assert names([*own_axis, cell("b")]) == {"": [0, 1, 2]}


def test_what_is_declared_now_comes_first_even_without_a_cell() -> None:
    now = [cell("a", train__steps=800), cell("b", train__steps=800)]
    found = experiments([cell("a"), cell("b")], now)
    assert [(each.current, each.members, each.name) for each in found] == [
        (True, [], "train.steps=800"),
        (False, [0, 1], "train.steps=400"),
    ]


def test_a_match_must_agree_between_those_that_have_it() -> None:
    match = {"quantity": "parameters", "reference": "a"}
    reference = {"network": {"base_channels": 32}, "mixer": {"name": "a"}}
    cells = [cell("a"), cell("b", match=match, reference=reference), cell("c", match=match, reference=reference)]
    assert names(cells) == {"": [0, 1, 2]}
    wider = cell("b", match=match, reference={**reference, "network": {"base_channels": 64}})
    assert len(experiments([*cells, wider])) == 2
    assert len(experiments([*cells, cell("b")])) == 2  # no longer matched


def test_no_two_cells_of_an_experiment_disagree() -> None:
    cells = [cell(name, mixer__expand=value) for name in ("a", "b") for value in (1, 2)]
    for each in experiments(cells):
        by_variant = [cells[index].inputs["mixer"]["expand"] for index in each.members if cells[index].variant == "a"]
        assert len(set(by_variant)) <= 1


def test_a_difference_of_two_cells_in_a_line() -> None:
    assert difference(cell("a"), cell("a", train__steps=800)) == "train.steps: 400 / 800"
    assert difference(cell("a"), cell("a", 3)) == ""
    many = {f"train__option{number}": number for number in range(6)}
    assert difference(cell("a"), cell("a", **many)).endswith("3 more")
