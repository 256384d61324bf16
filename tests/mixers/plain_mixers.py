"""Every mixer once more, in NumPy and float64, from its equation: loops over frames, nothing shared with the package.

``plain(name, options, weights, x)`` takes the validated options, the mixer's weights by their names in its state dict, and a
clip (batch, frames, channels). A direction against time is the clip turned around, and its result turned back.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

Array = np.ndarray
Weights = Mapping[str, Array]
Options = Mapping[str, Any]

erf = np.vectorize(math.erf, otypes=[float])


def sigmoid(x: Array) -> Array:
    return 1 / (1 + np.exp(-x))


def silu(x: Array) -> Array:
    return x * sigmoid(x)


def gelu(x: Array) -> Array:
    return x * (1 + erf(x / 2**0.5)) / 2


def softplus(x: Array) -> Array:
    return np.log1p(np.exp(x))


def softmax(x: Array, axis: int = -1) -> Array:
    e = np.exp(x - x.max(axis, keepdims=True))
    return e / e.sum(axis, keepdims=True)


def turned(x: Array) -> Array:
    return x[:, ::-1]


def linear(w: Weights, name: str, x: Array) -> Array:
    y = x @ w[f"{name}.weight"].T
    return y + w[f"{name}.bias"] if f"{name}.bias" in w else y


def inside(w: Weights, prefix: str) -> Weights:
    return {name.removeprefix(prefix + "."): value for name, value in w.items() if name.startswith(prefix + ".")}


def nearest(width: float, multiple: int = 1) -> int:
    """The multiple nearest to a width, the larger of two as near, and at least one."""
    return max(1, math.floor(width / multiple + 0.5)) * multiple


# Attention


def heads_of(o: Options, channels: int) -> tuple[int, int]:
    if o["heads"] is not None:
        return o["heads"], o["head_dim"] or 32
    if o["head_dim"] is None and channels <= 64:
        eights = nearest(o["expand"] * channels / 8)
        if eights == 1:
            return 2, 4
        equal = [count for count in range(2, eights + 1) if eights % count == 0]
        count = sorted(equal, key=lambda count: (abs(count - max(2, nearest(channels / 8))), count))[0]
        return count, 8 * eights // count
    count = nearest(channels / (o["head_dim"] or 32))
    return count, nearest(o["expand"] * channels / count, 8)


def rotated(x: Array) -> Array:
    """Of (batch, heads, frames, dim): pair i of frame t turned by t 10000^(-2i / width), in the first 32 features at most."""
    y, width = x.copy(), min(32, x.shape[-1])
    for t in range(x.shape[2]):
        for i in range(0, width, 2):
            cos, sin = math.cos(t * 10_000 ** (-i / width)), math.sin(t * 10_000 ** (-i / width))
            a, b = x[:, :, t, i], x[:, :, t, i + 1]
            y[:, :, t, i], y[:, :, t, i + 1] = a * cos - b * sin, a * sin + b * cos
    return y


def bucket(query: int, key: int, o: Options) -> int:
    """T5's bucket of the distance between two frames."""
    side = o["buckets"] if o["causal"] else o["buckets"] // 2
    distance = max(query - key, 0) if o["causal"] else abs(query - key)
    exact, first = side // 2, side if key > query and not o["causal"] else 0
    if distance < exact:
        return first + distance
    share = math.log(distance / exact) / math.log(o["max_distance"] / exact)
    return first + min(exact + int(share * (side - exact)), side - 1)


def projected(o: Options, w: Weights, x: Array) -> tuple[Array, Array, Array]:
    count, dim = heads_of(o, x.shape[-1])
    q, k, v = np.split(linear(w, "heads.to_qkv", x), 3, -1)
    parts = [part.reshape(*x.shape[:2], count, dim).transpose(0, 2, 1, 3) for part in (q, k, v)]
    return parts[0], parts[1], parts[2]


def joined(w: Weights, y: Array) -> Array:
    return linear(w, "heads.to_out", y.transpose(0, 2, 1, 3).reshape(y.shape[0], y.shape[2], -1))


def attention(o: Options, w: Weights, x: Array) -> Array:
    q, k, v = projected(o, w, x)
    if o["rotary"]:
        q, k = rotated(q), rotated(k)
    y = np.zeros_like(v)
    for t in range(x.shape[1]):
        seen = [u for u in range(x.shape[1]) if (u <= t or not o["causal"]) and abs(t - u) <= o.get("window", math.inf)]
        scores = np.stack([(q[:, :, t] * k[:, :, u]).sum(-1) / q.shape[-1] ** 0.5 for u in seen], -1)
        if o.get("relative_bias"):
            scores = scores + np.stack([w["relative_bias.table"][bucket(t, u, o)] for u in seen], -1)
        y[:, :, t] = sum(
            share[..., None] * v[:, :, u] for share, u in zip(np.moveaxis(softmax(scores), -1, 0), seen, strict=True)
        )
    return joined(w, y)


