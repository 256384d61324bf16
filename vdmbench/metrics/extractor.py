"""Clips to features: what an extractor is, and one pass over clips that every metric shares."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
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


COLUMNS = ("features", "videos", "clips", "starts")


@dataclass(frozen=True)
class Origins:
    """Where clips were cut: each one's video, and its first frame there. Clips of one video depend on each other."""

    videos: Int[Tensor, " clips"]
    starts: Int[Tensor, " clips"]

    @classmethod
    def apart(cls, clips: int) -> Origins:
        """Each clip is a video of its own."""
        return cls(torch.arange(clips), torch.zeros(clips, dtype=torch.long))

    def distinct(self, frames: int) -> int:
        """How many clips of so many frames share none with one another, at most."""
        last, end, count = -1, 0, 0
        for video, start in sorted(zip(self.videos.tolist(), self.starts.tolist(), strict=True)):
            if video != last or start >= end:
                last, end, count = video, start + frames, count + 1
        return count


@dataclass(frozen=True)
class ClipFeatures:
    """Features of a set of clips, a row a window, and which video each row comes from."""

    features: Float[Tensor, "rows features"]
    videos: Int[Tensor, " rows"]
    frames: int
    """Frames that the extractor saw in a window."""
    size: tuple[int, int]
    """Rows and columns of the clips, before whatever the extractor does to them."""
    clips: Int[Tensor, " rows"] | None = None
    """Which clip each row was cut from; null where every clip is a video of its own."""
    starts: Int[Tensor, " rows"] | None = None
    """The row's first frame within its video; null where no two rows share a frame."""

    def __len__(self) -> int:
        return len(self.features)

    def take(self, rows: Int[Tensor, " taken"]) -> ClipFeatures:
        """The given rows."""
        clips, starts = (None if each is None else each[rows] for each in (self.clips, self.starts))
        return ClipFeatures(self.features[rows], self.videos[rows], self.frames, self.size, clips, starts)

    def distinct_windows(self, stride: int = 1) -> int:
        """How many of the rows share no frame with one another, at most; frames are taken ``stride`` apart."""
        if self.starts is None:
            return len(self)
        return Origins(self.videos, self.starts).distinct((self.frames - 1) * stride + 1)

    def columns(self) -> dict[str, Tensor]:
        """What has a row a window, by name, as it is written to disk."""
        return {name: column for name in COLUMNS if (column := getattr(self, name)) is not None}

    @classmethod
    def of_columns(cls, columns: Mapping[str, Tensor], frames: int, size: tuple[int, int]) -> ClipFeatures:
        """Back from :meth:`columns`."""
        return cls(
            columns["features"], columns["videos"], frames, size, clips=columns.get("clips"), starts=columns.get("starts")
        )

    @staticmethod
    def joined(parts: Sequence[ClipFeatures]) -> ClipFeatures:
        """The rows of all parts, which were cut alike."""
        columns = [part.columns() for part in parts]
        together = {name: torch.cat([each[name] for each in columns]) for name in columns[0]}
        return ClipFeatures.of_columns(together, parts[0].frames, parts[0].size)


def cut_features(
    extractor: Extractor,
    clips: UInt8[Tensor, "batch frames channels height width"],
    protocol: Protocol,
    origins: Origins,
    first: int,
    damage: Callable[[Tensor], Tensor] | None = None,
) -> ClipFeatures:
    """Features of the windows of clips number ``first`` onwards, each of which may be damaged before it is looked at."""
    cut = windows(clips, protocol)
    count = cut.shape[1]
    step = protocol.stride * cut.shape[2]
    numbers = torch.arange(first, first + len(clips))
    starts = origins.starts[numbers][:, None] + step * torch.arange(count)
    flat = cut.flatten(0, 1)
    rows = extract_batch(extractor, flat if damage is None else damage(flat))
    return ClipFeatures(
        rows,
        origins.videos[numbers].repeat_interleave(count),
        cut.shape[2],
        (cut.shape[-2], cut.shape[-1]),
        numbers.repeat_interleave(count),
        starts.flatten(),
    )


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


def extract(extractor: Extractor, clips: Iterable[Tensor], protocol: Protocol, origins: Origins | None = None) -> ClipFeatures:
    """Features of all ``clips``, batch by batch; only features are kept. Without ``origins`` each clip is a video of its own.

    Raises :class:`InvalidVideo` on what is not uint8 video of one length, where there is none, or of more than ``origins``.
    """
    parts: list[ClipFeatures] = []
    shape, seen = None, 0
    for batch in clips:
        check_uint8(batch)
        shape = shape or batch.shape[1:]
        if batch.shape[1:] != shape:
            raise InvalidVideo(f"clips differ in shape, {tuple(shape)} and {tuple(batch.shape[1:])}: cut and resize them alike")
        of_clips = origins or Origins.apart(seen + len(batch))
        if seen + len(batch) > len(of_clips.videos):
            raise InvalidVideo(f"there are more clips than the {len(of_clips.videos)} whose origin is given: give each clip's")
        parts.append(cut_features(extractor, batch, protocol, of_clips, seen))
        seen += len(batch)
    if not parts:
        raise InvalidVideo("there are no clips to measure")
    return ClipFeatures.joined(parts)


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
