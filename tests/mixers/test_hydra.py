"""Hydra against its definition: the dense quasi-separable matrix, the published parameter count, the mirror symmetry."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from vdmbench.mixers.hydra import Hydra
from vdmbench.ops import Side, quasi_separable_scan


def strictly_lower(side: Side, A: Tensor, dt_bias: Tensor) -> Tensor:
    """M[t, s] = C_{t-1} . B_s exp(A sum of delta over s < r <= t - 1) delta_s for s < t: (batch, frames, frames, heads)."""
    delta = F.softplus(side.dt + dt_bias)
    batch, frames, heads = delta.shape
    M = torch.zeros(batch, frames, frames, heads, dtype=delta.dtype)
    for t in range(1, frames):
        for s in range(t):
            decay = (A * delta[:, s + 1 : t].sum(1)).exp()
            M[:, t, s] = torch.einsum("bgn,bgn->b", side.C[:, t - 1], side.B[:, s])[:, None] * decay * delta[:, s]
    return M


@pytest.mark.parametrize("frames", [1, 2, 7, 70])
def test_it_is_the_dense_quasi_separable_matrix(frames: int) -> None:
    torch.manual_seed(0)
    normal = lambda *shape: torch.randn(2, frames, *shape, dtype=torch.float64)  # noqa: E731
    x, diagonal, A, dt_bias = normal(3, 4), normal(3), -torch.rand(3, dtype=torch.float64), torch.randn(3, dtype=torch.float64)
    past, future = (Side(normal(3), normal(1, 5), normal(1, 5)) for _ in range(2))
    mirrored = Side(*(part.flip(1) for part in future))
    below, above = strictly_lower(past, A, dt_bias), strictly_lower(mirrored, A, dt_bias).flip(1, 2)
    M = below + above + torch.diag_embed(diagonal.mT).movedim(1, 3)
    got = quasi_separable_scan(x, past, future, A, dt_bias, diagonal)
    torch.testing.assert_close(got, torch.einsum("btsh,bshp->bthp", M, x))


@pytest.mark.parametrize(("channels", "state", "conv"), [(32, 64, 7), (256, 16, 3)])
def test_parameters_are_the_published_count(channels: int, state: int, conv: int) -> None:
    """C(2eC + 4gN + 2H) + (eC + 4gN)(k + 1) + 3H + eC H + eC + eC^2 with e = 2, g = 1, H = eC / 64, two at least."""
    inner, heads = 2 * channels, max(2, 2 * channels // 64)
    maps = channels * (2 * inner + 4 * state + 2 * heads) + (inner + 4 * state) * (conv + 1)
    want = maps + 3 * heads + inner * heads + inner + inner * channels
    assert sum(p.numel() for p in Hydra(channels, state=state, conv=conv).parameters()) == want


def test_swapping_the_directions_parameters_mirrors_it_in_time() -> None:
    torch.manual_seed(0)
    mixer, mirror = (Hydra(16, state=4, head_dim=8).double() for _ in range(2))
    mirror.load_state_dict(mixer.state_dict())
    inner, state, heads = mixer.inner_width, mixer.state, mixer.heads
    sizes = (inner, 2 * state, 2 * state)  # x, maps of the past, maps of the future
    with torch.no_grad():
        gate, x, past, future, *dt = mixer.to_inner.weight.split((inner, *sizes, heads, heads))
        mirror.to_inner.weight.copy_(torch.cat([gate, x, future, past, *dt[::-1]]))
        x, past, future = mixer.conv.weight.split(sizes)
        mirror.conv.weight.copy_(torch.cat([x, future, past]).flip(1))
        x, past, future = mixer.conv.bias.split(sizes)
        mirror.conv.bias.copy_(torch.cat([x, future, past]))
        clip = torch.randn(2, 11, 16, dtype=torch.float64)
        torch.testing.assert_close(mirror(clip.flip(1)).flip(1), mixer(clip))


def test_a_convolution_without_a_centre_is_refused() -> None:
    with pytest.raises(ValueError, match="it must be odd, got 4"):
        Hydra(16, conv=4)
