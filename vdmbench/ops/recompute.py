"""Cheap recomputation: what costs little to make is not kept for the backward pass but made again there.

``recomputed(function, *inputs)`` says that the function is cheap: element-wise maps, a short convolution, a norm, a gate, a
low-rank map. Inside ``with recomputing():`` autograd then keeps the inputs in the place of the result, wherever the result or
a view of it would be saved: by the linear map, the convolution or the scan that follows, and by other cheap functions. In the
backward pass the first that asks for it makes it again, those that ask later find it, and it goes when the function's own
gradient has been taken. So a cheap result never lives between the passes, and is made once more at most.

This is the one mechanism of mixers and of networks. A module writes its forward pass as usual, wraps what is cheap, and runs
inside the block; what costs a full linear map, attention or a scan is not wrapped, and is kept. ``vdmbench.mixers.Mixer`` and
``vdmbench.networks.denoiser.Denoiser`` open the block around every mixer and network. A suite declares it: ``train.recompute``.

What holds:

- Outputs and gradients are those of ``function`` itself, bit for bit; ``recomputing("none")`` shows it.
- ``function`` draws no random numbers and changes nothing; every tensor that needs a gradient is among ``inputs``.
- Autocast is in the backward pass what it was in the forward pass.
- It nests in activation checkpointing (``use_reentrant=False``) and in other hooks on saved tensors: what is kept is handed to
  the hooks outside.
- Under ``torch.compile`` nothing is done: the compiler chooses itself what to compute again.
- Gradients of gradients work, and keep what they need.
- A result that is changed in place afterwards is kept.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from functools import partial
from typing import Any, Literal, NamedTuple

import torch
from torch import Tensor
from torch.autograd.graph import saved_tensors_hooks

Recompute = Literal["cheap", "none"]

_mode: ContextVar[Recompute] = ContextVar("vdmbench_ops_recompute", default="cheap")
_block: ContextVar[object] = ContextVar("vdmbench_ops_recompute_block", default=None)
"""The outermost block between two pairs of hooks. A result from outside of it counts as an input there, such as that of a block
that checkpointing runs again."""


def recomputed(function: Callable[..., Any], *inputs: Any) -> Any:
    """``function(*inputs)``, a tensor or a tuple of tensors, made again in the backward pass where it is asked for."""
    return _applied(function, inputs, droppable=True)


def from_inputs(function: Callable[..., Any], *inputs: Any) -> Any:
    """``function(*inputs)``, whose backward pass begins with the inputs alone; the result itself is kept where it is needed.

    For a function that is dear and keeps much on its way: an op without a backward pass of its own. It is so in every mode.
    """
    return _applied(function, inputs, droppable=False)


@contextmanager
def recomputing(mode: Recompute = "cheap") -> Iterator[None]:
    """Within, results of :func:`recomputed` are not kept; ``none`` keeps them, as if the functions were called plainly.

    Of two blocks the inner one decides, but that ``none`` holds in blocks of the default inside it.
    """
    if torch.compiler.is_compiling():
        yield
        return
    token = _mode.set("none" if "none" in (mode, _mode.get()) else "cheap")
    try:
        if _mode.get() == "none" or not torch.is_grad_enabled():
            yield
            return
        outside = torch._C._autograd._top_saved_tensors_default_hooks(False)
        if outside is not None and getattr(outside[0], "func", None) is _pack:
            yield
            return
        pack, unpack = outside or (Tensor.detach, _itself)  # a node that holds its own output would never be freed
        block = object()
        begun = _block.set(block)
        try:
            with saved_tensors_hooks(partial(_pack, block, pack), partial(_unpack, unpack)):
                yield
        finally:
            _block.reset(begun)
    finally:
        _mode.reset(token)


@contextmanager
def apart() -> Iterator[None]:
    """Within :func:`recomputing`, a part whose results are not made again for others, nor those of others for it.

    Sharding frees a part's parameters outside its own passes; what is made from them cannot be made then.
    """
    around: Any = torch._C._autograd._top_saved_tensors_default_hooks(False)
    if around is None or getattr(around[0], "func", None) is not _pack:
        yield
        return
    pack, unpack = around
    block = object()
    begun = _block.set(block)
    try:
        with saved_tensors_hooks(partial(_pack, block, pack.args[1]), unpack):
            yield
    finally:
        _block.reset(begun)


def recompute_mode() -> Recompute:
    """That of the block around the caller."""
    return _mode.get()


def _itself(tensor: Tensor) -> Tensor:
    return tensor


def _applied(function: Callable[..., Any], inputs: tuple[Any, ...], *, droppable: bool) -> Any:
    if torch.compiler.is_compiling():
        return function(*inputs)
    kept = droppable and _mode.get() == "none"
    if kept or not torch.is_grad_enabled():
        return function(*inputs)
    results = _Recomputed.apply(function, *inputs)
    if droppable:
        given = {each.untyped_storage()._cdata for each in inputs if isinstance(each, Tensor)}
        for number, result in enumerate(results if isinstance(results, tuple) else (results,)):
            if result.untyped_storage()._cdata not in given:
                _mark(result, number, _results_of)
    return results


def made_again(result: Tensor, again: Callable[[Any], Tensor]) -> Tensor:
    """``result`` of an autograd function of one's own, which is not kept either: ``again(node)`` makes it from what its node
    holds. For a fused function that knows how: no graph is made for it."""
    if _mode.get() == "cheap" and not torch.compiler.is_compiling():
        _mark(result, 0, partial(_remade, again))
    return result


def _mark(result: Tensor, number: int, make: Callable[[Any], tuple[Tensor, ...]]) -> None:
    if result.grad_fn is not None:
        storage: Any = result.untyped_storage()
        storage.recipe = _Recipe(make, result.grad_fn, number, result.dtype, result._version, _block.get())


class _Recipe(NamedTuple):
    """How the contents of a storage are made again; it stands at the storage, so that every view of a result finds it."""

    make: Callable[[Any], tuple[Tensor, ...]]
    node: Any
    number: int
    dtype: torch.dtype
    version: int
    block: object


class _Asked(NamedTuple):
    """What is kept in the place of a view of a cheap result."""

    recipe: _Recipe
    size: torch.Size
    stride: tuple[int, ...]
    offset: int | torch.SymInt


def _pack(block: object, outside: Callable[[Tensor], Any], tensor: Tensor) -> Any:
    recipe = getattr(tensor.untyped_storage(), "recipe", None)
    if recipe is None or recipe.block is not block or recipe.version != tensor._version or recipe.dtype is not tensor.dtype:
        return outside(tensor)
    return _Asked(recipe, tensor.shape, tensor.stride(), tensor.storage_offset())


def _unpack(outside: Callable[[Any], Tensor], kept: Any) -> Tensor:
    if not isinstance(kept, _Asked):
        return outside(kept)
    result = kept.recipe.make(kept.recipe.node)[kept.recipe.number]
    return result.detach().as_strided(kept.size, kept.stride, kept.offset)


class _Recomputed(torch.autograd.Function):
    """A node that holds the inputs of its function, and while the backward pass is near, results with their graph."""

    @staticmethod
    def forward(ctx: Any, function: Callable[..., Any], *inputs: Any) -> Any:
        ctx.function, ctx.made = function, None
        ctx.tensors = [position for position, each in enumerate(inputs) if isinstance(each, Tensor)]
        ctx.others = [None if isinstance(each, Tensor) else each for each in inputs]
        device = inputs[ctx.tensors[0]].device.type
        ctx.autocast = None
        if torch.amp.is_autocast_available(device) and torch.is_autocast_enabled(device):
            ctx.autocast = device, torch.get_autocast_dtype(device)
        ctx.save_for_backward(*(inputs[position] for position in ctx.tensors))
        ctx.set_materialize_grads(False)
        return _run(ctx, inputs)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor | None) -> tuple[Any, ...]:
        twice = torch.is_grad_enabled()
        if twice:
            inputs = ctx.saved_tensors
            results = _results(_run(ctx, _filled(ctx, inputs)))
        else:
            inputs, results = _made(ctx)
        ctx.made = None
        wanted = [number for number, each in enumerate(inputs) if each.requires_grad]
        asked = [(y, dy) for y, dy in zip(results, gradients, strict=True) if dy is not None and y.requires_grad]
        found = torch.autograd.grad(
            [y for y, _ in asked],
            [inputs[number] for number in wanted],
            [dy for _, dy in asked],
            allow_unused=True,
            create_graph=twice,
        )
        back: list[Tensor | None] = [None] * len(ctx.others)
        for number, gradient in zip(wanted, found, strict=True):
            back[ctx.tensors[number]] = gradient
        return None, *back


def _results_of(ctx: Any) -> tuple[Tensor, ...]:
    return _made(ctx)[1]


def _remade(again: Callable[[Any], Tensor], ctx: Any) -> tuple[Tensor, ...]:
    """Once in a backward pass: the function's own one sets ``ctx.made`` to None."""
    if getattr(ctx, "made", None) is None:
        with torch.no_grad():
            ctx.made = again(ctx)
    return (ctx.made,)


