"""What one selective scan takes, and the check that its parts fit each other."""

from __future__ import annotations

from typing import NamedTuple

from jaxtyping import Float
from torch import Tensor

from vdmbench.ops.parts import check_parts


class Direction(NamedTuple):
    """What one direction scans, as in :func:`vdmbench.ops.selective_scan`; frames are in the order of the video."""

    x: Float[Tensor, "batch frames channels"]
    dt: Float[Tensor, "batch frames channels"]
    A: Float[Tensor, "channels state"]
    B: Float[Tensor, "batch frames state"]
    C: Float[Tensor, "batch frames state"]
    D: Float[Tensor, " channels"] | None = None
    dt_bias: Float[Tensor, " channels"] | None = None

    def check(self, op: str, gate: Tensor | None, prefix: str = "") -> None:
        """Raise ValueError, naming the op and the argument, where the parts or the gate do not fit each other.

        Under ``torch.autograd.set_detect_anomaly(True)`` a value that is not finite is refused too.
        """
        x, A = self.x, self.A
        if x.dim() != 3 or A.dim() != 2 or x.numel() == 0 or A.numel() == 0:
            raise ValueError(
                f"{op} takes {prefix}x (batch, frames, channels) and {prefix}A (channels, state), neither empty, "
                f"got {tuple(x.shape)} and {tuple(A.shape)}"
            )
        batch, frames, channels = x.shape
        sequence, scalars, parameter = (batch, frames, channels), (batch, frames, A.shape[1]), (channels,)
        shapes = (sequence, sequence, (channels, A.shape[1]), scalars, scalars, parameter, parameter)
        parts = {prefix + name: (part, shape) for name, part, shape in zip(self._fields, self, shapes, strict=True)}
        check_parts(op, parts | {"gate": (gate, sequence)})
