"""What every denoiser is, whatever its backbone."""

from __future__ import annotations

from typing import Any

from jaxtyping import Float, Num
from torch import Tensor, nn

from vdmbench.mixers import Mixer
from vdmbench.networks.condition import Condition
from vdmbench.networks.flops import count_flops
from vdmbench.networks.mixer_layer import MixerLayer
from vdmbench.networks.streaming import Carry, Stream
from vdmbench.ops.recompute import recomputing


class Denoiser(nn.Module):
    """Predicts, from a noisy clip and its diffusion time, a clip of the same shape; its frames meet in temporal layers.

    A denoiser is built as ``Cls(*, mixer, <options>)``, where ``mixer`` makes the mixer of a temporal layer from its number of
    channels (or is a :class:`~vdmbench.networks.placement.Placement`, where its option model states its ``levels``, or a
    :class:`~vdmbench.networks.placement.BlockPlacement`, where it states its ``depth``) and the options have the names of its
    option model in ``vdmbench.suite.options.networks``.

    Attributes:
        channels: image channels.
        condition_width: features of each part of a :class:`~vdmbench.networks.condition.Condition`.
        attends_to_tokens: whether a condition may hold tokens.
    """

    channels: int
    condition_width: int
    attends_to_tokens: bool = False

    def __call__(self, *inputs: Any, **options: Any) -> Any:
        """As any module's, and what is cheap to compute is not kept for the backward pass (:mod:`vdmbench.ops.recompute`)."""
        with recomputing():
            return super().__call__(*inputs, **options)

    def forward(
        self,
        x: Float[Tensor, "batch frames channels height width"],
        t: Num[Tensor, " batch"] | Num[Tensor, "batch frames"],
        condition: Condition | None = None,
        carry: Carry | None = None,
    ) -> Float[Tensor, "batch frames channels height width"]:
        """Prediction for the noisy clip ``x`` at diffusion time ``t``, integer steps or real numbers, of each clip or frame.

        ``carry`` is :meth:`step`'s, which hands it to every layer in which frames meet.
        """
        raise NotImplementedError

    def initial_stream(self, batch: int, height: int, width: int) -> Stream:
        """Clips of which no frame has come yet, to be predicted in chunks by :meth:`step`.

        Raises ValueError where a layer needs whole clips, naming it and what to do.
        """
        for path, layer in self.mixer_layers().items():
            reason = layer.needs_whole_clips()
            if reason is not None:
                raise ValueError(f"frames cannot come in chunks: in {path} {reason}")
        return Stream(batch, height, width)

    def step(
        self,
        x: Float[Tensor, "batch frames channels height width"],
        t: Num[Tensor, " batch"] | Num[Tensor, "batch frames"],
        stream: Stream,
        condition: Condition | None = None,
    ) -> tuple[Float[Tensor, "batch frames channels height width"], Stream]:
        """What :meth:`forward` predicts for the next frames ``x`` of a clip whose earlier ones ``stream`` has seen; the stream
        after them. ``stream`` itself stays: each of many steps from it may see another version of the same frames.

        ``t`` and ``condition`` are of the chunk. Raises ValueError for what :meth:`forward` refuses, or clips of other sizes.
        """
        stream.check(x)
        carry = Carry(stream)
        return self(x, t, condition, carry), carry.after(x.shape[1])

    def check(self, x: Tensor, t: Tensor, condition: Condition | None) -> None:
        """Raise ValueError for what :meth:`forward` cannot take."""
        if x.dim() != 5 or x.shape[2] != self.channels:
            raise ValueError(f"x must be (batch, frames, {self.channels}, height, width), got {tuple(x.shape)}")
        if t.shape not in (x.shape[:1], x.shape[:2]):
            raise ValueError(
                f"t must hold one time for each of {x.shape[0]} clips, or for each of their {x.shape[1]} frames, "
                f"got {tuple(t.shape)}"
            )
        if condition is not None:
            condition.check(x.shape[0], x.shape[1], self.condition_width)

    def temporal_layers(self) -> dict[str, Mixer]:
        """The mixer of each layer in which frames meet, by the layer's path in the network."""
        return {path: layer.mixer for path, layer in self.mixer_layers().items() if layer.crosses_frames}

    def mixer_layers(self) -> dict[str, MixerLayer]:
        """All layers with a mixer, those within frames included, by path."""
        return {path: layer for path, layer in self.named_modules() if isinstance(layer, MixerLayer)}

    def flops(self, frames: int, height: int, width: int) -> int:
        """Forward FLOPs of one clip; see :func:`vdmbench.networks.flops.count_flops`."""
        count = count_flops(self, frames, height, width)
        return count.spatial + sum(count.temporal.values())
