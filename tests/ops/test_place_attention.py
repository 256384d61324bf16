"""The halves of linear attention over places against their definitions in float64."""

from __future__ import annotations

import pytest
import torch

from vdmbench.ops import place_attention


@pytest.mark.parametrize(("places", "heads", "channels"), [(16, 1, 16), (48, 2, 32)])
def test_both_halves_equal_their_definitions(places, heads, channels, relative_error):
    generator = torch.Generator().manual_seed(0)

    def drawn(*shape: int) -> torch.Tensor:
        return torch.randn(shape, generator=generator).requires_grad_()

    q, x, values = drawn(3, places, 32 * heads), drawn(3, places, channels), drawn(3, 32 * heads, channels)
    assert place_attention.takes(q, x)
    wide_q, wide_x, wide_values = (each.detach().double().requires_grad_() for each in (q, x, values))
    weights = wide_q.unflatten(-1, (heads, 32)).softmax(-1).flatten(-2)
    for inputs, got, wide, want in (
        ((q, x), place_attention.gathered(q, x), (wide_q, wide_x), wide_q.softmax(1).transpose(1, 2) @ wide_x),
        ((q, values), place_attention.read(q, values, heads), (wide_q, wide_values), weights @ wide_values),
    ):
        assert relative_error(got, want) < 1e-5
        weight = torch.randn(want.shape, generator=generator)
        gotten = torch.autograd.grad((got * weight).sum(), inputs)
        wanted = torch.autograd.grad((want * weight.double()).sum(), wide)
        for one, other in zip(gotten, wanted, strict=True):
            assert relative_error(one, other) < 1e-5


def test_gradients_of_gradients_are_those_of_the_definition(relative_error):
    q, x = (torch.randn(2, 16, 32, generator=torch.Generator().manual_seed(seed)).requires_grad_() for seed in (0, 1))
    found = []
    for mixed in (place_attention.gathered(q, x), q.softmax(1).transpose(1, 2) @ x):
        (first,) = torch.autograd.grad((mixed**2).sum(), q, create_graph=True)
        found.append(torch.autograd.grad((first**2).sum(), x)[0])
    assert relative_error(*found) < 1e-4


def test_other_sizes_and_dtypes_are_left_to_pytorch():
    x = torch.randn(1, 16, 16)
    assert not place_attention.takes(torch.randn(1, 15, 32), x)
    assert not place_attention.takes(torch.randn(1, 16, 32, dtype=torch.float64), x)
    with torch.autocast("cpu", torch.bfloat16):
        assert not place_attention.takes(torch.randn(1, 16, 32), x)
