"""What two ranks compute, and one process beside them: ``torchrun --nproc-per-node 2 two_ranks.py ANSWER.json``."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import cast

import torch

from vdmbench import engine
from vdmbench.data.loading import TrainingBatches
from vdmbench.diffusion import Diffusion
from vdmbench.engine.held_out_loss import HeldOutExamples
from vdmbench.networks import build
from vdmbench.records import PhaseReading
from vdmbench.suite.blocks import Train, ValLoss

STEPS, BATCH, FRAMES, SIZE = 20, 4, 4, 8
CPU = torch.device("cpu")
NETWORK = {"name": "unet3d", "base_channels": 8, "multipliers": [1]}
CASES = {
    "ddp": ("mamba", {"accumulate": 2, "clip_norm": 0.3}),
    "fsdp2": ("attention", {"sharding": "fsdp2", "accumulate": 2, "clip_norm": 0.3, "optimiser": "adamw"}),
}


class Videos:
    """Noise, a video a seed."""

    size = SIZE

    def __len__(self) -> int:
        return 6

    def length(self, video: int) -> int:
        return 2 * FRAMES

    def clip(self, video: int, start: int, frames: int):
        noise = torch.randint(0, 256, (2 * FRAMES, SIZE, SIZE, 3), generator=torch.Generator().manual_seed(video))
        return noise[start : start + frames].byte().numpy()


def trainer(mixer: str, train: Train, ranks: engine.Ranks) -> engine.Trainer:
    torch.manual_seed(0)
    return engine.Trainer(build(NETWORK, {"name": mixer}), Diffusion(steps=8), train, 0, CPU, ranks)


def losses(one: engine.Trainer, train: Train, ranks: engine.Ranks, steps: int = STEPS) -> list[float]:
    batches = TrainingBatches(Videos(), FRAMES, BATCH // ranks.count, 0, rank=ranks.index)
    parts = train.accumulate
    for step in range(one.done, steps):
        one.step([batches.batch(step * parts + part) for part in range(parts)])
    return one.losses


def largest_difference(one: engine.TrainingState, other: engine.TrainingState) -> float:
    pairs = [(one.tensors["network"], other.tensors["network"])]
    if one.tensors["average"] is not None:
        pairs.append((one.tensors["average"], other.tensors["average"]))
    return max(float((a[name] - b[name]).abs().max()) for a, b in pairs for name in a)


def held_out_loss(network: torch.nn.Module, ranks: engine.Ranks) -> float:
    """Of 5 clips at 3 levels: 15 examples, of which the last batch leaves one rank none."""
    evaluate = SimpleNamespace(val_loss=ValLoss(clips=5, levels=3), held_out_clips=5)
    train = Train(steps=1, batch_size=BATCH, devices=ranks.count)
    inputs = SimpleNamespace(evaluate=evaluate, train=train, data=SimpleNamespace(frames=FRAMES))
    cell = SimpleNamespace(inputs=inputs, test_source=Videos(), diffusion=Diffusion(steps=8), device=CPU, latents=None)
    return HeldOutExamples(cast(engine.Experiment, cell), ranks, None).loss(network)


def main(answer: Path) -> None:
    joined = engine.Ranks.join(CPU, "none")
    found = {}
    for name, (mixer, settings) in CASES.items():
        declared = {"steps": STEPS, "batch_size": BATCH, "ema": 0.9, "learning_rate": 1e-3, **settings}
        train = Train(**declared, devices=2)
        ranks = engine.Ranks(joined.index, joined.count, sharding=train.sharding)
        together = trainer(mixer, train, ranks)
        half = losses(together, train, ranks, STEPS // 2) and together.state()
        at_once = losses(together, train, ranks)
        end = together.state()
        held_out = held_out_loss(together.sampled_network, ranks)
        # Every rank reads the checkpoint that the leading one wrote.
        box = [half]
        torch.distributed.broadcast_object_list(box, src=0)
        again = trainer(mixer, train, ranks)
        again.restore(box[0])
        resumed = losses(again, train, ranks)
        again_end = again.state()
        if ranks.leads:
            alone_train = Train(**{**declared, "sharding": "none"})
            alone = trainer(mixer, alone_train, engine.Ranks())
            curve = losses(alone, alone_train, engine.Ranks())
            found[name] = {
                "alone": curve,
                "together": at_once,
                "resumed": resumed,
                "held out": [held_out_loss(alone.sampled_network, engine.Ranks()), held_out],
                "weights": largest_difference(alone.state(), end),
                "weights after resuming": largest_difference(end, again_end),
            }
        else:
            assert half is None, "only the leading rank holds a state"
    reading = joined.together(PhaseReading(seconds=1.0, rss_peak_bytes=100 + joined.index, ooms=joined.index))
    found["reading"] = reading.model_dump()
    found["any"] = [joined.any(joined.index == 1), joined.any(False)]
    if joined.leads:
        answer.write_text(json.dumps(found))
    joined.leave()


if __name__ == "__main__":
    main(Path(sys.argv[1]))
