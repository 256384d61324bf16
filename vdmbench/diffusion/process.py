"""What training and sampling know of a diffusion process, whichever it is.

Every process brings a clip to a noise level by x = alpha x0 + sigma noise. A *level* is the process's own number for how much
noise there is: an integer in 0 .. T-1, a flow time t in [0, 1], or the noise's standard deviation. It is one for each clip,
or, with ``levels="frame"``, one for each frame (diffusion forcing, Chen et al. 2024, Algorithm 1).
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable

import torch
from jaxtyping import Float, Num
from torch import Tensor

from vdmbench.diffusion.parameterisation import Clips, Coefficient, Parameterisation

Denoiser = Callable[[Tensor, Tensor], Tensor]
"""(x: "batch *clip", t: "batch" or "batch frames") -> prediction: "batch *clip"; each process says what ``t`` is."""

Level = int | float
Levels = Num[Tensor, " batch"] | Num[Tensor, "batch frames"]


def _at_least_float32(dtype: torch.dtype) -> torch.dtype:
    return torch.promote_types(dtype, torch.float32)


class Process(ABC):
    """Gaussian diffusion of clips of any layout with a leading batch axis, and with frames next where levels are theirs.

    A process is its levels (:meth:`draw_levels` for training, :meth:`visited` for sampling), alpha and sigma at each, the time
    that the denoiser is told, and a parameterisation; noising, loss and the estimate of x0 follow from these.

    Attributes:
        clean: the level of a clip without noise, as far as the process has one.
        noisiest_sigma: what sampling scales its first noise by.
    """

    clean: Level
    noisiest_sigma: float = 1.0

    def __init__(
        self,
        parameterisation: Parameterisation,
        *,
        levels: str = "clip",
        device: torch.device | str = "cpu",
    ) -> None:
        if levels not in ("clip", "frame"):
            raise ValueError(f"levels must be 'clip' or 'frame', got '{levels}'")
        self.parameterisation = parameterisation
        self.per_frame = levels == "frame"
        self.device = torch.device(device)

    # ------------------------------------------------------------------ what a process defines

    @abstractmethod
    def _draw(self, shape: tuple[int, ...], generator: torch.Generator) -> Num[Tensor, " *shape"]:
        """Levels of training, on the generator's device."""

    @abstractmethod
    def level_at(self, share: Float[Tensor, " *shape"]) -> Num[Tensor, " *shape"]:
        """The level below which training draws that share of its levels, from 0 to 1: the inverse of their distribution."""

    @abstractmethod
    def visited(self, steps: int | None = None) -> list[Level]:
        """The ``steps`` levels that sampling visits, from noise down; behind the last lies the clean clip."""

    @abstractmethod
    def alpha_sigma(self, level: Level | Levels) -> tuple[Coefficient, Coefficient]:
        """alpha and sigma at one level as floats, or at each of a tensor of levels as tensors of its shape."""

    @abstractmethod
    def time(self, t: Levels) -> Levels:
        """What the denoiser is told of levels ``t``."""

    def weight(self, alpha: Tensor, sigma: Tensor) -> Tensor | None:
        """Weight of the squared error of the prediction; None is 1."""
        return None

    # ------------------------------------------------------------------ what follows

    def draw_levels(self, clips: int, frames: int, generator: torch.Generator) -> Levels:
        """Levels for training, on the device of the process: (clips,), or (clips, frames) where each frame has its own."""
        return self._draw((clips, frames) if self.per_frame else (clips,), generator).to(self.device)

    def corrupt(self, x0: Clips, t: Levels, noise: Clips) -> Clips:
        """Clips at levels ``t``, computed in float32 at least and returned in the dtype of ``x0``."""
        alpha, sigma = self._coefficients(t, x0)
        return (alpha * x0 + sigma * noise).to(x0.dtype)

    def loss(
        self, denoiser: Denoiser, x0: Clips, t: Levels, noise: Clips
    ) -> Float[Tensor, " batch"] | Float[Tensor, "batch frames"]:
        """Weighted mean squared error of the prediction of each clip, or of each frame where ``t`` has frames.

        In float32 at least, whatever autocast made of the prediction.
        """
        alpha, sigma = self._coefficients(t, x0)
        prediction = denoiser(self.parameterisation.network_input(self.corrupt(x0, t, noise), sigma), self.time(t))
        if prediction.shape != x0.shape:
            raise ValueError(
                f"the denoiser must return the shape of its input, {tuple(x0.shape)}, got {tuple(prediction.shape)}"
            )
        # Ho et al. 2020, Eq. 14 ("simple" weighting); for other targets the same norm of their own.
        target = self.parameterisation.target(x0, noise, alpha, sigma).to(alpha.dtype)
        error = (prediction.to(alpha.dtype) - target).square().flatten(start_dim=t.ndim).mean(dim=-1)
        weight = self.weight(alpha, sigma)
        return error if weight is None else error * weight.reshape(t.shape)

    def denoise(self, denoiser: Denoiser, x: Clips, level: Level | Levels) -> Clips:
        """The clean clip as the denoiser sees it from ``x``, in the dtype of ``x`` also where autocast lowered the prediction.

        ``level`` is a number where all of the batch is at one level, else a tensor as in training.
        """
        t = level if isinstance(level, Tensor) else self._everywhere(level, x)
        alpha, sigma = self._coefficients(t, x) if isinstance(level, Tensor) else self.alpha_sigma(level)
        prediction = denoiser(self.parameterisation.network_input(x, sigma), self.time(t)).to(x.dtype)
        return self.parameterisation.x0(prediction, x, alpha, sigma)

    def _everywhere(self, level: Level, like: Tensor) -> Levels:
        """``level`` for each clip or frame: int64 for an integer, else of the precision of ``like``, float32 at least."""
        dtype = torch.int64 if isinstance(level, int) else _at_least_float32(like.dtype)
        return torch.full(like.shape[: 2 if self.per_frame else 1], level, dtype=dtype, device=like.device)

    def _coefficients(self, t: Levels, like: Tensor) -> tuple[Tensor, Tensor]:
        """alpha and sigma of each clip or frame, shaped to broadcast against ``like``."""
        if t.shape != like.shape[: t.ndim]:
            raise ValueError(
                f"levels must be one for each of {like.shape[0]} clips, or for each of their frames, got shape "
                f"{tuple(t.shape)} for clips of {tuple(like.shape)}"
            )
        shape, dtype = t.shape + (1,) * (like.ndim - t.ndim), _at_least_float32(like.dtype)
        alpha, sigma = (torch.as_tensor(each) for each in self.alpha_sigma(t))
        return alpha.to(dtype).view(shape), sigma.to(dtype).view(shape)
