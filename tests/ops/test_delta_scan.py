"""The gated delta rule: chunks against the loop, and both against the rule written with matrices."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from vdmbench.ops import gated_delta_scan, recording

BACKENDS = ("reference", "chunked")
SHAPES = [(2, 37, 3, 4, 5), (1, 1, 1, 1, 1), (2, 131, 1, 8, 3), (1, 64, 2, 2, 2)]  # batch frames heads key_dim value_dim
TOLERANCE = {torch.float64: 1e-11, torch.float32: 1e-5, torch.bfloat16: 1e-2}


def parts(batch: int, frames: int, heads: int, key: int, value: int, dtype: torch.dtype = torch.float64) -> list[Tensor]:
    generator = torch.Generator().manual_seed(0)

    def normal(*shape: int) -> Tensor:
        return torch.randn(batch, frames, heads, *shape, generator=generator, dtype=torch.float64)

    keys = torch.nn.functional.normalize(normal(key), dim=-1)
    found = [normal(key), keys, normal(value), -normal().exp() / 4, normal().sigmoid()]
    return [part.to(dtype).requires_grad_() for part in found]


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("dtype", TOLERANCE)
@pytest.mark.parametrize("backend", BACKENDS)
def test_every_backend_equals_the_float64_reference(backend, dtype, shape, relative_error):
    inputs = parts(*shape, dtype=dtype)
    wide = [part.detach().double().requires_grad_() for part in inputs]
    want, got = gated_delta_scan(*wide, backend="reference"), gated_delta_scan(*inputs, backend=backend)
    assert got.dtype is dtype
    assert relative_error(got, want) < TOLERANCE[dtype]
    weight = torch.randn(want.shape, generator=torch.Generator().manual_seed(9), dtype=torch.float64).to(dtype)
    wanted = torch.autograd.grad((want * weight.double()).sum(), wide)
    for one, other in zip(torch.autograd.grad((got * weight).sum(), inputs), wanted, strict=True):
        assert relative_error(one, other) < TOLERANCE[dtype]


@pytest.mark.parametrize("backend", BACKENDS)
def test_it_is_the_rule_as_written(backend, relative_error):
    q, k, v, log_decay, beta = parts(1, 9, 1, 3, 2)
    S, outputs = torch.zeros(2, 3, dtype=torch.float64), []
    for t in range(9):
        key, b = k[0, t, 0], beta[0, t, 0]
        S = log_decay[0, t, 0].exp() * S @ (torch.eye(3) - b * key[:, None] * key) + b * v[0, t, 0][:, None] * key
        outputs.append(S @ q[0, t, 0])
    assert relative_error(gated_delta_scan(q, k, v, log_decay, beta, backend=backend)[0, :, 0], torch.stack(outputs)) < 1e-12


def test_gradcheck():
    assert torch.autograd.gradcheck(gated_delta_scan, tuple(parts(1, 5, 2, 2, 3)), fast_mode=True)


def test_a_key_written_twice_holds_the_second_value():
    """With beta 1 and no decay the memory is exact: the delta rule replaces, where linear attention adds."""
    k = torch.zeros(1, 2, 1, 4, dtype=torch.float64)
    k[..., 0] = 1
    v = torch.randn(1, 2, 1, 3, dtype=torch.float64)
    still, full = torch.zeros(1, 2, 1, dtype=torch.float64), torch.ones(1, 2, 1, dtype=torch.float64)
    torch.testing.assert_close(gated_delta_scan(k, k, v, still, full), v)


def test_auto_is_chunked_and_wrong_shapes_are_refused():
    q, k, v, log_decay, beta = parts(1, 4, 2, 3, 2)
    with recording() as used:
        gated_delta_scan(q, k, v, log_decay, beta)
    assert used == {"gated_delta_scan": {"chunked"}}
    with pytest.raises(ValueError, match=r"gated_delta_scan takes beta of shape \(1, 4, 2\), got \(1, 3, 2\)"):
        gated_delta_scan(q, k, v, log_decay, beta[:, :3])
