"""A resolved cell as live objects: what the engine needs to run it, made from what was declared and solved."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import torch

from vdmbench import registry
from vdmbench.data.source import Source
from vdmbench.diffusion import Process
from vdmbench.engine.initial_weights import TrainedElsewhere, match, take_over
from vdmbench.engine.latents import LatentSpace, latent_space
from vdmbench.engine.process import make_process
from vdmbench.metrics.faithfulness import Faithfulness
from vdmbench.metrics.video_distance import VideoDistance
from vdmbench.networks import build
from vdmbench.networks.denoiser import Denoiser
from vdmbench.networks.initial_draws import drawn_by_path
from vdmbench.networks.initial_gains import set_gains
from vdmbench.records import Initialised
from vdmbench.suite import CellInputs
from vdmbench.suite.cells import Reference


@dataclass(frozen=True)
class Experiment:
    """One cell, ready to run."""

    inputs: CellInputs
    network: Mapping[str, Any]
    """Name and options of the network, the solved width among them."""
    mixer: Mapping[str, Any]
    """Name and options of the mixer, the solved width among them; or of each, by place of a pattern."""
    diffusion: Process
    train_source: Source
    test_source: Source
    device: torch.device
    latents: LatentSpace | None = None
    """What is diffused in place of pixels."""
    begins_with: TrainedElsewhere | None = None
    """Weights of another cell; None where all are drawn."""

    def build_network(self, on: torch.device | None = None) -> Denoiser:
        """The same weights at every call, drawn on the CPU by seed and path, so that variants and devices begin alike in what
        they have in common; on this cell's device unless another is given. Where the cell begins with another's weights, those
        that agree in path and shape are taken over (:meth:`initialised` says which)."""
        network = drawn_by_path(lambda: build(self.network, self.mixer), self.inputs.seed)
        size = self.inputs.denoised_size
        set_gains(network, self.inputs.data.frames, size, size)
        if self.begins_with is not None:
            take_over(network, self.begins_with.read())
        return network.to(on or self.device)

    def initialised(self) -> Initialised | None:
        """Which of the weights that the cell begins with are another's; None where none are."""
        if (other := self.begins_with) is None:
            return None
        with torch.device("meta"):
            network = build(self.network, self.mixer)
        found = match(network, {path: tensor.shape for path, tensor in other.read().items()})
        return Initialised(
            cell=other.cell,
            label=other.label,
            attempt=other.attempt,
            weights=other.weights,
            matched_tensors=len(found.matched),
            matched_parameters=found.parameters,
            parameters=sum(parameter.numel() for parameter in network.parameters()),
            initialised=found.initialised,
            left=found.left,
        )

    def fingerprints(self) -> dict[str, str]:
        """Content hash of the data, by split."""
        return {split: source.fingerprint() for split, source in self.sources.items()}

    @property
    def sources(self) -> dict[str, Source]:
        """The data, by split."""
        return {source.split: source for source in (self.train_source, self.test_source)}


def pick_device(wanted: Literal["auto", "cpu", "cuda"]) -> torch.device:
    """``auto`` is the first CUDA device, or the CPU where there is none. Raises ValueError for a CUDA that is not there."""
    if wanted == "cuda" and not torch.cuda.is_available():
        raise ValueError("run.device is cuda and PyTorch sees no CUDA device; 'vdmbench doctor' says why")
    return torch.device("cuda" if wanted != "cpu" and torch.cuda.is_available() else "cpu")


def make_source(inputs: CellInputs | Reference, split: Literal["train", "test"]) -> Source:
    """One split of the declared data: of test videos, those that hold clips as long as are sampled."""
    frames = inputs.data.frames if split == "train" else inputs.sample.frames or inputs.data.frames
    declared = inputs.data.source.model_dump()
    entry = registry.sources[declared.pop("name")]
    source: Source = entry.load()(split=split, frames=frames, size=inputs.data.size, **declared)
    return source


def make_metrics(inputs: CellInputs) -> dict[str, VideoDistance]:
    """The declared distances, by name."""
    return {name: metric for name, metric in _metrics(inputs).items() if not isinstance(metric, Faithfulness)}


def make_faithfulness(inputs: CellInputs) -> dict[str, Faithfulness]:
    """What judges clips against what they were told, by name; empty where it is not declared."""
    return {name: metric for name, metric in _metrics(inputs).items() if isinstance(metric, Faithfulness)}


def _metrics(inputs: CellInputs) -> dict[str, VideoDistance | Faithfulness]:
    metrics = {}
    for chosen in inputs.evaluate.metrics:
        declared = chosen.model_dump()
        name = declared.pop("name")
        metrics[name] = registry.metrics[name].load()(**declared)
    return metrics


def prepare(
    inputs: CellInputs,
    network: Mapping[str, Any],
    mixer: Mapping[str, Any],
    device: torch.device,
    *,
    latents_cache: Path | None = None,
    begins_with: TrainedElsewhere | None = None,
) -> Experiment:
    """Open the data and make the process; and, of a cell with an autoencoder, the latents in ``latents_cache``, where they are
    not there yet. Raises ValueError subclasses that say what is missing: a choice that is still to be made, and weights to
    begin with, among them."""
    if inputs.tune is not None:
        raise ValueError(f"{inputs.tune.field} is still to be chosen by trials: give the cell with a value in its place")
    if inputs.init_from is not None and begins_with is None:
        raise ValueError(f"the cell begins with the weights of '{inputs.init_from.variant}': give begins_with")
    diffusion = make_process(inputs.diffusion, device)
    train, test = make_source(inputs, "train"), make_source(inputs, "test")
    latents = None
    if inputs.autoencoder is not None:
        if latents_cache is None:
            raise ValueError("a cell with an autoencoder needs a folder for its latents: give latents_cache")
        latents = latent_space(inputs.autoencoder, train, latents_cache, device)
    return Experiment(inputs, network, mixer, diffusion, train, test, device, latents, begins_with)
