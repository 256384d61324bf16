"""The linear map by oneDNN against PyTorch's own."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from vdmbench.ops.linear import IMAGES, ROWS, Linear, linear


def normal(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed)).requires_grad_()


@pytest.mark.parametrize("places", [(IMAGES, 16), (ROWS + 1,), (2, 9, 8, 16), (7, 3), (1, 1), (0, 8)])
@pytest.mark.parametrize(("inputs", "outputs"), [(2, 33), (16, 1), (1, 5)])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_it_is_the_product_with_its_gradients(places, inputs, outputs, dtype, relative_error):
    x, weight, bias = normal(*places, 2 * inputs), normal(outputs, inputs, seed=1), normal(outputs, seed=2)
    parts = [each.detach().to(dtype).requires_grad_() for each in (x[..., :inputs], weight, bias)]  # rows that lie apart
    wide = [each.detach().double().requires_grad_() for each in parts]
    got, want = linear(*parts), F.linear(*wide)
    assert got.shape == want.shape
    assert got.dtype is dtype
    if not got.numel():
        return
    assert relative_error(got, want) < 1e-6
    gotten, wanted = (torch.autograd.grad(y.square().sum(), tensors) for y, tensors in ((got, parts), (want, wide)))
    assert all(relative_error(one, other) < 1e-5 for one, other in zip(gotten, wanted, strict=True))
    assert torch.equal(got, linear(*parts))


def test_it_keeps_its_input_alone_and_gives_way_to_autocast():
    x, layer = normal(64, 16, 8), Linear(8, 24)
    kept = []
    with torch.autograd.graph.saved_tensors_hooks(lambda tensor: kept.append(tensor) or tensor, lambda tensor: tensor):
        y = layer(x)
    assert "_Linear" in type(y.grad_fn).__name__, "large enough for oneDNN"
    assert {each.data_ptr() for each in kept} == {each.data_ptr() for each in (x, layer.weight)}
    with torch.autocast("cpu", torch.bfloat16):
        assert layer(x).dtype is torch.bfloat16
    assert isinstance(layer, nn.Linear), "what counts linear maps sees it"


def test_its_gradient_has_gradients():
    x, weight = normal(1024, 4), normal(6, 4, seed=1)
    (gradient,) = torch.autograd.grad(linear(x, weight).square().sum(), x, create_graph=True)
    wanted = 2 * x @ weight.T @ weight
    torch.testing.assert_close(gradient, wanted)
    found, want = (torch.autograd.grad(g.square().sum(), weight, retain_graph=True)[0] for g in (gradient, wanted))
    torch.testing.assert_close(found, want, rtol=1e-3, atol=1e-3)
