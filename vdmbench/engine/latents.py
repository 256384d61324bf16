"""Latents of the training videos: an autoencoder trained or loaded once, its codes kept in a folder, and batches of them.

Everything lies under one folder, named by a hash of the data and of what was declared of the autoencoder, so that cells that
share both share the latents. Whoever comes first makes them, under a lock; the others wait.
"""

from __future__ import annotations

import hashlib
import json
import logging
import os
import shutil
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Float, Float16
from safetensors.torch import load_file
from torch import Tensor

from vdmbench.autoencoders import Autoencoder, ConvAutoencoder, DiffusersAutoencoder
from vdmbench.data.ahead import in_order
from vdmbench.data.loading import TrainingBatches, stack, to_model_range, to_uint8
from vdmbench.data.source import DataError, Source, refuse_changed
from vdmbench.data.windows import Window, Windows
from vdmbench.engine.events import NonFinite
from vdmbench.engine.finite import not_finite, require_finite
from vdmbench.engine.training import draw_seed
from vdmbench.file_lock import lock
from vdmbench.home import expanded
from vdmbench.metrics.durable import save_tensors
from vdmbench.networks.initial_draws import drawn_by_path
from vdmbench.records import Encoding, write_atomically
from vdmbench.suite import NUMBERS
from vdmbench.suite.autoencoder import AutoencoderBlock, ConvAutoencoderBlock, DiffusersAutoencoderBlock
from vdmbench.suite.diffusers_folder import read_autoencoder_folder
from vdmbench.whole_file import put_in_place

FORMAT = 2
"""Of the folder; another one is made anew."""
FRAMES = 16
"""Frames that are encoded or decoded together, at most."""
NORMALISED_ON = 512
"""Training frames that shift and scale are taken of."""
_BYTES = 2
_CONTENTS = "contents.json"
"""SHA-256 of each file of the folder; written last, so that without it nothing counts."""
_KEPT = ("encoding.json", "autoencoder.safetensors", "latents.npy")
_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class LatentSpace:
    """A trained autoencoder and the latents of all training videos."""

    folder: Path
    declared: AutoencoderBlock
    lengths: list[int]
    encoding: Encoding

    def autoencoder(self, device: torch.device) -> Autoencoder:
        """Its weights as they were kept, in evaluation mode."""
        built = built_autoencoder(self.declared).to(device)
        built.restore(load_file(self.folder / "autoencoder.safetensors", device=str(device)))
        return built.eval().requires_grad_(False)


def built_autoencoder(declared: AutoencoderBlock) -> Autoencoder:
    """Untrained, of the declared sizes; or pretrained, and not normalised yet.

    Raises ValueError where the folder of a pretrained one cannot be used or is no longer what was declared, and
    :class:`~vdmbench.autoencoders.MissingDiffusers`.
    """
    if isinstance(declared, DiffusersAutoencoderBlock):
        found = read_autoencoder_folder(expanded(declared.path))
        if found != (declared.factor, declared.channels, declared.sha256):
            raise DataError(
                f"{declared.path} has changed since it was declared: plan again, for another autoencoder is another cell"
            )
        return DiffusersAutoencoder(declared.path)
    return _untrained(declared)


def _untrained(declared: ConvAutoencoderBlock) -> ConvAutoencoder:
    return ConvAutoencoder(factor=declared.factor, channels=declared.channels, width=declared.width)


class LatentBatches:
    """Random windows of latents: of the same videos and frames that :class:`TrainingBatches` draws of pixels."""

    def __init__(self, space: LatentSpace, frames: int, batch_size: int, seed: int) -> None:
        self.windows, self.batch_size, self.seed = Windows(space.lengths, frames), batch_size, seed
        self._starts = np.concatenate([[0], np.cumsum(space.lengths)])
        self._latents = np.load(space.folder / "latents.npy", mmap_mode="r")

    def chosen(self, step: int) -> list[Window]:
        """Which frames of which videos the batch of ``step`` holds."""
        return [self.windows.training(self.seed, step, position) for position in range(self.batch_size)]

    def batch(self, step: int) -> Float16[Tensor, "batch frames channels rows columns"]:
        """The batch of ``step``, counted from 0; in pinned memory where there is a CUDA device to copy it to."""
        shape = (self.batch_size, self.windows.frames, *self._latents.shape[1:])
        batch = torch.empty(shape, dtype=torch.float16, pin_memory=torch.cuda.is_available())
        for clip, window in zip(batch, self.chosen(step), strict=True):
            first = int(self._starts[window.video]) + window.start
            clip.copy_(torch.from_numpy(np.array(self._latents[first : first + self.windows.frames])))
        return batch

    def prefetch(self, start: int, stop: int, *, ahead: int = 2, workers: int = 1) -> Iterator[Tensor]:
        """As :meth:`TrainingBatches.prefetch`."""
        return in_order(self.batch, range(start, stop), workers=workers, ahead=max(ahead, workers), name="vdmbench-prefetch")


