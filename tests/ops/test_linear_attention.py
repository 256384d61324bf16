"""Linear attention against its quadratic form and its definition."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from vdmbench.mixers.rotary import Rotary
from vdmbench.ops import linear_attention, linear_attention_quadratic

FEATURE_MAPS = ("softmax", "relu")


def random_inputs(shape: tuple[int, ...], dtype: torch.dtype = torch.float64) -> list[Tensor]:
    generator = torch.Generator().manual_seed(0)
    return [torch.randn(shape, generator=generator, dtype=torch.float64).to(dtype).requires_grad_() for _ in range(3)]


@pytest.mark.parametrize(("feature_map", "causal"), [("softmax", False), ("relu", False), ("relu", True)])
@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float64, 1e-12), (torch.float32, 1e-5), (torch.bfloat16, 1e-2)])
@pytest.mark.parametrize("shape", [(2, 3, 17, 5), (1, 1, 1, 3), (2, 1, 70, 8)])
def test_it_equals_the_quadratic_form(feature_map, causal, dtype, tolerance, shape, relative_error):
    parts = [part.detach() for part in random_inputs(shape, dtype)]
    if causal:  # the first frames see few others: weights that are all but zero would be divided by
        parts = [part.abs() + 0.1 for part in parts]
    inputs = [torch.stack([part, part], -1)[..., 0].requires_grad_() for part in parts]  # strided
    wide = [tensor.detach().double().requires_grad_() for tensor in inputs]
    got = linear_attention(*inputs, feature_map=feature_map, causal=causal)
    want = linear_attention_quadratic(*wide, feature_map=feature_map, causal=causal)
    assert got.dtype is dtype
    assert relative_error(got, want) < tolerance
    weight = torch.randn(shape, generator=torch.Generator().manual_seed(1), dtype=torch.float64).to(dtype)
    gotten = torch.autograd.grad((got * weight).sum(), inputs)
    wanted = torch.autograd.grad((want * weight.double()).sum(), wide)
    for one, other in zip(gotten, wanted, strict=True):
        if other.norm() > 1e-4:  # one frame: the gradients of q and k vanish with the softmax over frames, or nearly
            assert relative_error(one, other) < tolerance


def test_the_softmax_maps_by_hand():
    """Shen et al. 2018, sec. 3.3: rows of softmax(q) and columns of softmax(k) are distributions."""
    q, k, v = random_inputs((1, 1, 6, 4))
    context = torch.einsum("bhfd,bhfe->bhde", torch.softmax(k, 2), v)
    torch.testing.assert_close(linear_attention(q, k, v), torch.einsum("bhfd,bhde->bhfe", torch.softmax(q, 3), context))


def test_relu_weights_average_the_values():
    q, k, _ = random_inputs((2, 2, 9, 6))
    ones = torch.ones_like(q)
    torch.testing.assert_close(linear_attention(q.abs(), k.abs(), ones, feature_map="relu"), ones, rtol=1e-5, atol=1e-5)


def test_a_query_without_positive_features_gives_zero_not_nan():
    q, k, v = random_inputs((1, 1, 3, 4))
    assert torch.equal(linear_attention(-q.abs(), k, v, feature_map="relu"), torch.zeros_like(v))


@pytest.mark.parametrize("feature_map", FEATURE_MAPS)
def test_gradcheck(feature_map):
    inputs = tuple(random_inputs((1, 2, 5, 3)))
    assert torch.autograd.gradcheck(lambda *qkv: linear_attention(*qkv, feature_map=feature_map), inputs)


def test_relu_sums_over_frames_in_float32():
    """In float16 the normaliser of 4096 frames would overflow."""
    x = torch.full((1, 1, 4096, 8), 8.0, dtype=torch.float16)
    torch.testing.assert_close(linear_attention(x, x, x, feature_map="relu"), x)


def test_what_does_not_fit_is_refused():
    q = torch.randn(1, 2, 3, 4)
    with pytest.raises(ValueError, match="feature_map must be 'softmax' or 'relu', got 'elu'"):
        linear_attention(q, q, q, feature_map="elu")
    with pytest.raises(ValueError, match="one shape"):
        linear_attention(q, q[:, :, :2], q)


def test_what_cannot_be_causal_is_refused():
    q, k, v = random_inputs((1, 1, 4, 4))
    with pytest.raises(ValueError, match="causal takes feature_map 'relu'"):
        linear_attention(q, k, v, causal=True)


@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float64, 1e-13), (torch.float32, 1e-5), (torch.bfloat16, 1e-2)])
@pytest.mark.parametrize(("frames", "features"), [(4, 16), (64, 32), (20, 48)])
def test_softmax_maps_on_a_cpu_take_kernels_of_their_own(dtype, tolerance, frames, features, relative_error):
    """Against the definition, of heads that lie side by side as a linear map leaves them; the same bits on two threads."""
    shape = (3, frames, 3 * 2 * features)
    qkv = (4 * torch.randn(shape, generator=torch.Generator().manual_seed(0))).to(dtype).requires_grad_()

    def heads(x):
        return [part.unflatten(-1, (2, features)).transpose(1, 2) for part in x.chunk(3, -1)]

    wide = qkv.detach().double().requires_grad_()
    want = linear_attention_quadratic(*heads(wide))
    (wanted,) = torch.autograd.grad(want.sin().sum(), wide)
    results, threads = [], torch.get_num_threads()
    try:
        for count in (1, 2):
            torch.set_num_threads(count)
            got = linear_attention(*heads(qkv))
            assert "numba" in type(got.grad_fn).__name__.lower(), type(got.grad_fn)
            results.append((got, *torch.autograd.grad(got.sin().sum(), qkv)))
    finally:
        torch.set_num_threads(threads)
    got, gotten = results[0]
    assert got.dtype is dtype
    assert relative_error(got, want) < tolerance
    assert relative_error(gotten, wanted) < 3 * tolerance
    assert all(torch.equal(one, two) for one, two in zip(*results, strict=True))


def test_what_the_kernels_do_not_take_is_computed_all_the_same():
    q = torch.randn(1, 1, 6, 32)
    torch.testing.assert_close(linear_attention(q, q, q), linear_attention_quadratic(q, q, q))
    with torch.autograd.graph.saved_tensors_hooks(lambda x: pytest.fail("without a gradient nothing is kept"), lambda x: x):
        linear_attention(*(torch.randn(1, 1, 8, 32) for _ in range(3)))


@pytest.mark.parametrize("shape", [(2, 3, 7, 8), (3, 1, 16, 24), (18, 2, 37, 40)])
@pytest.mark.parametrize("rotated", [False, True])
def test_few_frames_by_their_weights(shape, rotated, relative_error):
    """Fewer than features: another kernel, which rotates too."""
    rotate = Rotary(shape[-1]) if rotated else None
    inputs = random_inputs(shape, torch.float32)
    wide = [tensor.detach().double().requires_grad_() for tensor in inputs]
    got, want = linear_attention(*inputs, rotate=rotate), linear_attention_quadratic(*wide, rotate=rotate)
    assert relative_error(got, want) < 1e-5
    weight = torch.randn(shape, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    gotten = torch.autograd.grad((got * weight.float()).sum(), inputs)
    wanted = torch.autograd.grad((want * weight).sum(), wide)
    for one, other in zip(gotten, wanted, strict=True):
        assert relative_error(one, other) < 1e-4


@pytest.mark.parametrize("part", range(3))
def test_what_is_not_a_number_stays_none(part):
    inputs = [each.detach() for each in random_inputs((1, 1, 5, 8), torch.float32)]
    inputs[part][0, 0, 2, 3] = float("nan")
    assert linear_attention(*inputs).isnan().any()
