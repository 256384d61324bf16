"""What kernels of CUDA allocate inside one call of PyTorch, beside the results that a caller sees.

Fake tensors give an operation's results their storages, and nothing on the way to them: no float32 accumulator, no
copy into the layout that a kernel wants. :data:`KERNELS` has for such an operation a function that allocates as its kernel
does, in its order, and frees where it returns. Each names the file and the function of PyTorch 2.13 that it was read from;
paths begin at ``aten/src/ATen/native``.

Left out, for no source says how much they are: the workspaces that cuDNN's convolutions and recurrent layers and cuFFT's plans
ask for, which the libraries choose by heuristics of their own; and a few kilobytes of partial sums of reductions.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from vdmbench.memory.architecture import Architecture

Kernel = Callable[..., Any]
"""Takes the operation itself, the architecture, and the operation's arguments; returns its results."""

CUBLAS_WORKSPACE = 4096 * 8 * 1024
"""Bytes that cuBLAS keeps for each thread that multiplies: workers run with CUBLAS_WORKSPACE_CONFIG=:4096:8, 8 buffers of 4,096
KiB (``ATen/cuda/CublasHandlePool.cpp``, parseChosenWorkspaceSize). A handle belongs to a thread (getCurrentCUDABlasHandle), and
autograd runs the backward pass in one of its own, so that training holds two. cuBLASLt shares them
(getCUDABlasLtWorkspace: unified where nothing else is said)."""

_aten = torch.ops.aten