Batches = TrainingBatches | LatentBatches


def latent_space(declared: AutoencoderBlock, source: Source, cache: Path, device: torch.device) -> LatentSpace:
    """The latents of ``source`` by the declared autoencoder: found in ``cache``, or made there.

    What was damaged meanwhile is made anew, and the log says so. What is not finite is not kept. Raises DataError where the
    disk has no room for them, a channel of them says nothing, or videos change meanwhile; and NonFinite where the autoencoder
    diverged, or a latent is beyond half precision.
    """
    what = declared.model_dump(exclude={"path"})  # a pretrained one is known by its hash, wherever it lies
    fingerprint = source.fingerprint()
    key = json.dumps([FORMAT, NUMBERS, fingerprint, what], sort_keys=True)
    folder = cache / hashlib.sha256(key.encode()).hexdigest()[:20]
    cache.mkdir(exist_ok=True)
    lengths = [source.length(video) for video in range(len(source))]
    with lock(folder / "lock"):
        damage = _damage(folder)
        if damage:
            _log.warning("%s; the latents are made anew", damage)
        if damage or not (folder / _CONTENTS).exists():
            _refuse_full_disk(folder, declared, lengths, source.size)
            encoding = _make(declared, source, folder, device)
            refuse_changed(source, fingerprint)  # or others would find latents of these under the name of those
            write_atomically(folder / "encoding.json", encoding.model_dump_json(indent=1).encode())
            hashes = {name: _sha256(folder / name) for name in _KEPT}
            write_atomically(folder / _CONTENTS, json.dumps(hashes, indent=1).encode())
        return LatentSpace(folder, declared, lengths, Encoding.model_validate_json((folder / "encoding.json").read_bytes()))


def _damage(folder: Path) -> str | None:
    """What is wrong with files that were made before; None where nothing is, or none were made to their end."""
    contents = folder / _CONTENTS
    if not contents.exists():
        return None
    try:
        hashes = json.loads(contents.read_bytes())
        wrong = [name for name in _KEPT if _sha256(folder / name) != hashes[name]]
    except (OSError, ValueError, KeyError, TypeError) as error:
        return f"{contents}: what it names cannot be read ({error})"
    return f"{folder / wrong[0]}: is not what was written: its checksum differs" if wrong else None


def _sha256(file: Path) -> str:
    with file.open("rb") as content:
        return hashlib.file_digest(content, "sha256").hexdigest()


