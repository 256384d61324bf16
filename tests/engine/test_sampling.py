"""Every process trains and samples a cell, and the sampling interface takes conditions and known frames."""

from __future__ import annotations

import pytest
import torch

from tests.engine.test_run import run
from vdmbench.diffusion import KnownFrames
from vdmbench.engine import Sampled, Trainer
from vdmbench.engine.process import make_process
from vdmbench.engine.sampling import sample_clips
from vdmbench.suite.blocks import Sample, Train
from vdmbench.suite.diffusion import PROCESSES

SHAPE = (4, 3, 8, 8)
CPU = torch.device("cpu")


class Denoiser(torch.nn.Module):
    """Takes a time for each clip or frame."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = torch.nn.Parameter(torch.tensor(0.5))

    def forward(self, x, t):
        return self.weight * x + 0.1 * torch.sin(t).view(t.shape + (1,) * (x.ndim - t.ndim))


def sampled(process, sampler: str, network: torch.nn.Module | None = None, batch_size: int = 2, **extra) -> torch.Tensor:
    sample = Sample(sampler=sampler, steps=None if sampler == "ddpm" else 4, clips=3, batch_size=batch_size)
    return sample_clips(network or Denoiser(), process, sample, SHAPE, 0, CPU, lambda done, total: None, **extra)


@pytest.mark.parametrize("levels", ["clip", "frame"])
@pytest.mark.parametrize(
    ("name", "sampler"),
    [("discrete", "ddpm"), ("discrete", "dpmpp-2m"), ("flow", "euler"), ("flow", "heun"), ("edm", "heun"), ("edm", "dpmpp-2m")],
)
def test_a_declared_process_trains_and_samples(name: str, sampler: str, levels: str):
    process = make_process(PROCESSES[name](process=name, levels=levels), CPU)
    network = Denoiser()
    trainer = Trainer(network, process, Train(steps=4, batch_size=2, learning_rate=0.05), 0, CPU)
    clips = torch.randint(0, 256, (2, *SHAPE), dtype=torch.uint8)
    losses = [trainer.step([clips]) for _ in range(4)]
    assert all(loss > 0 for loss in losses)
    assert network.weight.item() != 0.5
    samples = sampled(process, sampler, network)
    assert samples.shape == (3, *SHAPE)
    assert samples.float().std() > 0
    assert torch.equal(samples, sampled(process, sampler, network, batch_size=3))


def test_progress_counts_the_levels_of_all_batches():
    seen: list[tuple[int, int]] = []
    process = make_process(PROCESSES["flow"](process="flow"), CPU)
    sample = Sample(sampler="heun", steps=3, clips=3, batch_size=2)
    sample_clips(Denoiser(), process, sample, SHAPE, 0, CPU, lambda *done: seen.append(done))
    assert seen == [(done, 6) for done in range(1, 7)]


def test_a_denoiser_and_known_frames_are_asked_for_by_the_indices_of_clips():
    process = make_process(PROCESSES["flow"](process="flow", levels="frame"), CPU)
    network, given = Denoiser(), torch.linspace(-1, 1, 3).view(3, 1, 1, 1, 1).expand(3, *SHAPE)

    def denoiser(batch: range):
        shift = torch.tensor([float(index) for index in batch]).view(-1, 1, 1, 1, 1)
        return lambda x, t: network(x, t) + shift

    clips = sampled(process, "euler", denoiser=denoiser, known=lambda batch: KnownFrames.first(1, given[list(batch)]))
    assert [clip[0].unique().tolist() for clip in clips] == [[0], [128], [255]]
    assert torch.equal(clips, sampled(process, "euler", batch_size=1, denoiser=denoiser,
                                      known=lambda batch: KnownFrames.first(1, given[list(batch)])))  # fmt: skip


def test_a_whole_cell_runs_by_flow_matching_with_a_level_for_each_frame():
    heard = run(
        "train.steps=2", "diffusion={process: flow, timestep_sampling: logit-normal, shift: 3, levels: frame}",
        "sample={sampler: heun, steps: 2, clips: 4, batch_size: 4}", variant="uni",
    )  # fmt: skip
    sampled = heard.one(Sampled)
    assert sampled.clips.shape == (4, 6, 3, 16, 16)
    assert (sampled.sampling.sampler, sampled.sampling.steps) == ("heun", 2)
