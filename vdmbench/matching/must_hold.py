"""What a mixer must keep for its backward pass, from its equations and one rule: the least that a kernel can be asked to hold.

The rule: what is element-wise, a short convolution, a norm, a gate, a low-rank map or a chunk's state is computed again in
the backward pass; what costs a full linear map or a scan over frames is kept. So what stands between the passes is the block's
input (every linear map's gradient needs what the map took), the results of full linear maps that something other than a linear
map takes up, and the results of scans and of attention. Merged directions are one result, or two side by side.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import torch

from vdmbench.mixers.making import mixer_maker


class Kept(NamedTuple):
    """One thing that is kept."""

    what: str
    numbers: float
    """A site and frame."""
    nbytes: int | None = None
    """Of a number; None for the dtype that the mixer runs in."""


def must_hold(mixer: Mapping[str, Any], channels: int, frames: int, *, nbytes: int = 2) -> float:
    """Bytes a site, frame and channel that ``mixer``, as a suite declares it, keeps where a number takes ``nbytes``.

    Raises ValueError for a mixer or block that has no formula here.
    """
    kept = everything_kept(mixer, channels, frames)
    return sum(each.numbers * (nbytes if each.nbytes is None else each.nbytes) for each in kept) / channels


def everything_kept(mixer: Mapping[str, Any], channels: int, frames: int) -> list[Kept]:
    """One by one what stands between the passes."""
    name = str(mixer["name"])
    if name not in _FORMULAS or mixer.get("block", "mamba") != "mamba":
        raise ValueError(f"there is no formula of what mixer '{name}' holds, in block '{mixer.get('block', name)}'")
    with torch.device("meta"):
        built = mixer_maker(mixer)(channels)
    found = _FORMULAS[name](built, mixer, frames)
    return found if name == "identity" else [Kept("input", channels), *found]


def _of_heads(built: Any, mixer: Mapping[str, Any], frames: int) -> list[Kept]:
    """softmax(q k^T) v is recomputed block by block from the sums of its rows, a number a head in float32. Windows are computed
    for whole blocks of frames."""
    inner, heads = built.heads.inner, built.heads.count
    window = min(int(mixer.get("window", 1)), frames)
    rows = -(-frames // window) * window / frames
    return [
        Kept("queries, keys, values", 3 * inner),
        Kept("mixed values", rows * inner),
        Kept("sums of the softmax", rows * heads, 4),
    ]


def _linear_attention(built: Any, mixer: Mapping[str, Any], frames: int) -> list[Kept]:
    """Feature maps, normalisers and the (head_dim, head_dim) contexts of chunks follow from queries, keys and values."""
    return [Kept("queries, keys, values", 3 * built.heads.inner), Kept("mixed values", built.heads.inner)]


def _mlp(built: Any, mixer: Mapping[str, Any], frames: int) -> list[Kept]:
    return [Kept("hidden layer before its GELU", built.inner_width)]


def _ways(mixer: Mapping[str, Any]) -> int:
    return 2 if mixer.get("direction") == "both" else 1


def _merged(mixer: Mapping[str, Any]) -> int:
    """Results of directions that stand side by side."""
    return 2 if mixer.get("merge") == "concat" else 1


def _state_space(built: Any, mixer: Mapping[str, Any], frames: int) -> list[Kept]:
    """A Mamba block: the projection to x and gate, and the core's output, gated where the kernel does that.

    Its convolution, and for S6 the step of rank R and the states, are recomputed; B, C and the low-rank step are a full map of
    the inner width.
    """
    inner = built.inner_width
    kept = [Kept("x and gate", (2 if mixer["gate"] else 1) * inner), Kept("output of the core", _merged(mixer) * inner)]
    if mixer["name"] == "mamba":
        core = built.block.directions.along.core
        kept.append(Kept("low-rank step, B and C of each direction", _ways(mixer) * sum(core.widths)))
    return kept


def _mamba2(built: Any, mixer: Mapping[str, Any], frames: int) -> list[Kept]:
    """B and C are a group's, the step a head's; the convolutions and the norm are recomputed."""
    inner, heads = built.inner_width, built.along.heads
    maps = 2 * mixer["groups"] * mixer["state"] + heads
    return [
        Kept("x and gate", (2 if mixer["gate"] else 1) * inner),
        Kept("B, C and steps of each direction", _ways(mixer) * maps),
        Kept("output before the norm", _merged(mixer) * inner),
    ]


def _hydra(built: Any, mixer: Mapping[str, Any], frames: int) -> list[Kept]:
    """Both directions take one x; each has its B, C and step, and the diagonal is a linear map of the convolved x."""
    return [
        Kept("x, gate, B, C and steps", built.to_inner.out_features),
        Kept("diagonal", built.heads),
        Kept("output before the norm", built.inner_width),
    ]


def _gated_delta_net(built: Any, mixer: Mapping[str, Any], frames: int) -> list[Kept]:
    """Unit queries and keys, decay and writing strength are recomputed, from the maps that they are made of."""
    inner, heads = built.inner_width, built.along.heads
    return [
        Kept("queries, keys, values", 3 * inner),
        Kept("gate", inner if mixer["gate"] else 0),
        Kept("steps and beta of each direction", _ways(mixer) * 2 * heads),
        Kept("output before the norm", _merged(mixer) * inner),
    ]


def _lstm(built: Any, mixer: Mapping[str, Any], frames: int) -> list[Kept]:
    """cuDNN's layer runs in float32: input, four gates, cell and its tanh (what its gradient reads), and output; the map
    after it takes a copy in half precision."""
    width = _ways(mixer) * built.inner_width
    return [
        Kept("input in float32", built.channels, 4),
        Kept("gates and cells", 6 * width, 4),
        Kept("output", width, 4),
        Kept("output as the map takes it", width),
    ]


_FORMULAS: dict[str, Callable[[Any, Mapping[str, Any], int], list[Kept]]] = {
    "identity": lambda built, mixer, frames: [],
    "mlp": _mlp,
    "attention": _of_heads,
    "sliding-attention": _of_heads,
    "linear-attention": _linear_attention,
    "mamba": _state_space,
    "s4d": _state_space,
    "mamba2": _mamba2,
    "hydra": _hydra,
    "gated-delta-net": _gated_delta_net,
    "lstm": _lstm,
}
