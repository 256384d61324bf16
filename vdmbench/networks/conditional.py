"""A network that is told something: encoders of labels, texts and actions, and the denoiser that hears them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float, Int, Num
from torch import Tensor, nn

from vdmbench.networks.condition import Condition
from vdmbench.networks.denoiser import Denoiser
from vdmbench.networks.streaming import Carry, Stream
from vdmbench.networks.text.byte_encoder import ByteEncoder

NUMBERED_ACTIONS = 256
"""Numbers that an action can be, where it is one and not a vector."""


@dataclass(frozen=True)
class Told:
    """What is told of each clip of a batch, before anything is encoded; what is None is told of none.

    Attributes:
        labels: number of the clip's class.
        texts: bytes of its caption, or its tokens by a pretrained encoder.
        mask: which of these tokens count; bytes know that themselves.
        actions: number, or vector, of what led to each frame; the first frame has no preceding action.
        keep: clips that are told; the others are told nothing. None: all.
    """

    labels: Int[Tensor, " batch"] | None = None
    texts: Int[Tensor, "batch length"] | Float[Tensor, "batch length features"] | None = None
    mask: Bool[Tensor, "batch length"] | None = None
    actions: Int[Tensor, "batch frames"] | Float[Tensor, "batch frames numbers"] | None = None
    keep: Bool[Tensor, " batch"] | None = None

    def to(self, device: torch.device) -> Told:
        moved = {each.name: getattr(self, each.name) for each in fields(self)}
        return Told(**{name: None if part is None else part.to(device, non_blocking=True) for name, part in moved.items()})

    def keeping(self, keep: Bool[Tensor, " batch"]) -> Told:
        """The same, told only of the clips where ``keep`` is set."""
        return Told(self.labels, self.texts, self.mask, self.actions, keep)

    def beside_nothing(self) -> Told:
        """Of twice the batch: the same, and behind it the same clips told nothing."""
        parts = {each.name: getattr(self, each.name) for each in fields(self)}
        some = next(part for part in parts.values() if part is not None)
        keep = torch.ones(len(some), dtype=torch.bool, device=some.device) if self.keep is None else self.keep
        twice = {name: None if part is None else torch.cat([part, part]) for name, part in parts.items()}
        return Told(**twice | {"keep": torch.cat([keep, torch.zeros_like(keep)])})


class Conditional(Denoiser):
    """A denoiser and the encoders of its condition, trained together.

    A label is an embedding; a text its tokens, which the network attends to where it can, and the mean of them; actions are
    embedded frame by frame. Label and mean of the text are added to the time embedding, actions to that of their frame. For
    each there is a learned stand-in that a clip has in its place where it is told nothing, so that one network is conditional
    and unconditional (Ho & Salimans 2022, arXiv 2207.12598, sec. 3.2).

    Args:
        network: what hears the condition.
        classes: number of labels; 0 without.
        text: ``{"encoder": "bytes", "width", "depth", "length"}``, or ``{"encoder": "pretrained", "features", "length"}`` for
            tokens that come encoded; None without.
        actions: numbers in an action, or 0 where it is one of ``NUMBERED_ACTIONS``; None without.

    Raises:
        ValueError: an encoder that does not exist, or nothing to be told.
    """

    def __init__(
        self, network: Denoiser, *, classes: int = 0, text: Mapping[str, Any] | None = None, actions: int | None = None
    ) -> None:
        super().__init__()
        if not classes and text is None and actions is None:
            raise ValueError("a conditional network is told something: give classes, text or actions")
        self.network, self.channels, self.condition_width = network, network.channels, network.condition_width
        self.attends_to_tokens = network.attends_to_tokens
        self.classes, self.actions = classes, actions
        self.text = None if text is None else dict(text)
        width = network.condition_width
        self.label_embedding = nn.Embedding(classes + 1, width) if classes else None  # the last is nothing
        self.text_encoder = _text_encoder(self.text)
        if self.text is not None:
            features = self.text["width"] if self.text["encoder"] == "bytes" else self.text["features"]
            self.to_tokens = nn.Linear(features, width) if self.attends_to_tokens else None
            self.to_vector = nn.Sequential(nn.LayerNorm(features), nn.Linear(features, width))
            self.no_text = nn.Parameter(0.02 * torch.randn(width))
        if actions is not None:
            first: nn.Module = nn.Linear(actions, width) if actions else nn.Embedding(NUMBERED_ACTIONS, width)
            self.to_frames = nn.Sequential(first, nn.SiLU(), nn.Linear(width, width))
            self.no_action = nn.Parameter(0.02 * torch.randn(width))

    def forward(
        self,
        x: Float[Tensor, "batch frames channels height width"],
        t: Num[Tensor, " batch"] | Num[Tensor, "batch frames"],
        condition: Told | None = None,  # type: ignore[override]
        carry: Carry | None = None,
    ) -> Float[Tensor, "batch frames channels height width"]:
        """Prediction given what is told of each clip, from its first frame on also in :meth:`step`; None: nothing of any."""
        return self.network(x, t, self.encode(condition, x, first=0 if carry is None else carry.first), carry)

    def encode(self, told: Told | None, x: Float[Tensor, "batch frames channels height width"], *, first: int = 0) -> Condition:
        """The condition of the noisy frames ``x``, in the network's terms; ``first`` is the number in the clip of the first."""
        told = Told() if told is None else told
        keep = torch.ones(len(x), dtype=torch.bool, device=x.device) if told.keep is None else told.keep
        vectors, tokens, mask = [], None, None
        if self.label_embedding is not None:
            nothing = torch.full((len(x),), self.classes, device=x.device)
            vectors.append(self.label_embedding(nothing if told.labels is None else torch.where(keep, told.labels, nothing)))
        if self.text is not None:
            vector, tokens, mask = self._text(told, keep)
            vectors.append(vector)
        frames = self._frames(told, keep, range(first, first + x.shape[1])) if self.actions is not None else None
        return Condition(vector=sum(vectors) if vectors else None, frames=frames, tokens=tokens, mask=mask)

    def _text(self, told: Told, keep: Tensor) -> tuple[Tensor, Tensor | None, Tensor | None]:
        """Mean of each text through ``to_vector``; its tokens and which count, none of clips that are told nothing."""
        nothing = self.no_text.expand(len(keep), -1)
        if told.texts is None:
            return nothing, None, None
        tokens, mask = (told.texts, told.mask) if self.text_encoder is None else self.text_encoder(told.texts)
        assert tokens is not None, "there is a text encoder, or its tokens"
        assert mask is not None, "tokens come with which of them count"
        counted = mask[..., None].to(tokens.dtype)
        mean = (tokens * counted).sum(1) / counted.sum(1)
        vector = torch.where(keep[:, None], self.to_vector(mean), nothing)
        if self.to_tokens is None:
            return vector, None, None
        return vector, self.to_tokens(tokens), mask & keep[:, None]

    def _frames(self, told: Told, keep: Tensor, frames: range) -> Tensor:
        nothing = self.no_action.expand(len(keep), len(frames), -1)
        if told.actions is None:
            return nothing
        # Action t lies between frames t and t + 1: it is told to the frame that it led to, and nothing led to the first.
        begins = frames.start == 0
        led = self.to_frames(told.actions[:, frames.start - 1 + begins : frames.stop - 1])
        led = F.pad(led, (0, 0, int(begins), 0))
        known = keep[:, None] & (torch.arange(frames.start, frames.stop, device=keep.device) > 0)
        return torch.where(known[..., None], led, nothing)

    def stand_in(self, batch: int, frames: int, device: torch.device) -> Told:
        """Something of the right shapes told of every clip, for what depends on shapes alone."""

        def numbers(*shape: int) -> Tensor:
            return torch.zeros(shape, dtype=torch.int64, device=device)

        texts = mask = actions = None
        if self.text is not None:
            length = self.text["length"]
            texts = numbers(batch, length)
            if self.text_encoder is None:
                texts, mask = torch.zeros(batch, length, self.text["features"], device=device), texts == 0
        if self.actions is not None:
            actions = torch.zeros(batch, frames, self.actions, device=device) if self.actions else numbers(batch, frames)
        return Told(numbers(batch) if self.classes else None, texts, mask, actions)

    def step(
        self,
        x: Float[Tensor, "batch frames channels height width"],
        t: Num[Tensor, " batch"] | Num[Tensor, "batch frames"],
        stream: Stream,
        condition: Told | None = None,  # type: ignore[override]
    ) -> tuple[Float[Tensor, "batch frames channels height width"], Stream]:
        """As every denoiser's; ``condition`` is told of the whole clips, of whose actions the frames ``x`` find their own."""
        stream.check(x)
        carry = Carry(stream)
        return self(x, t, condition, carry), carry.after(x.shape[1])

    def initial_stream(self, batch: int, height: int, width: int) -> Stream:
        return self.network.initial_stream(batch, height, width)


def _text_encoder(text: Mapping[str, Any] | None) -> ByteEncoder | None:
    if text is None or text["encoder"] == "pretrained":
        return None
    if text["encoder"] != "bytes":
        raise ValueError(f"a text encoder is 'bytes' or 'pretrained', got '{text['encoder']}'")
    return ByteEncoder(width=text["width"], depth=text["depth"], length=text["length"])
