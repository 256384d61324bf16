"""Train the sprite reader on real sprites, and say how often it is right on held-out ones.

    python benchmarks/train_sprite_reader.py            # about 15 minutes of one core; writes the weights of the package
    python benchmarks/train_sprite_reader.py --test     # measures the weights that are there

Each clip has one sprite, at speeds around the source's own, drawn at 32 pixels or at 24, 48 or 64 and brought to 32. Weights
are kept in half precision.
"""

from __future__ import annotations

import argparse
import itertools
import math
import time
from collections.abc import Iterator

import numpy as np
import torch
import torch.nn.functional as F
from safetensors.torch import save_file
from torch import Tensor

from vdmbench.data.procedural.sprites import Sprites
from vdmbench.metrics.faithfulness.reader import ATTRIBUTES, FRAMES, SIZE, WEIGHTS, SpriteReader, load_reader, numbers_of

SPEEDS, SIZES = (0.03, 0.04, 0.06), (32, 32, 32, 24, 48, 64)
SEED = 20_261_121
"""Of the training sprites: suites, whose sprites have seeds of their own, never show them."""


def clips_of(source: Sprites, videos: range) -> tuple[Tensor, Tensor]:
    """uint8 clips (clips, 3 * frames, size, size) at the reader's size, and the numbers of their words."""
    frames = np.stack([source.clip(video, 0, FRAMES) for video in videos])
    clips = torch.from_numpy(frames).permute(0, 1, 4, 2, 3).flatten(1, 2)
    if source.size != SIZE:
        resized = F.interpolate(clips.float(), (SIZE, SIZE), mode="bilinear", antialias=True)
        clips = resized.round().clamp(0, 255).to(torch.uint8)
    return clips, numbers_of([source.describe(video, 0, FRAMES).caption for video in videos])


def source_of(split: str, size: int, speed: float, seed: int, videos: int) -> Sprites:
    counts = {"train_videos": videos, "test_videos": videos}
    return Sprites(split=split, frames=FRAMES, size=size, sprites=1, speed=speed, seed=seed, **counts)


def drawn(count: int) -> tuple[Tensor, Tensor]:
    kinds = list(itertools.product(SIZES, SPEEDS))
    share = math.ceil(count / len(kinds))
    parts = [
        clips_of(source_of("train", size, speed, SEED + number, share), range(share))
        for number, (size, speed) in enumerate(kinds)
    ]
    return torch.cat([clips for clips, _ in parts]), torch.cat([numbers for _, numbers in parts])


def batches(clips: Tensor, numbers: Tensor, steps: int, batch: int) -> Iterator[tuple[Tensor, Tensor]]:
    generator = torch.Generator().manual_seed(0)
    for _ in range(steps):
        chosen = torch.randint(len(clips), (batch,), generator=generator)
        x = clips[chosen].float().div(127.5).sub(1)
        # Generated clips are a little noisy, and a little too bright or dark.
        noise = torch.randn(x.shape, generator=generator) * (0.1 * torch.rand(batch, 1, 1, 1, generator=generator))
        yield x + noise + 0.1 * torch.randn(batch, 1, 1, 1, generator=generator), numbers[chosen]


def train(clips: Tensor, numbers: Tensor, steps: int, batch: int) -> SpriteReader:
    torch.manual_seed(0)
    reader = SpriteReader()
    optimiser = torch.optim.AdamW(reader.parameters(), lr=4e-3, weight_decay=0.02)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, 4e-3, total_steps=steps)
    started = time.monotonic()
    for step, (x, truth) in enumerate(batches(clips, numbers, steps, batch)):
        losses = [
            F.cross_entropy(logits, truth[:, place], label_smoothing=0.02)
            for place, logits in enumerate(reader.read(x).values())
        ]
        loss = torch.stack(losses).sum()
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        schedule.step()
        if step % 200 == 0:
            print(f"{time.monotonic() - started:6.0f} s  step {step}  loss {loss.item():.3f}", flush=True)
    return reader.eval()


def accuracy(reader: SpriteReader, size: int, speed: float, clips: int = 2048) -> dict[str, float]:
    source = source_of("test", size, speed, 0, clips)
    numbers = numbers_of([source.describe(video, 0, FRAMES).caption for video in range(clips)])
    right = []
    with torch.inference_mode():
        for first in range(0, clips, 256):
            frames = np.stack([source.clip(video, 0, FRAMES) for video in range(first, min(first + 256, clips))])
            logits = reader(torch.from_numpy(frames).permute(0, 1, 4, 2, 3))
            right.append(torch.stack([part.argmax(1) for part in logits.values()], 1) == numbers[first : first + 256])
    shares = torch.cat(right).double().mean(0).tolist()
    return dict(zip(ATTRIBUTES, shares, strict=True))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--test", action="store_true", help="measure the weights that are there")
    parser.add_argument("--clips", type=int, default=40_000)
    parser.add_argument("--steps", type=int, default=3_000)
    parser.add_argument("--batch", type=int, default=128)
    asked = parser.parse_args()
    if not asked.test:
        reader = train(*drawn(asked.clips), asked.steps, asked.batch)
        save_file({name: value.half().contiguous() for name, value in reader.state_dict().items()}, WEIGHTS)
        load_reader.cache_clear()
    reader = load_reader()
    print(f"{sum(each.numel() for each in reader.parameters()):,} parameters, {WEIGHTS.stat().st_size:,} bytes")
    for size, speed in ((32, 0.04), (16, 0.04), (64, 0.04), (32, 0.08)):
        shares = ", ".join(f"{name} {share:.3f}" for name, share in accuracy(reader, size, speed).items())
        print(f"held-out accuracy at {size} pixels, speed {speed}: {shares}")


if __name__ == "__main__":
    main()
