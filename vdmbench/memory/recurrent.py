"""Recurrent layers as CUDA runs them: cuDNN's LSTM, GRU and RNN as one kernel each, and the fused cells of single steps.

What is allocated is a layer's output, its last states and, in training, the reserve that the gradient reads. cuDNN does not say
how it lays that out; per frame and hidden number it is what the gradient needs of the forward pass: of an LSTM four gates, the
cell and its tanh; of a GRU three gates, the candidate's recurrent part and the state before; of an RNN the state.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from typing import Any
from unittest import mock

import torch
from torch import Tensor

KEPT = {"lstm": 6, "gru": 5, "rnn_tanh": 1, "rnn_relu": 1}
"""Numbers in cuDNN's reserve for each frame and hidden number, by the name of PyTorch's kernel."""
_CELL_KEPT = {"lstm_cell": 4, "gru_cell": 5}
"""In the workspace of PyTorch's own fused cells (``aten/src/ATen/native/cuda/RNN.cu``)."""


@contextmanager
def recurrent_kernels(device: str) -> Iterator[None]:
    """Within, recurrent layers on ``device`` take what they take on CUDA; elsewhere they are PyTorch's own."""
    with ExitStack() as patches:
        for name in KEPT:
            patches.enter_context(mock.patch.object(torch._VF, name, _layer(name, device), create=True))
        for name in _CELL_KEPT:
            patches.enter_context(mock.patch.object(torch._VF, name, _cell(name, device), create=True))
        yield


def _layer(name: str, device: str) -> Callable[..., Any]:
    original = getattr(torch._VF, name)

    def run(x: Tensor, *arguments: Any) -> Any:
        if x.device.type != device:
            return original(x, *arguments)
        state, weights, _, layers, _, train, bidirectional, batch_first = arguments
        states = state if isinstance(state, tuple) else (state,)
        if len({each.shape for each in states}) > 1:
            raise NotImplementedError("an LSTM with projections has no simulated form: project behind it")
        x, states, weights = _lowered(device, x, states, weights)
        keeps = train and torch.is_grad_enabled()
        kept = KEPT[name] * layers + (layers - 1) if keeps else 0  # the outputs between layers are part of the reserve
        directions = 2 if bidirectional else 1
        found = _Layer.apply(x, len(states), kept, directions, layers, batch_first, *states, *weights)
        return tuple(found)

    return run


def _lowered(device: str, x: Tensor, states: tuple[Tensor, ...], weights: list[Tensor]) -> tuple[Any, ...]:
    """As autocast has them: cuDNN's kernels take all in the lower precision."""
    if not torch.is_autocast_enabled(device):
        return x, states, weights
    to = torch.get_autocast_dtype(device)
    return x.to(to), tuple(each.to(to) for each in states), [each.to(to) for each in weights]


class _Layer(torch.autograd.Function):
    """All layers and directions of one call, as one kernel."""

    @staticmethod
    def forward(
        ctx: Any, x: Tensor, count: int, kept: int, directions: int, layers: int, batch_first: bool, *given: Tensor
    ) -> Any:
        states = given[:count]
        width = states[0].shape[-1]
        output = x.new_empty(*x.shape[:-1], directions * width)
        reserve = x.new_empty(kept * output.numel())
        ctx.save_for_backward(x, output, reserve, *given)
        return output, *(torch.empty_like(each) for each in states)

    @staticmethod
    def backward(ctx: Any, *gradients: Any) -> Any:
        x, _, _, *given = ctx.saved_tensors
        return torch.empty_like(x), None, None, None, None, None, *(torch.empty_like(each) for each in given)


def _cell(name: str, device: str) -> Callable[..., Any]:
    original = getattr(torch._VF, name)

    def run(x: Tensor, state: Any, *weights: Any) -> Any:
        if x.device.type != device:
            return original(x, state, *weights)
        states = state if isinstance(state, (tuple, list)) else (state,)
        by_input = torch.nn.functional.linear(x, weights[0])
        by_state = torch.nn.functional.linear(states[0], weights[1])
        biases = [each for each in weights[2:] if each is not None]
        found = _Cell.apply(_CELL_KEPT[name], by_input, by_state, *states, *biases)
        return found if name == "lstm_cell" else found[0]

    return run


class _Cell(torch.autograd.Function):
    """What is done after the two matrix products of a step, as one kernel."""

    @staticmethod
    def forward(ctx: Any, kept: int, by_input: Tensor, by_state: Tensor, *given: Tensor) -> Any:
        gates = by_input.shape[-1]
        ended = [each for each in given if each.dim() > 1]
        width = ended[0].shape[-1]
        workspace = by_input.new_empty(by_input.shape[0], kept * width)
        ctx.save_for_backward(workspace, *given)
        ctx.shape = (by_input.shape[0], gates)
        return tuple(by_input.new_empty(by_input.shape[0], width) for _ in ended)

    @staticmethod
    def backward(ctx: Any, *gradients: Any) -> Any:
        workspace, *given = ctx.saved_tensors
        by_input, by_state = workspace.new_empty(ctx.shape), workspace.new_empty(ctx.shape)
        return None, by_input, by_state, *(torch.empty_like(each) for each in given)
