"""Two mixers as one layer, such as windowed attention beside a state-space model."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

from jaxtyping import Float
from torch import Tensor, nn

from vdmbench import registry
from vdmbench.mixers.making import mixer_maker
from vdmbench.mixers.mixer import Mixer, State
from vdmbench.user_code import is_code


class Pair(Mixer):
    """``parallel``: first(x) + second(x); ``serial``: y + second(norm(x + y)) with y = first(x), as two residual layers.

    Args:
        channels: width of input and output.
        first: name, or mapping of ``name`` and options, of one mixer; a name of the registry, or a user's ``path.py:Class``.
        second: of the other.
        arrangement: ``parallel`` or ``serial``.
        expand: multiplies ``expand`` of both mixers, so that one knob widens the pair and keeps its proportion.

    Raises:
        ValueError: an unknown arrangement, ``expand`` where a mixer has no width, or what the mixers refuse.
    """

    def __init__(
        self,
        channels: int,
        *,
        first: str | Mapping[str, Any] = "sliding-attention",
        second: str | Mapping[str, Any] = "mamba",
        arrangement: Literal["parallel", "serial"] = "parallel",
        expand: float = 1.0,
    ) -> None:
        if arrangement not in ("parallel", "serial"):
            raise ValueError(f"arrangement must be 'parallel' or 'serial', got '{arrangement}'")
        one, other = (_widened(choice, expand) for choice in (first, second))
        built = mixer_maker(one)(channels), mixer_maker(other)(channels)
        super().__init__(channels, causal=all(mixer.causal for mixer in built))
        self.first, self.second = built
        self.norm = nn.LayerNorm(channels) if arrangement == "serial" else None
        self.inner_width = self.first.inner_width + self.second.inner_width

    def forward(self, x: Float[Tensor, "batch frames channels"]) -> Float[Tensor, "batch frames channels"]:
        y = self.first(x)
        return y + self.second(x if self.norm is None else self.norm(x + y))

    def initial_state(self, batch: int) -> State:
        """Of the first and of the second."""
        if not self.causal:
            raise self._no_steps()
        return self.first.initial_state(batch), self.second.initial_state(batch)

    def state_after(self, batch: int, frames: int) -> State:
        if not self.causal:
            raise self._no_steps()
        return self.first.state_after(batch, frames), self.second.state_after(batch, frames)

    def step(self, x: Float[Tensor, "batch channels"], state: State) -> tuple[Float[Tensor, "batch channels"], State]:
        if not self.causal:
            raise self._no_steps()
        y, first = self.first.step(x, state[0])
        z, second = self.second.step(x if self.norm is None else self.norm(x + y), state[1])
        return y + z, (first, second)

    def state_size(self, frames: int) -> int:
        return self.first.state_size(frames) + self.second.state_size(frames)

    def flops(self, frames: int) -> int:
        return self.first.flops(frames) + self.second.flops(frames)


def _widened(choice: str | Mapping[str, Any], factor: float) -> dict[str, Any]:
    """The choice with all its options, its ``expand`` multiplied."""
    options: dict[str, Any] = {"name": choice} if isinstance(choice, str) else dict(choice)
    name = options["name"]
    if not is_code(name):  # a user's class has no option model: it takes what is given
        del options["name"]
        options = {"name": name, **registry.mixers[name].load_options()(**options).model_dump()}
    if factor != 1:
        if "expand" not in options:
            raise ValueError(f"mixer '{name}' has no width: keep the pair's expand at 1, got {factor}")
        options["expand"] *= factor
    return options
