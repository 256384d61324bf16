"""The sampling phase of a cell: clips from noise, or rolled out, and the pixels of those that were made as latents."""

from __future__ import annotations

import time
from dataclasses import replace
from pathlib import Path

import torch
from jaxtyping import UInt8
from torch import Tensor, nn

from vdmbench.data.told import ClipFacts
from vdmbench.engine.acceleration import compiled, prepared_for_sampling
from vdmbench.engine.conditioning import Teller, of_each_batch
from vdmbench.engine.events import Emit, Encoded, Progress, RolledOut, Sampled
from vdmbench.engine.experiment import Experiment
from vdmbench.engine.latents import LatentSpace, decoded
from vdmbench.engine.prediction import Continued
from vdmbench.engine.real_clips import RealClips
from vdmbench.engine.reconstruction import reconstruction
from vdmbench.engine.rollout import roll_out
from vdmbench.engine.sampling import PerBatch, sample_clips
from vdmbench.engine.training import autocast
from vdmbench.measure import StepTimer
from vdmbench.networks.conditional import Told
from vdmbench.networks.denoiser import Denoiser
from vdmbench.records import Sampling

SHOWN_REAL = 8


class SamplePhase:
    """The declared number of clips from a trained network.

    Args:
        real_clips: held-out clips; a generated one is told what the held-out one of the same number shows.
        teller: None where the network has no condition.
        continued: the beginnings that clips go on from; None where they start from nothing.
        rollout_file: where the frames of a rollout are written as they are made; None keeps them in memory.
    """

    def __init__(
        self,
        cell: Experiment,
        emit: Emit,
        real_clips: RealClips,
        teller: Teller | None,
        continued: Continued | None,
        rollout_file: Path | None,
    ) -> None:
        self.cell, self.emit, self.real_clips, self.teller = cell, emit, real_clips, teller
        self.continued, self.rollout_file = continued, rollout_file
        self.settings = cell.inputs.sample

    def sample(self, network: nn.Module) -> Sampled:
        """Clips as uint8 on the CPU; or their latents, which are left to :meth:`decode` to tell."""
        inputs, continued = self.cell.inputs, self.continued
        frames, size = inputs.sampled_frames, inputs.denoised_size
        shape = (frames, inputs.denoised_channels, size, size)
        network = prepared_for_sampling(network, inputs.train, self.settings)
        compile_seconds, rolled = None, None
        if self.settings.compile:
            network, compile_seconds = self._compiled(network, shape)
        asked = (
            self.cell.diffusion,
            self.settings,
            shape,
            inputs.seed,
            self.cell.device,
            lambda done, total: self.emit(Progress("sample", done, total)),
        )
        known = continued.beginnings if continued else None
        timer = StepTimer(device=str(self.cell.device))
        with timer.step():
            if self.settings.rollout is None:
                clips = sample_clips(
                    network, *asked, known=known, denoiser=self._denoiser(network), latents=self.cell.latents is not None
                )
            else:
                assert isinstance(network, Denoiser), "a sharded network rolls nothing out"
                told = None if self.teller is None else self._told
                clips, rolled = roll_out(network, *asked, known=known, told=told, path=self.rollout_file)
        if rolled is not None:
            self.emit(RolledOut(rolled))
        sampled = Sampled(
            Sampling(
                clips=len(clips),
                seconds_per_clip=timer.total / len(clips),
                frames_per_second=len(clips) * (frames - (self.settings.known_frames or 0)) / timer.total,
                sampler=self.settings.sampler,
                steps=len(self.cell.diffusion.visited(self.settings.steps)),
                compile_seconds=compile_seconds,
            ),
            clips,
            self._shown(),
            stored=rolled is not None and self.rollout_file is not None,
            facts=self._facts(),
        )
        if self.cell.latents is None:
            self.emit(sampled)
        return sampled

    def _shown(self) -> UInt8[Tensor, "real frames channels height width"]:
        """Real clips to look at beside generated ones: beside continuations, what they should have become."""
        beside = self.real_clips.held_out if self.continued else self.real_clips.real
        return next(self.real_clips.batches(beside))[:SHOWN_REAL]

    def _facts(self) -> ClipFacts | None:
        real = self.real_clips
        return None if self.teller is None else self.teller.facts(real.source, real.held_out, real.frames)

    def _denoiser(self, network: nn.Module) -> PerBatch | None:
        """The network told of each clip; None without a condition."""
        return None if self.teller is None else of_each_batch(network, self._told, self.settings.guidance, self.cell.device)

    def _told(self, clips: range) -> Told:
        """Of each clip what the held-out test clip of the same number shows."""
        assert self.teller is not None, "asked of cells with a condition"
        real = self.real_clips
        return self.teller.told(real.source, real.held_out[clips.start : clips.stop], real.frames)

    def _compiled(self, network: nn.Module, shape: tuple[int, ...]) -> tuple[nn.Module, float]:
        """``network`` compiled, and run for each size of batch that is to come; the seconds that took."""
        began = time.perf_counter()
        called, diffusion = compiled(network.eval()), self.cell.diffusion
        denoiser = self._denoiser(called)
        clips, most = self.settings.clips, self.settings.batch_size
        for count in dict.fromkeys([min(most, clips), clips % most or most]):
            noise = torch.zeros(count, *shape, device=self.cell.device)
            with torch.inference_mode(), autocast(self.settings.precision, self.cell.device):
                one = called if denoiser is None else denoiser(range(count))
                diffusion.denoise(one, noise, diffusion.visited(self.settings.steps)[0])
        return called, time.perf_counter() - began

    def decode(self, sampled: Sampled, space: LatentSpace, reference_cache: Path | None) -> Sampled:
        """The clips of sampled latents, told; and what the autoencoder makes of held-out real ones, told beside them."""
        device, began = self.cell.device, time.perf_counter()
        autoencoder = space.autoencoder(device)
        clips = decoded(autoencoder, sampled.clips, device)
        seconds = time.perf_counter() - began
        self.emit(sampled := replace(sampled, clips=clips))
        reconstructed = reconstruction(autoencoder, self.cell.inputs, self.real_clips, device, reference_cache)
        self.emit(Encoded(space.encoding.model_copy(update={"decode_seconds": seconds, **reconstructed})))
        return sampled
