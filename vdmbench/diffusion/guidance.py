"""Classifier-free guidance: a denoiser made of a conditional and an unconditional one (Ho & Salimans 2022)."""

from __future__ import annotations

import torch
from torch import Tensor

from vdmbench.diffusion.process import Denoiser


def guided(conditional: Denoiser, unconditional: Denoiser, scale: float) -> Denoiser:
    """Two evaluations, one after the other: half the memory of :func:`guided_in_one_batch`.

    ``scale`` 1 is ``conditional`` itself, to the bit and at its cost; more pushes away from ``unconditional``. Every
    parameterisation is linear in x0, so that predictions may be combined in place of scores.
    """
    if scale == 1.0:
        return conditional

    def predict(x: Tensor, t: Tensor) -> Tensor:
        return _extrapolated(conditional(x, t), unconditional(x, t), scale)

    return predict


def guided_in_one_batch(conditional: Denoiser, both: Denoiser, scale: float) -> Denoiser:
    """One evaluation of a doubled batch by ``both``, whose first half it takes as conditional and second as unconditional.

    Scale 1 is ``conditional`` itself, as in :func:`guided`.
    """
    if scale == 1.0:
        return conditional

    def predict(x: Tensor, t: Tensor) -> Tensor:
        with_condition, without = both(torch.cat([x, x]), torch.cat([t, t])).chunk(2)
        return _extrapolated(with_condition, without, scale)

    return predict


def _extrapolated(conditional: Tensor, unconditional: Tensor, scale: float) -> Tensor:
    # Ho & Salimans 2022, Eq. 6, (1 + w) conditional - w unconditional, with scale = 1 + w.
    return unconditional + scale * (conditional - unconditional)