def linear_attention(o: Options, w: Weights, x: Array) -> Array:
    q, k, v = projected(o, w, x)
    if o["rotary"] == "before-map":
        q, k = rotated(q), rotated(k)
    if o["feature_map"] == "softmax":
        q, k = softmax(q, -1), softmax(k, -2)
    else:
        q, k = np.maximum(q, 0), np.maximum(k, 0)
    turned_q, turned_k = (rotated(q), rotated(k)) if o["rotary"] == "after-map" else (q, k)
    y = np.zeros_like(v)
    for t in range(x.shape[1]):
        seen = range(t + 1 if o["causal"] else x.shape[1])
        y[:, :, t] = sum((turned_q[:, :, t] * turned_k[:, :, u]).sum(-1)[..., None] * v[:, :, u] for u in seen)
        if o["feature_map"] == "relu":
            y[:, :, t] /= sum((q[:, :, t] * k[:, :, u]).sum(-1) for u in seen)[..., None] + 1e-6
    return joined(w, y * (q.shape[-1] ** -0.5 if o["scale_output"] else 1))


# Directions of time


def short_conv(w: Weights, x: Array, alignment: str) -> Array:
    """SiLU of a filter a channel; its last tap weighs the present frame, or its middle one."""
    filters, frames = w["conv.weight"], x.shape[1]
    taps = filters.shape[1]
    ahead = taps // 2 if alignment == "centred" else 0
    y = np.zeros_like(x) + w.get("conv.bias", 0)
    for t in range(frames):
        for k in range(taps):
            u = t - (taps - 1) + k + ahead
            if 0 <= u < frames:
                y[:, t] += filters[:, k] * x[:, u]
    return silu(y)


def delayed(y: Array) -> Array:
    return np.concatenate([np.zeros_like(y[:, :1]), y[:, :-1]], 1)


def in_time(o: Options, w: Weights, run: Callable[[Weights, bool], Array]) -> Array:
    """``run(weights of a direction, against time)`` along time, against it, or both ways and merged."""
    if o["direction"] != "both":
        return run(inside(w, "along"), o["direction"] == "backward")
    past, future = run(inside(w, "along"), False), run(inside(w, "along" if o["shared"] else "against"), True)
    if o["merge"] == "concat":
        return np.concatenate([past, future], -1)
    return past * future if o["merge"] == "product" else past + future


# State spaces in the paper's blocks


def s4d(w: Weights, x: Array) -> Array:
    """What the state gives, without D x: z = exp(dt A) z + u, y = 2 Re sum C (exp(dt A) - 1) / A z."""
    A = -np.exp(w["log_A_real"]) + 1j * w["A_imag"]
    step, C = np.exp(np.exp(w["log_dt"])[:, None] * A), w["C"][..., 0] + 1j * w["C"][..., 1]
    z, y = np.zeros((len(x), *A.shape), dtype=complex), np.zeros_like(x)
    for t in range(x.shape[1]):
        z = step * z + x[:, t, :, None]
        y[:, t] = 2 * (C * (step - 1) / A * z).sum(-1).real
    return y


