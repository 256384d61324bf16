"""Weights of another network are taken over where path and shape agree, and nowhere else."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from tests.suite.texts import MINIMAL
from vdmbench.engine import prepare
from vdmbench.engine.initial_weights import match, take_over
from vdmbench.suite import expand, parse_suite


def network(width: int, *, third: bool = False) -> nn.Sequential:
    layers = [nn.Linear(4, width), nn.Linear(width, 4), *([nn.Linear(4, 4)] if third else [])]
    return nn.Sequential(*layers)


def test_what_agrees_is_taken_and_the_rest_stays_as_drawn():
    here, there = network(8, third=True), network(8)
    drawn = {path: tensor.clone() for path, tensor in here.state_dict().items()}
    found = take_over(here, there.state_dict())
    assert found.matched == ["0.weight", "0.bias", "1.weight", "1.bias"]
    assert found.parameters == 4 * 8 + 8 + 8 * 4 + 4
    assert (found.initialised, found.left) == (["2.weight", "2.bias"], [])
    for path, tensor in here.state_dict().items():
        assert torch.equal(tensor, there.state_dict()[path] if path in found.matched else drawn[path])


def test_another_shape_is_no_match_and_what_has_no_place_is_named():
    here, there = network(8), network(16, third=True)
    found = match(here, {path: tensor.shape for path, tensor in there.state_dict().items()})
    assert found.matched == ["1.bias"]
    assert found.initialised == ["0.weight", "0.bias", "1.weight"]
    assert found.left == ["0.weight", "0.bias", "1.weight", "2.weight", "2.bias"]


def test_nothing_in_common_is_refused():
    with pytest.raises(ValueError, match="no parameter of the two networks agrees"):
        take_over(nn.Linear(3, 5), network(8).state_dict())


def test_a_common_buffer_alone_is_nothing_in_common():
    norm, other = nn.BatchNorm1d(4, affine=False), nn.BatchNorm1d(4, affine=False)
    with pytest.raises(ValueError, match="no parameter"):
        take_over(norm, other.state_dict())


def test_the_engine_begins_nothing_from_nothing_and_chooses_nothing():
    """Whoever calls it without the runner is told what is missing."""
    grid = "tune={field: train.learning_rate, values: [1e-4, 1e-3], by: val_loss, steps: 50%, seeds: [100]}"
    for override, message in (("variants.bi.init_from=uni", "begins with the weights of 'uni'"), (grid, "still to be chosen")):
        cell = expand(*parse_suite(MINIMAL, overrides=[override]))[-1]
        with pytest.raises(ValueError, match=message):
            prepare(cell.inputs, {}, {}, torch.device("cpu"))