def _made(ctx: Any) -> tuple[list[Tensor], tuple[Tensor, ...]]:
    """The inputs as leaves, and the results with the graph between them; once in a backward pass."""
    if ctx.made is None:
        needed = [ctx.needs_input_grad[1 + position] for position in ctx.tensors]
        inputs = [each.detach().requires_grad_(need) for each, need in zip(ctx.saved_tensors, needed, strict=True)]
        with torch.enable_grad():
            ctx.made = inputs, _results(_run(ctx, _filled(ctx, inputs)))
    made: tuple[list[Tensor], tuple[Tensor, ...]] = ctx.made
    return made


def _filled(ctx: Any, tensors: Any) -> list[Any]:
    inputs = list(ctx.others)
    for position, tensor in zip(ctx.tensors, tensors, strict=True):
        inputs[position] = tensor
    return inputs


def _results(results: Any) -> tuple[Tensor, ...]:
    return results if isinstance(results, tuple) else (results,)


def _run(ctx: Any, inputs: Any) -> Any:
    """The function under the forward pass's autocast. Its cache would hand on casts of weights that have no gradient."""
    if ctx.autocast is None:
        return ctx.function(*inputs)
    device, dtype = ctx.autocast
    with torch.autocast(device, dtype, cache_enabled=False):
        return ctx.function(*inputs)
