"""Solvers of the probability-flow ODE: Euler, Heun and DPM-Solver++(2M), one function each, with the algorithm in view.

Each visits ``steps`` levels and then the clean end, alpha = 1 and sigma = 0; see :mod:`vdmbench.diffusion.samplers` for what
samplers have in common. Euler and Heun solve dx/dsigma = (x - x0) / sigma, which is the ODE of flow matching, where sigma is t
and x0 = x - t v, and of EDM (Karras et al. 2022, Eq. 3) alike. It is not that of the discrete process, of which DDIM is the
Euler method.
"""

from __future__ import annotations

from itertools import pairwise
from math import inf, log

import torch

from vdmbench.diffusion.edm import EDM
from vdmbench.diffusion.estimate import Draw, Estimate, Progress
from vdmbench.diffusion.flow import FlowMatching
from vdmbench.diffusion.known_frames import KnownFrames
from vdmbench.diffusion.parameterisation import Clips
from vdmbench.diffusion.process import Denoiser, Process


@torch.no_grad()
def sample_euler(
    process: FlowMatching | EDM,
    denoiser: Denoiser,
    draw: Draw,
    *,
    steps: int,
    clip_x0: bool = True,
    known: KnownFrames | None = None,
    progress: Progress | None = None,
) -> Clips:
    """Euler's method; first order, one evaluation a step."""
    estimate = Estimate(process, denoiser, clip_x0, known)
    levels = process.visited(steps)
    x = process.noisiest_sigma * draw()
    for done, (sigma, sigma_next) in enumerate(pairwise([*levels, 0.0]), start=1):
        # Liu et al. 2023, Section 2.1; Karras et al. 2022, Algorithm 1, lines 4 and 5.
        x = x + (sigma_next - sigma) / sigma * (x - estimate(x, sigma))
        if progress is not None:
            progress(done, len(levels))
    return estimate.finished(x)


@torch.no_grad()
def sample_heun(
    process: FlowMatching | EDM,
    denoiser: Denoiser,
    draw: Draw,
    *,
    steps: int,
    clip_x0: bool = True,
    known: KnownFrames | None = None,
    progress: Progress | None = None,
) -> Clips:
    """Heun's method; second order, two evaluations a step but one at the last: 2 ``steps`` - 1 in all."""
    estimate = Estimate(process, denoiser, clip_x0, known)
    levels = process.visited(steps)
    x = process.noisiest_sigma * draw()
    for done, (sigma, sigma_next) in enumerate(pairwise([*levels, 0.0]), start=1):
        # Karras et al. 2022, Algorithm 1: slope here, Euler's step, slope there, and the step again along their mean.
        slope = (x - estimate(x, sigma)) / sigma
        there = x + (sigma_next - sigma) * slope
        if sigma_next > 0:
            slope_there = (there - estimate(there, sigma_next)) / sigma_next
            there = x + (sigma_next - sigma) * (slope + slope_there) / 2
        x = there
        if progress is not None:
            progress(done, len(levels))
    return estimate.finished(x)


@torch.no_grad()
def sample_dpmpp_2m(
    process: Process,
    denoiser: Denoiser,
    draw: Draw,
    *,
    steps: int,
    clip_x0: bool = True,
    known: KnownFrames | None = None,
    progress: Progress | None = None,
) -> Clips:
    """DPM-Solver++(2M) (Lu et al. 2022b, Algorithm 2), of any process; second order, one evaluation a step.

    The first step has no history, and the last ends where the log-SNR is infinite: both are of first order (DDIM's).
    """
    estimate = Estimate(process, denoiser, clip_x0, known)
    levels = process.visited(steps)
    points = [*(process.alpha_sigma(level) for level in levels), (1.0, 0.0)]
    x = process.noisiest_sigma * draw()
    x0_before, step_before = None, inf
    for done, (level, ((alpha, sigma), (alpha_next, sigma_next))) in enumerate(zip(levels, pairwise(points), strict=True), 1):
        x0 = estimate(x, level)
        # Lu et al. 2022b, Eq. 8 and Algorithm 2, with h the step in lambda = ln(alpha / sigma) and r the ratio of steps.
        shrink = sigma_next * alpha / (sigma * alpha_next)  # exp(-h)
        step = -log(shrink) if shrink > 0 else inf
        r = step_before / step
        extrapolated = x0
        if x0_before is not None and 0 < r < inf:
            extrapolated = (1 + 1 / (2 * r)) * x0 - 1 / (2 * r) * x0_before
        x = sigma_next / sigma * x + alpha_next * (1 - shrink) * extrapolated
        x0_before, step_before = x0, step
        if progress is not None:
            progress(done, len(levels))
    return estimate.finished(x)
