"""Samplers of the discrete process, DDPM and DDIM: one function each, with the algorithm in view.

All samplers, here and in :mod:`vdmbench.diffusion.solvers`, take ``draw``, a callable that returns the next batch of standard
normal noise; its first draw is the noise that they start from. Coefficients are Python floats (float64) that meet the clips, in
float32, once a step. ``clip_x0`` clips every predicted clean clip to [-1, 1], and ``known`` holds frames that are given.

Levels run T-1 .. 0, and ``bars[t + 1]`` is alpha_bar at level t, so that ``bars[0]`` = 1 is the clean end.
"""

from __future__ import annotations

from itertools import pairwise
from math import sqrt

import torch

from vdmbench.diffusion.discrete import Diffusion, trailing_levels
from vdmbench.diffusion.estimate import Draw, Estimate, Progress
from vdmbench.diffusion.known_frames import KnownFrames
from vdmbench.diffusion.parameterisation import Clips, noise_in
from vdmbench.diffusion.process import Denoiser


@torch.no_grad()
def sample_ddpm(
    diffusion: Diffusion,
    denoiser: Denoiser,
    draw: Draw,
    *,
    clip_x0: bool = True,
    known: KnownFrames | None = None,
    progress: Progress | None = None,
) -> Clips:
    """Ancestral sampling over all T levels (Ho et al. 2020, Algorithm 2), with the posterior variance."""
    estimate = Estimate(diffusion, denoiser, clip_x0, known)
    betas, bars = diffusion.schedule.betas.tolist(), [1.0, *diffusion.schedule.alpha_bar.tolist()]
    x = draw()
    for level in reversed(range(diffusion.steps)):
        beta, bar, bar_before = betas[level], bars[level + 1], bars[level]
        x0 = estimate(x, level)
        # Ho et al. 2020, Eq. 7: mean and variance of q(x_{t-1} | x_t, x_0).
        x = sqrt(bar_before) * beta / (1 - bar) * x0 + sqrt(1 - beta) * (1 - bar_before) / (1 - bar) * x
        if level > 0:
            x = x + sqrt((1 - bar_before) / (1 - bar) * beta) * draw()
        if progress is not None:
            progress(diffusion.steps - level, diffusion.steps)
    return estimate.finished(x)


@torch.no_grad()
def sample_ddim(
    diffusion: Diffusion,
    denoiser: Denoiser,
    draw: Draw,
    *,
    steps: int | None = None,
    eta: float = 0.0,
    clip_x0: bool = True,
    known: KnownFrames | None = None,
    progress: Progress | None = None,
) -> Clips:
    """DDIM (Song et al. 2021) over ``steps`` levels, all T where it is None.

    ``eta`` in [0, 1] is the share of the posterior's noise that is added back: 0 is deterministic given x_T, and 1 over
    all T levels equals :func:`sample_ddpm`. Where x0 is clipped, the noise is derived again from the clipped x0, so that
    the two stay consistent.
    """
    if not 0.0 <= eta <= 1.0:
        raise ValueError(f"eta must be in [0, 1], got {eta}")
    estimate = Estimate(diffusion, denoiser, clip_x0, known)
    levels = trailing_levels(diffusion.steps, diffusion.steps if steps is None else steps)
    bars = [1.0, *diffusion.schedule.alpha_bar.tolist()]
    x = draw()
    for done, (level, level_before) in enumerate(pairwise([*levels, -1]), start=1):
        bar, bar_before = bars[level + 1], bars[level_before + 1]
        x0 = estimate(x, level)
        noise = noise_in(x, x0, sqrt(bar), sqrt(1 - bar))
        # Song et al. 2021, Eq. 16.
        sigma = eta * sqrt((1 - bar_before) / (1 - bar)) * sqrt(1 - bar / bar_before)
        # Song et al. 2021, Eq. 12. At the last step and eta = 1 rounding may leave the root's argument below 0.
        x = sqrt(bar_before) * x0 + sqrt(max(1 - bar_before - sigma**2, 0.0)) * noise
        if sigma > 0:
            x = x + sigma * draw()
        if progress is not None:
            progress(done, len(levels))
    return estimate.finished(x)
