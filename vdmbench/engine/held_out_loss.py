"""The training loss on held-out clips: a fixed set of examples, the same for every variant, seed and point of training.

An example is a clip of the test split at a noise level with its noise. None of these depends on a cell's seed or network, so
two networks differ in this loss by what they learned, and by nothing that was drawn. Training's own loss is of other clips,
levels and noise at every step, and of weights that are not sampled.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from jaxtyping import Float, Num
from torch import Tensor, nn

from vdmbench.data.loading import stack, to_model_range
from vdmbench.data.source import DataError, Source
from vdmbench.data.windows import Window, Windows
from vdmbench.diffusion import Denoiser, Process
from vdmbench.engine.conditioning import Teller
from vdmbench.engine.distributed import Ranks
from vdmbench.engine.experiment import Experiment
from vdmbench.engine.latents import encoded
from vdmbench.engine.training import autocast, draw_seed
from vdmbench.suite import CellInputs


class Example(NamedTuple):
    """A held-out clip, by its number, and a noise level, by its number among those of the clip."""

    clip: int
    level: int


def held_out_windows(inputs: CellInputs, source: Source) -> list[Window]:
    """The clips of ``source``, a test split, that the held-out loss of a cell is taken of; of videos that are long enough.

    Raises:
        DataError: they hold none, or fewer than are declared.
    """
    declared, frames = inputs.evaluate.val_loss, inputs.data.frames
    assert declared is not None, "asked of cells that declare it"
    videos = [video for video in range(len(source)) if source.length(video) >= frames]
    if not videos:
        raise DataError(
            f"the held-out loss needs clips of {frames} frames (data.frames), and no video of the {source.split} split is as "
            "long: add longer test videos, or set evaluate.val_loss to null"
        )
    every = Windows([source.length(video) for video in videos], frames)
    if declared.clips is not None and declared.clips > len(every):
        raise DataError(
            f"the held-out loss is declared on {declared.clips} clips (evaluate.val_loss.clips), and the {source.split} split "
            f"holds {len(every)} of {frames} frames: lower it, or add test videos"
        )
    count = min(inputs.evaluate.held_out_clips, len(every))
    return [Window(videos[window.video], window.start) for window in every.reference(count)]


def points_of(steps: int, points: int) -> list[int]:
    """The steps after which it is taken: ``points`` of them evenly over training, and fewer where training has fewer steps."""
    return sorted({-(-number * steps // points) for number in range(1, points + 1)})


class HeldOutExamples:
    """The examples of one cell, and the loss of a network on them.

    Args:
        ranks: processes that train together; each takes its part of the examples.
        teller: what the network is told of each clip, always told here; None where it has no condition.

    Raises:
        DataError: the test split holds too few clips of that length.
    """

    def __init__(self, cell: Experiment, ranks: Ranks, teller: Teller | None) -> None:
        declared = cell.inputs.evaluate.val_loss
        assert declared is not None, "asked of cells that declare it"
        self.cell, self.ranks, self.teller = cell, ranks, teller
        self.windows = held_out_windows(cell.inputs, cell.test_source)
        self.clips, self.levels = len(self.windows), declared.levels
        self.at = levels_of(cell.diffusion, self.clips, self.levels, cell.inputs.data.frames)
        self._batch = cell.inputs.train.batch_size // ranks.count
        self._latents: Tensor | None = None

    def loss(self, network: nn.Module) -> float:
        """Mean over all examples, in evaluation mode and without gradients; the same on every rank.

        ``network`` is left in evaluation mode. A sharded network is asked on every rank equally often.
        """
        network.eval()
        own = self.ranks.count * self._batch
        examples = [Example(clip, level) for level in range(self.levels) for clip in range(self.clips)]
        found: list[Tensor] = []
        for first in range(0, len(examples), own):
            mine = examples[first : first + own][self.ranks.index * self._batch :][: self._batch]
            # A rank for which nothing is left asks its network all the same, for the others may wait for its shards.
            losses = self._losses(network, mine or examples[:1])
            found.append(losses[: len(mine)].double().cpu())
        return float(self.ranks.mean(torch.cat(found).sum())) * self.ranks.count / len(examples)

    @torch.no_grad()
    def _losses(self, network: nn.Module, examples: list[Example]) -> Float[Tensor, " batch"]:
        device = self.cell.device
        x0 = self._clips([example.clip for example in examples]).to(device)
        x0 = to_model_range(x0) if x0.dtype is torch.uint8 else x0.float()
        t = torch.stack([self.at[example.clip, example.level] for example in examples]).to(device)
        noise = torch.stack([_noise(example, x0.shape[1:]) for example in examples]).to(device)
        with autocast(self.cell.inputs.train.precision, device):
            losses: Tensor = self.cell.diffusion.loss(self._denoiser(network, examples), x0, t, noise)
        return losses.flatten(start_dim=1).mean(dim=1) if losses.ndim > 1 else losses

    def _clips(self, numbers: list[int]) -> Tensor:
        """uint8 pixels; or latents, which are made once, in half precision as those of training."""
        frames, source = self.cell.inputs.data.frames, self.cell.test_source
        if self.cell.latents is None:
            return stack(source, [self.windows[number] for number in numbers], frames)
        if self._latents is None:
            device = self.cell.device
            autoencoder = self.cell.latents.autoencoder(device)
            parts = [encoded(autoencoder, stack(source, [window], frames), device).half() for window in self.windows]
            self._latents = torch.cat(parts)
        return self._latents[numbers]

    def _denoiser(self, network: nn.Module, examples: list[Example]) -> Denoiser:
        if self.teller is None:
            return network
        windows = [self.windows[example.clip] for example in examples]
        told = self.teller.told(self.cell.test_source, windows, self.cell.inputs.data.frames).to(self.cell.device)
        return lambda x, t: network(x, t, told)


def levels_of(process: Process, clips: int, levels: int, frames: int) -> Num[Tensor, "clips levels *frames"]:
    """The noise levels of each clip, on the CPU; each frame has its own where those of training are drawn so.

    The distribution that training draws from is cut into ``clips * levels`` parts of equal probability, and the middle of each
    is taken once: the mean over them is the expected loss as training weights it, without the scatter of a draw. A clip has one
    level in each of ``levels`` equal parts; which one is a fixed permutation.
    """
    columns = frames if process.per_frame else 1
    generator = torch.Generator().manual_seed(draw_seed("held-out levels"))
    parts = torch.stack(
        [
            torch.stack([torch.randperm(clips, generator=generator) + level * clips for _ in range(columns)], dim=-1)
            for level in range(levels)
        ],
        dim=1,
    )
    share = (parts.double() + 0.5) / (clips * levels)
    at = process.level_at(share)
    at = at.float() if at.is_floating_point() else at
    return at if process.per_frame else at.squeeze(-1)


def _noise(example: Example, shape: torch.Size) -> Float[Tensor, "frames channels height width"]:
    """Drawn on the CPU, so that it is the same on every device."""
    generator = torch.Generator().manual_seed(draw_seed("held-out noise", example.clip, example.level))
    return torch.randn(shape, generator=generator)