def s6(w: Weights, x: Array) -> Array:
    """The same of the selective scan: h = exp(delta A) h + delta B x, y = C h."""
    channels, state = w["A_log"].shape
    rank = -(-channels // 16)
    dt, B, C = np.split(linear(w, "x_proj", x), [rank, rank + state], -1)
    delta = softplus(linear(w, "dt_proj", dt))
    h, y = np.zeros((len(x), channels, state)), np.zeros_like(x)
    for t in range(x.shape[1]):
        h = np.exp(delta[:, t, :, None] * -np.exp(w["A_log"])) * h + (delta * x)[:, t, :, None] * B[:, t, None]
        y[:, t] = (h * C[:, t, None]).sum(-1)
    return y


def in_block(core: Callable[[Weights, Array], Array], glu_activation: Callable[[Array], Array]) -> Any:
    def mixer(o: Options, w: Weights, x: Array) -> Array:
        w, both_wide = inside(w, "block"), o["merge"] == "concat"
        gate = None
        if o["block"] == "mamba":
            inner = nearest(o["expand"] * x.shape[-1], 8)
            x, gate = np.split(linear(w, "to_x_and_gate", x), [inner], -1)
            gate = silu(np.concatenate([gate, gate], -1) if both_wide else gate) if o["gate"] else np.ones(1)

        def branch(w: Weights, against: bool) -> Array:
            u = turned(x) if against else x
            if o["block"] == "gss":
                u = gelu(linear(w, "before.0", u))
            if o["block"] == "mamba":
                u = short_conv(w, u, o["conv_alignment"])
            y = core(inside(w, "core"), u)
            y = (delayed(y) if o["merge"] == "quasi-separable" else y) + w["core.D"] * u
            if o["block"] == "mlp":
                y = gelu(y)
            if o["block"] == "glu":
                value, opening = np.split(linear(w, "after.1", glu_activation(y)), 2, -1)
                y = value * sigmoid(opening)
            if o["block"] == "gss":
                y = linear(w, "after", y)
            return turned(y) if against else y

        y = in_time(o, inside(w, "directions"), branch)
        if o["block"] == "mlp":
            return linear(w, "fc2", gelu(linear(w, "fc1", y)))
        if o["block"] == "glu":
            return linear(w, "out", y) if both_wide else y
        if o["block"] == "gss":
            return linear(w, "out", gelu(linear(w, "to_inner", y)) * gelu(linear(w, "to_gate", x)))
        return linear(w, "out", y * gate)

    return mixer


# Recurrences with a matrix a head


def ssd(x: Array, dt: Array, B: Array, C: Array, w: Weights) -> Array:
    """What the state gives, of heads (batch, frames, heads, dim): S = exp(delta A) S + delta x B^T, y = S C; head h of H has
    the B and C of group h G / H."""
    heads, groups = x.shape[2], B.shape[2]
    delta, A = softplus(dt + w["steps.dt_bias"]), -np.exp(w["steps.A_log"])
    y = np.zeros_like(x)
    for h in range(heads):
        group = h * groups // heads
        S = np.zeros((len(x), x.shape[-1], B.shape[-1]))
        for t in range(x.shape[1]):
            d = delta[:, t, h, None, None]
            S = np.exp(d * A[h]) * S + d * x[:, t, h, :, None] * B[:, t, group, None]
            y[:, t, h] = (S * C[:, t, group, None]).sum(-1)
    return y


def rms_normed(x: Array, size: int) -> Array:
    """Every ``size`` features that stand side by side, by themselves."""
    parts = x.reshape(*x.shape[:-1], -1, size)
    return (parts / np.sqrt((parts**2).mean(-1, keepdims=True) + 1e-5)).reshape(x.shape)


def scan_sizes(o: Options, channels: int) -> tuple[int, int]:
    groups = o["groups"]
    dim = o["head_dim"] or min(64, max(8, channels // 8 * 8))
    count = nearest(2 * channels / dim / groups) * groups
    return count, nearest(o["expand"] * channels / count, 8)


def mamba2(o: Options, w: Weights, u: Array) -> Array:
    (heads, dim), groups, state = scan_sizes(o, u.shape[-1]), o["groups"], o["state"]
    inner, maps = heads * dim, groups * state
    x, gate = np.split(linear(w, "to_x_and_gate", u), [inner], -1)

    def branch(w: Weights, against: bool) -> Array:
        v, z = (turned(u), turned(x)) if against else (u, x)
        of_input, dt = np.split(linear(w, "to_maps", v), [2 * maps], -1)
        z, B, C = np.split(short_conv(w, np.concatenate([z, of_input], -1), o["conv_alignment"]), [inner, inner + maps], -1)
        z, B, C = (part.reshape(*u.shape[:2], count, -1) for part, count in ((z, heads), (B, groups), (C, groups)))
        y = ssd(z, dt, B, C, w)
        y = (delayed(y) if o["merge"] == "quasi-separable" else y) + w["D"][:, None] * z
        y = y.reshape(*u.shape[:2], inner)
        return turned(y) if against else y

    y = in_time(o, w, branch)
    if o["gate"]:
        y = y * silu(np.concatenate([gate, gate], -1) if o["merge"] == "concat" else gate)
    return linear(w, "out", rms_normed(y, inner // groups) * w["norm.weight"])


def hydra(o: Options, w: Weights, u: Array) -> Array:
    (heads, dim), groups, state = scan_sizes(o, u.shape[-1]), o["groups"], o["state"]
    inner, maps = heads * dim, groups * state
    parts = [inner if o["gate"] else 0, inner + 4 * maps, heads, heads]
    gate, mixed, dt_past, dt_future = np.split(linear(w, "to_inner", u), np.cumsum(parts)[:-1], -1)
    mixed = short_conv(w, mixed, o["conv_alignment"])
    x, *BC = np.split(mixed, inner + maps * np.arange(4), -1)
    B_past, C_past, B_future, C_future = (part.reshape(*u.shape[:2], groups, state) for part in BC)
    in_heads = x.reshape(*u.shape[:2], heads, dim)
    y = delayed(ssd(in_heads, dt_past, B_past, C_past, w))
    y = y + turned(delayed(ssd(turned(in_heads), turned(dt_future), turned(B_future), turned(C_future), w)))
    y = (y + (linear(w, "to_diagonal", x) + w["D"])[..., None] * in_heads).reshape(x.shape)
    y = rms_normed(y, inner) * w["norm.weight"]
    return linear(w, "out", y * silu(gate) if o["gate"] else y)


def gated_delta_net(o: Options, w: Weights, u: Array) -> Array:
    heads = nearest(u.shape[-1] / (o["head_dim"] or min(32, max(8, u.shape[-1] // 16 * 8))))
    dim = nearest(o["expand"] * u.shape[-1] / heads, 8)
    qkv = linear(w, "to_qkv", u)

    def branch(w: Weights, against: bool) -> Array:
        v, mixed = (turned(u), turned(qkv)) if against else (u, qkv)
        parts = np.split(short_conv(w, mixed, o["conv_alignment"]), 3, -1)
        q, k, v_ = (part.reshape(*u.shape[:2], heads, dim) for part in parts)
        q, k = (part / np.sqrt((part**2).sum(-1, keepdims=True) + 1e-6) for part in (q, k))
        dt, beta = np.split(linear(w, "to_dt_and_beta", v), 2, -1)
        decay = np.exp(-np.exp(w["steps.A_log"]) * softplus(dt + w["steps.dt_bias"]))
        S, y = np.zeros((len(u), heads, dim, dim)), np.zeros_like(v_)
        for t in range(u.shape[1]):
            key, strength = k[:, t, :, None, :], sigmoid(beta)[:, t, :, None, None]
            S = decay[:, t, :, None, None] * S
            S = S + strength * (v_[:, t, :, :, None] - (S * key).sum(-1, keepdims=True)) * key
            y[:, t] = (S * q[:, t, :, None, :]).sum(-1) / dim**0.5
        if o["merge"] == "quasi-separable":
            y = delayed(y) + w["D"][:, None] * v_
        return turned(y) if against else y

    y = in_time(o, w, branch)
    y = rms_normed(y, dim) * w["norm.weight"]
    if o["gate"]:
        gate = silu(linear(w, "to_gate", u)).reshape(*u.shape[:2], heads, dim)
        y = y * (np.concatenate([gate, gate], -1) if o["merge"] == "concat" else gate)
    return linear(w, "out", y.reshape(*u.shape[:2], -1))


# The others


def lstm(o: Options, w: Weights, x: Array) -> Array:
    def run(suffix: str, x: Array) -> Array:
        W, U, b = w[f"lstm.weight_ih_l0{suffix}"], w[f"lstm.weight_hh_l0{suffix}"], w[f"lstm.bias_ih_l0{suffix}"]
        b = b + w[f"lstm.bias_hh_l0{suffix}"]
        h = c = np.zeros((len(x), U.shape[1]))
        y = []
        for t in range(x.shape[1]):
            i, f, g, out = np.split(x[:, t] @ W.T + h @ U.T + b, 4, -1)
            c = sigmoid(f) * c + sigmoid(i) * np.tanh(g)
            h = sigmoid(out) * np.tanh(c)
            y.append(h)
        return np.stack(y, 1)

    if o["direction"] == "both":
        return linear(w, "out", np.concatenate([run("", x), turned(run("_reverse", turned(x)))], -1))
    return linear(w, "out", turned(run("", turned(x))) if o["direction"] == "backward" else run("", x))


def mlp(o: Options, w: Weights, x: Array) -> Array:
    return linear(w, "fc2", gelu(linear(w, "fc1", x)))


def pair(o: Options, w: Weights, x: Array) -> Array:
    def part(which: str, x: Array) -> Array:
        inner = dict(o[which])
        if "expand" in inner:
            inner["expand"] *= o["expand"]
        return plain(inner.pop("name"), inner, inside(w, which), x)

    y = part("first", x)
    if o["arrangement"] == "parallel":
        return y + part("second", x)
    z = x + y
    z = (z - z.mean(-1, keepdims=True)) / np.sqrt(z.var(-1, keepdims=True) + 1e-5)
    return y + part("second", z * w["norm.weight"] + w["norm.bias"])


MIXERS: dict[str, Callable[[Options, Weights, Array], Array]] = {
    "identity": lambda o, w, x: x,
    "mlp": mlp,
    "attention": attention,
    "sliding-attention": attention,
    "linear-attention": linear_attention,
    "s4d": in_block(s4d, gelu),
    "mamba": in_block(s6, silu),
    "mamba2": mamba2,
    "hydra": hydra,
    "gated-delta-net": gated_delta_net,
    "lstm": lstm,
    "pair": pair,
}


def plain(name: str, options: Options, weights: Weights, x: Array) -> Array:
    """What the mixer makes of a clip."""
    return MIXERS[name](options, weights, x)
