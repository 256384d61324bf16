"""Rollout: clips of any length, made chunk by chunk, each from noise given what the network remembers of those before.

Diffusion forcing (Chen et al. 2024, arXiv 2407.01392, Algorithm 2) with each chunk denoised to the end before the next begins:
the network was trained with a noise level a frame, so it knows new frames in noise beside clean ones. What stays in memory is
one chunk and the network's stream; a clip leaves as it is made.

A network with guidance is told of each clip and, in the second half of one batch, told nothing of it: what it remembers of the
clip differs too, so its stream is of both.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import torch
from jaxtyping import Float, UInt8
from torch import Tensor

from vdmbench.data.loading import to_model_range, to_uint8
from vdmbench.diffusion import ClipNoise, KnownFrames, Process
from vdmbench.diffusion.guidance import guided_in_one_batch
from vdmbench.engine.clips_file import ClipsFile
from vdmbench.engine.finite import require_finite
from vdmbench.engine.rollout_meter import RolloutMeter
from vdmbench.engine.sampling import sampler_of
from vdmbench.engine.training import autocast
from vdmbench.measure import StepTimer
from vdmbench.networks.conditional import Told
from vdmbench.networks.denoiser import Denoiser
from vdmbench.networks.streaming import Stream
from vdmbench.records import Rollout
from vdmbench.suite.blocks import Sample


@dataclass(frozen=True, eq=False)
class Chunk:
    """The next frames of a batch of clips, on the CPU.

    Attributes:
        first: number of its first frame.
        seconds: that it took, denoising and the pass that lets it into the stream.
        stream: behind it.
    """

    first: int
    frames: UInt8[Tensor, "clips frames channels height width"]
    seconds: float
    stream: Stream

    @property
    def end(self) -> int:
        """Frames made so far."""
        return self.first + self.frames.shape[1]


def rollout(
    network: Denoiser,
    process: Process,
    sample: Sample,
    shape: tuple[int, int, int, int],
    seed: int,
    device: torch.device,
    *,
    clips: range,
    beginning: Float[Tensor, "clips known channels height width"] | None = None,
    told: Told | None = None,
    stream: Stream | None = None,
) -> Iterator[Chunk]:
    """Make ``clips`` (their indices) of ``shape`` (frames, channels, height, width) by ``sample.rollout``, a chunk at a time.

    Clip i has the same noise in every variant and at every batch size. What is let into the stream is what leaves, in 256
    steps a channel, told the process's clean level; the frames of ``beginning`` are let in first, and come out first. A network
    with a condition is ``told`` of the whole clips, on ``device``.
    With a ``stream``, that of an earlier chunk, the clips go on from there, by noise from the first of their draws.

    Raises ValueError where the network needs whole clips, or the last chunk does not divide into its patches.
    """
    assert sample.rollout is not None, "a sample block without rollout makes whole clips"
    network.eval()
    size, (frames, *image) = sample.rollout.chunk, shape
    noise = ClipNoise(seed, clips, (size, *image), device=device)
    sampler, timer = sampler_of(sample), StepTimer(device=str(device))
    remembering = _Remembering(network, told, sample.guidance)
    if stream is None:
        stream = network.initial_stream(remembering.copies * len(clips), *shape[2:])
    given = 0 if beginning is None else beginning.shape[1]
    done = stream.frames
    while done < frames:
        length = min(size, (given if done < given else frames) - done)
        with timer.step(), torch.inference_mode(), autocast(sample.precision, device):
            if beginning is not None and done < given:
                made = to_uint8(beginning[:, done : done + length])
            else:
                sampled = sampler(process, remembering.given(stream), lambda count=length: noise()[:, :count])
                made = to_uint8(require_finite(sampled, "sampled frames"))
            stream = remembering.let_in(process, to_model_range(made), stream)
            leaving = made.cpu()
        yield Chunk(done, leaving, timer.seconds[-1], stream)
        done += length


class _Remembering:
    """A network with what it is told of a batch of clips: how it is asked for their next frames, and shown them."""

    def __init__(self, network: Denoiser, told: Told | None, guidance: float) -> None:
        self.network, self.told, self.guidance = network, told, guidance
        self.both = None if told is None or guidance == 1 else told.beside_nothing()

    @property
    def copies(self) -> int:
        """Clips in the stream for each that is made."""
        return 1 if self.both is None else 2

    def given(self, stream: Stream) -> Callable[[Tensor, Tensor], Tensor]:
        """The denoiser of the next frames; the stream stays before them."""

        def step(x: Tensor, t: Tensor) -> Tensor:
            prediction: Tensor = self._step(x, t, stream)[0]
            return prediction

        return guided_in_one_batch(step, step, self.guidance)

    def let_in(self, process: Process, clean: Tensor, stream: Stream) -> Stream:
        """The stream behind clean frames: one pass, told that they are clean."""
        behind: list[Stream] = []

        def remember(x: Tensor, t: Tensor) -> Tensor:
            prediction, after = self._step(x, t, stream)
            behind.append(after)
            return prediction

        process.denoise(remember, torch.cat([clean] * self.copies), process.clean)
        return behind[-1]

    def _step(self, x: Tensor, t: Tensor, stream: Stream) -> tuple[Tensor, Stream]:
        condition = self.both or self.told
        # Only a Conditional is told anything, and it takes what is told as it is.
        return self.network.step(x, t, stream, condition)  # type: ignore[arg-type]


def roll_out(
    network: Denoiser,
    process: Process,
    sample: Sample,
    shape: tuple[int, int, int, int],
    seed: int,
    device: torch.device,
    progress: Callable[[int, int], None],
    *,
    known: Callable[[range], KnownFrames] | None = None,
    told: Callable[[range], Told] | None = None,
    path: Path | None = None,
) -> tuple[UInt8[Tensor, "clips frames channels height width"], Rollout]:
    """All of ``sample.clips``, and what making them took; ``progress`` hears of frames made and in all.

    Frames are written to ``path`` as they are made, as ``.npy`` (clips, frames, height, width, channels), and what is returned
    reads them from there; without a path they are kept in memory. ``known`` tells the first frames of a batch's clips, ``told``
    what a network with a condition is told of them.
    """
    frames = shape[0]
    batches = [
        range(start, min(start + sample.batch_size, sample.clips)) for start in range(0, sample.clips, sample.batch_size)
    ]
    meter = RolloutMeter(frames, device)
    with ClipsFile(path, (sample.clips, frames, *shape[2:], shape[1])) as file:
        for number, clips in enumerate(batches):
            beginning = None
            if known is not None:
                first = known(clips)
                beginning = first.clips[:, : int(first.mask[0].sum())]
            of_clips = None if told is None else told(clips).to(device)
            chunks = rollout(network, process, sample, shape, seed, device, clips=clips, beginning=beginning, told=of_clips)
            for chunk in chunks:
                file.write(clips, chunk.first, chunk.frames)
                if beginning is None or chunk.first >= beginning.shape[1]:
                    meter.made(number, chunk.end, chunk.frames.shape[1], chunk.seconds, chunk.stream)
                progress(number * frames + chunk.end, len(batches) * frames)
    assert sample.rollout is not None
    return file.clips(), meter.record(chunk=sample.rollout.chunk, clips=len(batches[0]))