def latent_bytes(declared: AutoencoderBlock, frames: int, size: int) -> int:
    """Of so many frames of latents, as they are kept (float16)."""
    return frames * declared.channels * (size // declared.factor) ** 2 * _BYTES


def _refuse_full_disk(folder: Path, declared: AutoencoderBlock, lengths: list[int], size: int) -> None:
    needed, free = latent_bytes(declared, sum(lengths), size), shutil.disk_usage(folder).free
    if needed > free:
        raise DataError(
            f"{folder}: latents of {sum(lengths):,} frames take {needed:,} bytes and the disk has {free:,} free: make room, "
            "choose another folder with --results, or a larger factor or fewer channels of the autoencoder"
        )


def _make(declared: AutoencoderBlock, source: Source, folder: Path, device: torch.device) -> Encoding:
    began = time.perf_counter()
    autoencoder: Autoencoder
    training: dict[str, Any] = {"train_steps": None, "train_seconds": None, "final_loss": None}
    if isinstance(declared, ConvAutoencoderBlock):
        autoencoder, loss = trained_autoencoder(declared, source, device)
        training = {"train_steps": declared.steps, "train_seconds": time.perf_counter() - began, "final_loss": loss}
        began = time.perf_counter()
    else:
        autoencoder = built_autoencoder(declared).to(device)
        _normalise(autoencoder, TrainingBatches(source, frames=1, batch_size=FRAMES, seed=0), 0, device)
    latents_file = folder / f"latents.{os.getpid()}.npy"
    side = source.size // declared.factor
    total = sum(source.length(video) for video in range(len(source)))
    shape = (total, declared.channels, side, side)
    with latents_file.open("wb") as file:
        np.lib.format.write_array_header_1_0(file, {"descr": "<f2", "fortran_order": False, "shape": shape})
        for video in range(len(source)):
            for start in range(0, source.length(video), FRAMES):
                frames = min(FRAMES, source.length(video) - start)
                latents = encoded(autoencoder, stack(source, [Window(video, start)], frames), device).half()
                file.write(require_finite(latents, f"latents of training video {video}").numpy().tobytes())
    save_tensors(autoencoder.cpu().kept(), folder / "autoencoder.safetensors")
    put_in_place(latents_file, folder / "latents.npy")
    return Encoding(
        autoencoder=(
            declared.sha256
            if isinstance(declared, DiffusersAutoencoderBlock)
            else hashlib.sha256((folder / "autoencoder.safetensors").read_bytes()).hexdigest()
        ),
        parameters=sum(parameter.numel() for parameter in autoencoder.parameters()),
        channels=declared.channels,
        factor=declared.factor,
        **training,
        encode_seconds=time.perf_counter() - began,
        latent_bytes=latent_bytes(declared, total, source.size),
    )


def trained_autoencoder(declared: ConvAutoencoderBlock, source: Source, device: torch.device) -> tuple[ConvAutoencoder, float]:
    """Trained on single frames of ``source`` by Adam; and the mean loss of the last tenth of its steps.

    Raises NonFinite where it diverged.
    """
    autoencoder = drawn_by_path(lambda: _untrained(declared), draw_seed("autoencoder", declared.seed)).to(device)
    optimiser = torch.optim.Adam(autoencoder.parameters(), lr=declared.learning_rate)
    batches = TrainingBatches(source, frames=1, batch_size=declared.batch_size, seed=declared.seed)
    losses: list[float] = []
    for step in range(declared.steps):
        images = to_model_range(batches.batch(step)[:, 0].to(device))
        generator = torch.Generator(device).manual_seed(draw_seed("autoencoder", declared.seed, step))
        side = source.size // declared.factor
        noise = torch.randn(len(images), declared.channels, side, side, generator=generator, device=device)
        optimiser.zero_grad(set_to_none=True)
        loss = autoencoder.loss(images, noise, declared.kl)
        loss.backward()
        optimiser.step()
        losses.append(float(loss.detach()))
    tail = losses[-max(1, len(losses) // 10) :]
    if not np.isfinite(tail).all() or not_finite(autoencoder.state_dict()):
        raise NonFinite("the autoencoder diverged: lower autoencoder.learning_rate")
    autoencoder.eval().requires_grad_(False)
    _normalise(autoencoder, batches, declared.steps, device)
    return autoencoder, sum(tail) / len(tail)


def _normalise(autoencoder: Autoencoder, batches: TrainingBatches, first: int, device: torch.device) -> None:
    """By frames of the batches from ``first`` on. Raises DataError where a channel says nothing."""
    count = -(-NORMALISED_ON // batches.batch_size)
    seen = torch.cat([batches.batch(first + number)[:, 0] for number in range(count)])[:NORMALISED_ON]
    try:
        autoencoder.normalise(to_model_range(seen.to(device)))
    except ValueError as error:
        raise DataError(f"autoencoder: {error}") from None


@torch.inference_mode()
def encoded(
    autoencoder: Autoencoder, clips: Tensor, device: torch.device
) -> Float[Tensor, "clips frames channels rows columns"]:
    """Latents of uint8 clips, a few frames at a time, on the CPU."""
    parts = [autoencoder.encode(to_model_range(part.to(device))).cpu() for part in _parts(clips)]
    return torch.cat(parts).unflatten(0, (len(clips), -1)).squeeze(2)


@torch.inference_mode()
def decoded(autoencoder: Autoencoder, latents: Tensor, device: torch.device) -> Tensor:
    """uint8 clips of latents, a few frames at a time, on the CPU."""
    parts = [to_uint8(require_finite(autoencoder.decode(part.to(device)), "decoded frames")).cpu() for part in _parts(latents)]
    return torch.cat(parts).unflatten(0, (len(latents), -1)).squeeze(2)


def _parts(clips: Tensor) -> Iterator[Tensor]:
    """(clips, frames, ...) as (some frames, 1, ...)."""
    return iter(clips.flatten(0, 1)[:, None].split(FRAMES))
