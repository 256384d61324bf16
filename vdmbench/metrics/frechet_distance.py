"""The Fréchet distance between sets of videos as a torchmetrics ``Metric``: streaming, mergeable, exact across ranks."""

from __future__ import annotations

from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torchmetrics import Metric

from vdmbench.metrics.extractor import extract_batch
from vdmbench.metrics.frechet import Divisor, Gaussian, Moments, frechet_distance, standard_scale
from vdmbench.metrics.video import check_uint8


class FrechetDistance(Metric):
    """Squared Fréchet distance on the features of any extractor, held as float64 sums.

    The states add, so ``merge_state`` and distributed synchronisation give what one process would have. It is FVD where
    the extractor is I3D on clips resized to 224 pixels, and goes by the extractor's name everywhere else.

    Args:
        extractor: a module as :class:`~vdmbench.metrics.extractor.Extractor` says. One object may serve several metrics;
            what shares one forward among companions is :class:`~vdmbench.metrics.video_distance.VideoDistance`.
        divisor: covariances divide by "n-1" or by "n".
        reset_real_features: whether :meth:`reset` forgets the real clips too.
    """

    higher_is_better = False
    is_differentiable = False
    full_state_update = False
    plot_lower_bound = 0.0

    real_count: Tensor
    real_total: Tensor
    real_outer: Tensor
    generated_count: Tensor
    generated_total: Tensor
    generated_outer: Tensor

    def __init__(
        self, extractor: nn.Module, *, divisor: Divisor = "n-1", reset_real_features: bool = True, **kwargs: Any
    ) -> None:
        super().__init__(**kwargs)
        for attribute in ("num_features", "minimum_frames", "frames_at_once", "scale_floor"):
            if not hasattr(extractor, attribute):
                raise ValueError(f"extractor {type(extractor).__name__} has no '{attribute}': see vdmbench.metrics.extractor")
        self.extractor, self.divisor, self.reset_real_features = extractor, divisor, reset_real_features
        size = int(extractor.num_features)  # type: ignore[arg-type]
        for side in ("real", "generated"):
            self.add_state(f"{side}_count", torch.zeros((), dtype=torch.long), dist_reduce_fx="sum")
            self.add_state(f"{side}_total", torch.zeros(size, dtype=torch.float64), dist_reduce_fx="sum")
            self.add_state(f"{side}_outer", torch.zeros(size, size, dtype=torch.float64), dist_reduce_fx="sum")

    def update(self, videos: Tensor, real: bool) -> None:
        """Add clips, uint8 (batch frames 3 height width), to the real or to the generated side."""
        moments = Moments.of(extract_batch(self.extractor, check_uint8(videos)))  # type: ignore[arg-type]
        side = "real" if real else "generated"
        for name, value in (("count", moments.count), ("total", moments.total), ("outer", moments.outer)):
            state = getattr(self, f"{side}_{name}")
            setattr(self, f"{side}_{name}", state + (value if isinstance(value, int) else value.to(state.device)))

    def compute(self) -> Float[Tensor, ""]:
        """The distance, float64; raises :class:`~vdmbench.metrics.frechet.TooFewClips` below two clips a side."""
        real, generated = (
            Moments(int(getattr(self, f"{side}_count")), getattr(self, f"{side}_total"), getattr(self, f"{side}_outer"))
            for side in ("real", "generated")
        )
        floor: float | None = self.extractor.scale_floor  # type: ignore[assignment]
        if floor is not None:
            scale = standard_scale(real, floor)
            real, generated = real.scaled(scale), generated.scaled(scale)
        return frechet_distance(Gaussian.from_moments(real, self.divisor), Gaussian.from_moments(generated, self.divisor))

    def reset(self, reset_real_features: bool | None = None) -> None:
        """Forget all clips, or with ``reset_real_features=False`` (here or at construction) only the generated ones."""
        forget = self.reset_real_features if reset_real_features is None else reset_real_features
        kept = {} if forget else {name: getattr(self, name) for name in ("real_count", "real_total", "real_outer")}
        super().reset()
        for name, value in kept.items():
            setattr(self, name, value)

    def merge_state(self, incoming_state: dict[str, Any] | Metric) -> None:
        """Add another metric's clips to these."""
        super().merge_state(incoming_state)
        self._computed = None  # torchmetrics would go on returning the value from before the merge

    def set_dtype(self, dst_type: str | torch.dtype) -> FrechetDistance:
        """Refused for anything but float64: the sums lose the distance in fewer digits."""
        if dst_type not in (torch.float64, "torch.float64"):
            raise ValueError(f"the sums of a Fréchet distance stay float64, got {dst_type}")
        return self