def up(number: int, to: int) -> int:
    """The next multiple."""
    return -(-number // to) * to


def _flash(func: Any, card: Architecture, q: Tensor, k: Tensor, v: Tensor, *rest: Any, **options: Any) -> Any:
    """``transformers/cuda/flash_attn/flash_api.cpp``, set_params_splitkv: where few clips would leave multiprocessors idle,
    each split of the keys has an output and sums of its own, in float32."""
    batch, heads, queries, features = q.shape
    found = func(q, k, v, *rest, **options)
    splits = _splits(batch * heads * math.ceil(queries / 64), card, features, k.shape[2])
    if splits > 1:
        rows = (splits, batch, heads, queries)
        held = [
            q.new_empty(rows, dtype=torch.float32),
            q.new_empty((*rows, up(features, 32 if features <= 128 else 64)), dtype=torch.float32),
        ]
        del held
    return found


def _splits(blocks: int, card: Architecture, features: int, keys: int) -> int:
    """num_splits_heuristic of the same file: fewest splits that reach 85 % of the best use of the multiprocessors."""
    at_once = 2 * card.multiprocessors
    parts = math.ceil(keys / (256 if features <= 64 else 128 if features <= 128 else 64))
    if blocks >= 0.8 * at_once:
        return 1

    def eligible(splits: int) -> bool:
        return splits == 1 or math.ceil(parts / splits) != math.ceil(parts / (splits - 1))

    waves = {splits: blocks * splits / at_once for splits in range(1, min(128, at_once, parts) + 1) if eligible(splits)}
    use = {splits: wave / math.ceil(wave) for splits, wave in waves.items()}
    return next(splits for splits, each in use.items() if each >= 0.85 * max(use.values()))


def _flash_backward(
    func: Any,
    architecture: Architecture,
    d_out: Tensor,
    q: Tensor,
    k: Tensor,
    v: Tensor,
    out: Tensor,
    *rest: Any,
    **options: Any,
) -> Any:
    """``transformers/cuda/attention_backward.cu``, _flash_attention_backward: output and its gradient with frames before heads;
    ``flash_api.cpp``, mha_bwd: softmax_d and the accumulator of dq in float32, queries rounded up to 128 and features to 32 (to
    64 above 128). Determinism is asked for as a warning alone, so that the accumulator is not split."""
    batch, heads, queries, features = q.shape
    copies = [part.transpose(1, 2).contiguous() for part in (d_out, out)]
    found = func(d_out, q, k, v, out, *rest, **options)
    rows = up(queries, 128)
    held = [
        q.new_empty((batch, heads, rows), dtype=torch.float32),
        q.new_empty((batch, rows, heads, up(features, 32 if features <= 128 else 64)), dtype=torch.float32),
    ]
    del held, copies
    return found


def _efficient_backward(
    func: Any, card: Architecture, d_out: Tensor, q: Tensor, k: Tensor, v: Tensor, *rest: Any, **options: Any
) -> Any:
    """``transformers/cuda/attention_backward.cu``, _efficient_attention_backward: the gradient of the output with frames before
    heads, delta, and the workspace of ``mem_eff_attention/kernel_backward.h``, Params::workspace_size: the accumulator of dq
    in float32, in tiles that each have 16 bytes of locks; of dk and dv too where half precision does not fit the registers.
    Which tiles: ``mem_eff_attention/kernels/cutlassB.h``, dispatch_cutlassB_*_sm80, the first that takes the features."""
    batch, heads, queries, features = q.shape
    keys = k.shape[2]
    half = q.dtype in (torch.float16, torch.bfloat16)
    most, rows, columns = next(tiles for tiles in (_HALF_TILES if half else _FLOAT32_TILES) if features <= tiles[0])
    tiles = math.ceil(queries / rows) * math.ceil(features / columns)
    workspace = tiles * (16 + 4 * rows * columns)
    if half and most > rows:  # kNeedsAccumGradK and V, one for each split of the keys
        splits = max(1, min(math.ceil(keys / columns), 200 // (batch * heads)))
        workspace += 2 * 4 * splits * columns * up(features, rows)
    copy = d_out.transpose(1, 2).contiguous()
    found = func(d_out, q, k, v, *rest, **options)
    held = (
        q.new_empty((batch, heads, queries), dtype=torch.float32),
        q.new_empty(batch * heads * up(workspace, 16), dtype=torch.uint8),
    )
    del held, copy
    return found


_FLOAT32_TILES = ((32, 64, 64), (64, 64, 64), (128, 128, 64), (65536, 128, 64))
_HALF_TILES = ((32, 64, 64), (64, 64, 64), (128, 128, 128), (65536, 128, 64))
"""Most features of a head that a kernel takes, and queries and keys of its tiles (kMaxK, kBlockSizeI, kBlockSizeJ)."""


def _cudnn_backward(
    func: Any, card: Architecture, d_out: Tensor, q: Tensor, k: Tensor, v: Tensor, *rest: Any, **options: Any
) -> Any:
    """``cudnn/MHA.cpp``, run_cudnn_SDP_bprop: the workspace of its graph, which is (cudnn-frontend,
    ``node/scaled_dot_product_flash_attention.h``, CompositeSDPABackwardNode::get_fe_workspace_size_node) the accumulator of dq
    and the sums of the softmax, in float32 and not rounded up. What cuDNN's own plan adds is not published."""
    batch, heads, queries, features = q.shape
    found = func(d_out, q, k, v, *rest, **options)
    held = q.new_empty(4 * batch * heads * queries * (features + 1), dtype=torch.uint8)
    del held
    return found


def _group_norm(
    func: Any, card: Architecture, x: Tensor, weight: Tensor | None, bias: Tensor | None, *rest: Any
) -> tuple[Tensor, Tensor, Tensor]:
    """``group_norm.cpp``, native_group_norm: on CUDA the norm is taken of a copy with the channels first where they are not,
    and its result has them first; ``cuda/group_norm_kernel.cu``, GroupNormKernelImplInternal: statistics of half precision and
    a scale and shift for each image and channel, in float32."""
    images, channels, places, groups, _ = rest
    first = x.contiguous()
    y = torch.empty_like(first)
    mean, rstd = (x.new_empty(images, groups) for _ in range(2))
    wide = torch.promote_types(x.dtype, torch.float32)
    held = [x.new_empty((images, groups), dtype=wide) for _ in range(2)] if wide is not x.dtype else []
    if places > 1 and (weight is not None or bias is not None):
        held += [x.new_empty((images, channels), dtype=wide) for _ in range(2)]
    del held, first
    return y, mean, rstd


def _group_norm_backward(
    func: Any, card: Architecture, dy: Tensor, x: Tensor, mean: Tensor, rstd: Tensor, weight: Tensor | None, *rest: Any
) -> tuple[Tensor | None, ...]:
    """``group_norm.cpp``, native_group_norm_backward, and GroupNormBackwardKernelImplInternal: the same copies, and ds, db and
    c1 for each image and channel, c2 and c3 for each image and group, in float32."""
    images, channels, places, groups, mask = rest
    dy, first = dy.contiguous(), x.contiguous()
    dx = torch.empty_like(first) if mask[0] else None
    parameters = [x.new_empty(channels, dtype=(x if weight is None else weight).dtype) if each else None for each in mask[1:]]
    wide = torch.promote_types(x.dtype, torch.float32)
    sizes = [groups] * 2 if places == 1 else [channels] * (2 + (weight is not None)) + [groups] * 2
    held = [x.new_empty((images, size), dtype=wide) for size in sizes]
    del held, dy, first
    return dx, *parameters


_CHUNK = 65536
"""Numbers of a tensor that a block of a ``_foreach`` kernel takes (``cuda/MultiTensorApply.cuh``, kChunkSize)."""


def _foreach_norm(func: Any, card: Architecture, tensors: list[Tensor], *rest: Any, **options: Any) -> Any:
    """``cuda/ForeachReduceOp.cu``, foreach_tensor_norm_cuda: a partial norm for each tensor and chunk of the largest one."""
    chunks = math.ceil(max(tensor.numel() for tensor in tensors) / _CHUNK)
    partial = tensors[0].new_empty(len(tensors) * chunks, dtype=torch.promote_types(tensors[0].dtype, torch.float32))
    found = func(tensors, *rest, **options)
    del partial
    return found


def _index_put(
    func: Any,
    architecture: Architecture,
    into: Tensor,
    indices: list[Tensor | None],
    values: Tensor,
    *rest: Any,
    **options: Any,
) -> Any:
    """``cuda/Indexing.cu``, index_put_with_sort_kernel, which adds up gradients of what was looked up: the index of each value,
    its place, both sorted, and the room of a radix sort of both (``cuda/cub.cuh``, radix_sort_pairs), 8 bytes a number."""
    if not (rest[0] if rest else options.get("accumulate", False)):
        return func(into, indices, values, *rest, **options)
    shapes = [index.shape for index in indices if index is not None]
    count = math.prod(torch.broadcast_shapes(*shapes))
    held = [into.new_empty(count, dtype=torch.int64) for _ in range(6)]
    found = func(into, indices, values, *rest, **options)
    del held
    return found


KERNELS: dict[Any, Kernel] = {
    _aten._scaled_dot_product_flash_attention.default: _flash,
    _aten._scaled_dot_product_flash_attention_backward.default: _flash_backward,
    _aten._scaled_dot_product_efficient_attention_backward.default: _efficient_backward,
    _aten._scaled_dot_product_cudnn_attention_backward.default: _cudnn_backward,
    _aten.native_group_norm.default: _group_norm,
    _aten.native_group_norm_backward.default: _group_norm_backward,
    _aten._foreach_norm.Scalar: _foreach_norm,
    _aten._index_put_impl_.default: _index_put,
    _aten.index_put_.default: _index_put,
    _aten.index_put.default: _index_put,
}
"""By operation."""
