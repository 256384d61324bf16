"""What a cell's network is told: of each training batch, and of each clip that it generates."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

from vdmbench.data.source import DataError, Source
from vdmbench.data.told import ClipFacts, facts_of, labels_of, width_of_actions
from vdmbench.data.windows import Window
from vdmbench.diffusion import Denoiser
from vdmbench.diffusion.guidance import guided
from vdmbench.engine.experiment import make_faithfulness, make_source
from vdmbench.engine.real_clips import choose_real_clips
from vdmbench.metrics.faithfulness.reader import ATTRIBUTES, numbers_of
from vdmbench.networks.conditional import Told
from vdmbench.networks.text.byte_encoder import bytes_of
from vdmbench.networks.text.pretrained import PretrainedEncoder
from vdmbench.suite import CellInputs
from vdmbench.suite.cells import Reference
from vdmbench.suite.condition import ByteText, Conditioning, PretrainedText


def conditional_options(inputs: CellInputs | Reference) -> dict[str, Any] | None:
    """The options of :class:`~vdmbench.networks.conditional.Conditional` for a cell; None where nothing is told.

    The number of classes and the width of actions are the data's: cells that are told these need it also to be planned.

    Raises DataError where the data does not know what is to be told.
    """
    condition = inputs.condition
    if condition is None:
        return None
    options: dict[str, Any] = {}
    if "caption" in condition.tell:
        options["text"] = condition.text.model_dump(exclude={"path", "sha256"})
    if {"label", "actions"} & set(condition.tell):
        source = make_source(inputs, "train")
        if "label" in condition.tell:
            options["classes"] = len(labels_of(source))
        if "actions" in condition.tell:
            options["actions"] = width_of_actions(source)
    return options


class Teller:
    """Tells a network of clips what the suite declares; the pretrained text encoder, where there is one, lives here."""

    def __init__(self, condition: Conditioning, train_source: Source) -> None:
        self.condition = condition
        self.labels = labels_of(train_source) if "label" in condition.tell else ()
        text = condition.text if "caption" in condition.tell else None
        self._length = text.length if isinstance(text, ByteText) else 0
        self._pretrained = PretrainedEncoder(text.path, length=text.length) if isinstance(text, PretrainedText) else None

    def facts(self, source: Source, windows: list[Window], frames: int) -> ClipFacts:
        """Of each clip. Raises DataError where the source does not know."""
        return facts_of(source, windows, frames, list(self.condition.tell))

    def told(self, source: Source, windows: list[Window], frames: int) -> Told:
        """The same as a network takes it, on the CPU. Raises DataError also for a class that training does not know."""
        facts = self.facts(source, windows, frames)
        labels = texts = mask = None
        if facts.labels is not None:
            labels = torch.tensor([self._number(label, source) for label in facts.labels])
        if facts.captions is not None and self._pretrained is not None:
            texts, mask = self._pretrained(facts.captions)
        elif facts.captions is not None:
            texts = bytes_of(facts.captions, self._length)
        return Told(labels, texts, mask, facts.actions)

    def _number(self, label: str, source: Source) -> int:
        if label not in self.labels:
            raise DataError(f"class '{label}' of the {source.split} split is not in training: give it training videos too")
        return self.labels.index(label)


def attributes_told(condition: Conditioning | None) -> tuple[str, ...]:
    """Of a sprite: a caption tells its shape, colour and direction, a label its shape."""
    return tuple(ATTRIBUTES) if condition is not None and "caption" in condition.tell else ("shape",)


def check_condition(inputs: CellInputs) -> None:
    """Ask once for all that training and sampling will be told. Raises ValueError subclasses that say what is missing."""
    if inputs.condition is None:
        return
    train, test = make_source(inputs, "train"), make_source(inputs, "test")
    teller = Teller(inputs.condition, train)
    teller.told(train, [Window(0, 0)], inputs.data.frames)
    real = choose_real_clips(test, inputs.sampled_frames, real=inputs.evaluate.real_clips, held_out=inputs.sample.clips)
    teller.told(test, real.held_out, real.frames)
    for _ in make_faithfulness(inputs):
        numbers_of(facts_of(test, real.held_out, real.frames, ["caption"]).captions or [])


def told_denoiser(network: nn.Module, told: Told, guidance: float) -> Denoiser:
    """``network`` of one batch, told of its clips; pushed by ``guidance`` away from what it predicts when told nothing."""

    def conditional(x: Tensor, t: Tensor) -> Tensor:
        prediction: Tensor = network(x, t, told)
        return prediction

    return guided(conditional, network, guidance)


def of_each_batch(
    network: nn.Module, told: Callable[[range], Told], guidance: float, device: torch.device
) -> Callable[[range], Denoiser]:
    """What :func:`~vdmbench.engine.sampling.sample_clips` asks for: the denoiser of a batch, from the indices of its clips."""
    return lambda clips: told_denoiser(network, told(clips).to(device), guidance)
