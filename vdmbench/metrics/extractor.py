"""Clips to features: what an extractor is, and one pass over clips that every metric shares."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Protocol as Interface
from typing import runtime_checkable

import torch
from jaxtyping import Float, Int, UInt8
from torch import Tensor

from vdmbench.metrics.protocol import Protocol
from vdmbench.metrics.video import InvalidVideo, check_uint8


@runtime_checkable
class Extractor(Interface):
    """A module from uint8 clips to one feature vector a clip, the same whatever batch a clip comes in."""

    name: str
    num_features: int
    minimum_frames: int
    scale_floor: float | None
    """Features of mixed units: they are divided by their deviation in the reference, at least this one; null: as they are."""

    @property
    def frames_at_once(self) -> int:
        """Frames in one forward whose activations fit in memory."""

    def __call__(self, videos: Tensor) -> Tensor:
        """Features of each clip."""


@dataclass(frozen=True)
class ClipFeatures:
    """Features of a set of clips, a row a window, and which video each row comes from."""

    features: Float[Tensor, "rows features"]
    videos: Int[Tensor, " rows"]
    frames: int
    """Frames that the extractor saw in a window."""
    size: tuple[int, int]
    """Rows and columns of the clips, before whatever the extractor does to them."""

    def __len__(self) -> int:
        return len(self.features)

    def take(self, rows: Int[Tensor, " taken"]) -> ClipFeatures:
        """The given rows."""
        return ClipFeatures(self.features[rows], self.videos[rows], self.frames, self.size)


def windows(
    clips: UInt8[Tensor, "batch frames channels height width"], protocol: Protocol
) -> UInt8[Tensor, "batch windows taken channels height width"]:
    """Cut clips as the protocol says; raises :class:`InvalidVideo` where they are too short, or longer than declared."""
    frames = clips.shape[1]
    misfit = protocol.misfit(frames)
    if misfit is not None:
        raise InvalidVideo(misfit)
    span = protocol.span or frames
    count = frames // (protocol.frames * protocol.stride) if protocol.window == "all" and protocol.frames else 1
    length = span if count < 2 else protocol.stride * (protocol.frames or frames)
    cut = [clips[:, i * length : i * length + span : protocol.stride] for i in range(max(count, 1))]
    return torch.stack(cut, dim=1)


def extract(
    extractor: Extractor,
    clips: Iterable[Tensor],
    protocol: Protocol,
) -> ClipFeatures:
    """Features of all ``clips``, batch by batch; only features are kept. Raises :class:`InvalidVideo` on what is not
    uint8 video of one length, or where there is none."""
    rows, owners, shape, seen = [], [], None, 0
    for batch in clips:
        check_uint8(batch)
        shape = shape or batch.shape[1:]
        if batch.shape[1:] != shape:
            raise InvalidVideo(f"clips differ in shape, {tuple(shape)} and {tuple(batch.shape[1:])}: cut and resize them alike")
        cut = windows(batch, protocol)
        rows.append(extract_batch(extractor, cut.flatten(0, 1)))
        owners.append(torch.arange(seen, seen + len(batch)).repeat_interleave(cut.shape[1]))
        seen += len(batch)
    if not rows:
        raise InvalidVideo("there are no clips to measure")
    return ClipFeatures(torch.cat(rows), torch.cat(owners), cut.shape[2], (cut.shape[-2], cut.shape[-1]))


@torch.no_grad()
def extract_batch(
    extractor: Extractor, videos: UInt8[Tensor, "batch frames channels height width"]
) -> Float[Tensor, "batch features"]:
    """Features of one batch, in pieces whose activations fit; on the extractor's device, returned on the CPU."""
    if videos.shape[1] < extractor.minimum_frames:
        raise InvalidVideo(f"'{extractor.name}' needs at least {extractor.minimum_frames} frames, got {videos.shape[1]}")
    device = _device(extractor)
    piece = max(1, extractor.frames_at_once // videos.shape[1])
    features = torch.cat([extractor(part.to(device)).cpu() for part in videos.split(piece)])
    if not torch.isfinite(features).all():
        raise InvalidVideo(f"'{extractor.name}' gave features that are not finite")
    return features


def in_batches(clips: Tensor | Iterable[Tensor], size: int = 32) -> Iterator[Tensor]:
    """Batches of a tensor of clips; an iterable of batches is passed on."""
    if isinstance(clips, Tensor):
        yield from clips.split(size)
    else:
        yield from clips


def _device(extractor: Extractor) -> torch.device:
    if isinstance(extractor, torch.nn.Module):
        for tensor in (*extractor.parameters(), *extractor.buffers()):
            return tensor.device
    return torch.device("cpu")
