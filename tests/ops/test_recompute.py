"""Cheap results are not kept for the backward pass, and change no bit of it."""

from __future__ import annotations

import gc
import weakref
from collections.abc import Callable
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor
from torch.utils.checkpoint import checkpoint

from vdmbench.ops.recompute import from_inputs, recomputed, recomputing


def leaves(*shapes: tuple[int, ...]) -> list[Tensor]:
    generator = torch.Generator().manual_seed(0)
    return [torch.randn(shape, generator=generator).requires_grad_() for shape in shapes]


def gate(x: Tensor, weight: Tensor) -> Tensor:
    return F.silu(x) * weight


def chain(x: Tensor, weight: Tensor, matrix: Tensor) -> Tensor:
    """A cheap result that is cut in two, one half of which feeds another one, and both linear maps."""
    left, right = recomputed(gate, x, weight).chunk(2, -1)
    again = recomputed(lambda part: part.sigmoid() * part, left)
    return F.linear(again, matrix) * right + again * right


def held(run: Callable[[], Tensor]) -> tuple[Tensor, int]:
    """The result, and the bytes that its graph keeps, leaves apart: what dies with it."""
    gc.collect()
    saved: dict[int, int] = {}

    def see(tensor: Tensor) -> Tensor:
        base = tensor._base if tensor._base is not None else tensor
        if not (base.is_leaf and base.requires_grad):
            saved[tensor.untyped_storage()._cdata] = tensor.untyped_storage().nbytes()
        return tensor.detach()

    with torch.autograd.graph.saved_tensors_hooks(see, lambda tensor: tensor):
        result = run()
    return result, sum(saved.values())


def gradients(y: Tensor, inputs: list[Tensor]) -> tuple[Tensor, ...]:
    return torch.autograd.grad((y * torch.linspace(-1, 1, y.numel()).view_as(y)).sum(), inputs)


@pytest.mark.parametrize("autocast", [False, True])
def test_outputs_and_gradients_are_equal_to_the_bit(autocast: bool) -> None:
    inputs = leaves((3, 5, 8), (8,), (4, 4))

    def run(mode: Any) -> tuple[Tensor, tuple[Tensor, ...]]:
        with torch.autocast("cpu", torch.bfloat16, enabled=autocast), recomputing(mode):
            y = chain(*inputs)
        return y, gradients(y, inputs)

    (kept, wanted), (dropped, gotten) = run("none"), run("cheap")
    assert torch.equal(kept, dropped)
    assert all(torch.equal(one, other) for one, other in zip(wanted, gotten, strict=True))


def test_a_cheap_result_is_not_kept_and_its_inputs_are() -> None:
    x, weight, matrix = leaves((3, 5, 8), (8,), (4, 8))

    def run(mode: Any) -> Tensor:
        with recomputing(mode):
            return F.linear(recomputed(gate, x * 1.0, weight), matrix)

    _, kept = held(lambda: run("none"))
    _, dropped = held(lambda: run("cheap"))
    size = x.numel() * 4
    assert kept == 3 * size  # x * 1, its SiLU, the result
    assert dropped == size


def test_it_is_made_once_more_however_many_ask() -> None:
    calls = []

    def counted(x: Tensor) -> Tensor:
        calls.append(None)
        return x.tanh() + x

    (x,) = leaves((4, 4))
    with recomputing():
        y = recomputed(counted, x)
        z = y.sin() + y.cos() + y @ y
    assert len(calls) == 1
    torch.autograd.grad(z.sum(), x, retain_graph=True)
    assert len(calls) == 2
    torch.autograd.grad(z.sum(), x)
    assert len(calls) == 3


def test_nothing_lives_on_after_the_backward_pass() -> None:
    (x,) = leaves((4, 4))
    with recomputing():
        y = recomputed(gate, x, x * 2)
        z = y.sin().sum()
    storage = weakref.ref(y.untyped_storage())
    node = weakref.ref(y.grad_fn)
    del y
    gc.disable()
    try:
        assert storage() is None
        z.backward()
        del z
        assert node() is None  # no circle of references
    finally:
        gc.enable()


def test_a_result_changed_in_place_is_kept_as_it_became() -> None:
    (x,) = leaves((4,))

    def run(mode: Any) -> Tensor:
        with recomputing(mode):
            y = recomputed(lambda part: part * 3, x)
            y += 1
            z = y * y
        return torch.autograd.grad(z.sum(), x)[0]

    assert torch.equal(run("cheap"), run("none"))


def test_several_results_of_which_some_are_not_used_and_inputs_that_are_no_tensors() -> None:
    x, y = leaves((4,), (4,))

    def run(mode: Any) -> tuple[Tensor, ...]:
        with recomputing(mode):
            one, _, none = recomputed(lambda a, scale, b, absent: (a * scale, a.exp(), b.detach()), x, 2.0, y, None)
            z = one * one + none
        return torch.autograd.grad(z.sum(), (x, y), allow_unused=True)

    for one, other in zip(run("cheap"), run("none"), strict=True):
        assert (one is None) == (other is None)
        assert one is None or torch.equal(one, other)


def test_inside_activation_checkpointing_and_other_hooks() -> None:
    inputs = leaves((3, 5, 8), (8,), (4, 4))

    def block(*parts: Tensor) -> Tensor:
        with recomputing():
            return chain(*parts)

    def outer(*parts: Tensor) -> Tensor:
        with recomputing():
            return checkpoint(block, *parts, use_reentrant=False)

    y, kept = held(lambda: checkpoint(block, *inputs, use_reentrant=False))
    assert kept == 0
    plain = gradients(chain(*inputs), inputs)
    for run in (y, outer(*inputs)):
        assert all(torch.equal(one, other) for one, other in zip(gradients(run, inputs), plain, strict=True))
    with torch.autograd.graph.save_on_cpu(), recomputing():
        y = chain(*inputs)
    assert all(torch.equal(one, other) for one, other in zip(gradients(y, inputs), plain, strict=True))


def test_from_inputs_keeps_its_result_and_nothing_on_the_way() -> None:
    (x,) = leaves((3, 8))

    def run() -> Tensor:
        with recomputing():
            return from_inputs(lambda part: part.sin().exp().tanh(), x * 1.0).square()

    y, kept = held(run)
    assert kept == 2 * x.numel() * 4
    want = (x.sin().exp().tanh() ** 2).sum()
    assert torch.allclose(torch.autograd.grad(y.sum(), x)[0], torch.autograd.grad(want, x)[0])


def test_gradients_of_gradients() -> None:
    x, weight = (each.detach().double().requires_grad_() for each in leaves((3, 4), (4,)))

    def run(*parts: Tensor) -> Tensor:
        with recomputing():
            y = recomputed(gate, *parts)
            return y * y

    assert torch.autograd.gradgradcheck(run, (x, weight))


def test_without_gradients_the_function_is_called_plainly() -> None:
    (x,) = leaves((4,))
    with torch.no_grad(), recomputing():
        y = recomputed(gate, x, x)
    assert y.grad_fn is None
    assert not hasattr(y.untyped_storage(), "recipe")


def test_compiled_it_is_the_same() -> None:
    inputs = leaves((3, 5, 8), (8,), (4, 4))

    def block(*parts: Tensor) -> Tensor:
        with recomputing():
            return chain(*parts)

    compiled = torch.compile(block, backend="aot_eager", fullgraph=True)
    for one, other in zip(gradients(compiled(*inputs), inputs), gradients(block(*inputs), inputs), strict=True):
        assert torch.allclose(one, other, atol=1e-6)
