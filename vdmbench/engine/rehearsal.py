"""What the engine would refuse of a cell, found before anything is trained.

A limit that only the engine knows would end every cell after hours of training. So each part that follows from the declaration
alone is made here by the code that a worker runs, and tried on a clip of one pixel: the diffusion process at the levels that
training draws, the sampler at the levels that it visits, the network's layout, the windows of each metric, procedural data.
What needs files, weights or devices is checked when a run begins.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import torch
from torch import Tensor

from vdmbench import registry
from vdmbench.data.procedural.source import ProceduralSource
from vdmbench.data.source import DataError
from vdmbench.diffusion import Process
from vdmbench.engine.acceleration import prepared_for_sampling, prepared_for_training
from vdmbench.engine.conditioning import check_condition
from vdmbench.engine.experiment import make_source
from vdmbench.engine.held_out_loss import held_out_windows
from vdmbench.engine.process import make_process
from vdmbench.engine.real_clips import choose_real_clips
from vdmbench.engine.sampling import sampler_of
from vdmbench.metrics.catalogue import declared_windows
from vdmbench.networks import build
from vdmbench.suite import CellInputs

DRAWS = 4096
"""Levels of training that are tried."""
LONGEST_SAMPLER = 4096
"""Levels up to which a sampler is run; of a longer one the levels alone are looked at."""


@dataclass(frozen=True)
class Refusal:
    """What cannot be run, and where it was declared."""

    path: tuple[str | int, ...]
    """Of the field in a cell."""
    message: str


Built = tuple[Mapping[str, Any], Mapping[str, Any]]
"""Name and options of a cell's network, and of its mixer or of each by place."""


def refusals(cells: Sequence[CellInputs], *, built: Sequence[Built]) -> list[tuple[int, Refusal]]:
    """Everything that the engine would refuse of what is declared, with the number of a cell; empty where all can be run.

    Cells that agree in what a check looks at are checked once.

    :param built: of each cell the network and the mixers as they are built, knobs solved.
    """
    found = []
    for looked_at, check in _CHECKS:
        distinct: dict[str, int] = {}
        for number, inputs in enumerate(cells):
            key = json.dumps([inputs.model_dump(mode="json", include=looked_at), check is _of_the_layout and built[number]])
            distinct.setdefault(key, number)
        found += [(number, each) for number in distinct.values() for each in check(cells[number], built[number])]
    return found


def _of_the_process(inputs: CellInputs, _: Built) -> Iterator[Refusal]:
    try:
        process = make_process(inputs.diffusion, torch.device("cpu"))
        if not torch.isfinite(_drawn_losses(process)).all():
            yield Refusal(("diffusion",), "training would draw noise levels at which the loss is not finite")
    except (ArithmeticError, ValueError) as error:
        yield Refusal(("diffusion",), _said(error))
        return
    try:
        levels = process.visited(inputs.sample.steps)
        if not all(here > after for here, after in pairwise(levels)):
            yield Refusal(
                ("diffusion",), f"the {len(levels)} noise levels that sampling visits do not fall from each to the next"
            )
        elif len(levels) <= LONGEST_SAMPLER and not torch.isfinite(_sampled(process, inputs)).all():
            yield Refusal(("sample",), f"{inputs.sample.sampler} gives values that are not finite at these noise levels")
    except (ArithmeticError, ValueError) as error:
        yield Refusal(("sample",), f"{inputs.sample.sampler} cannot visit these noise levels: {_said(error)}")


def _drawn_losses(process: Process) -> Tensor:
    """Of clips of one pixel that a network would answer with zeros."""
    generator = torch.Generator().manual_seed(0)
    x0, noise = (torch.randn(DRAWS, 1, 1, 1, 1, generator=generator) for _ in range(2))
    return process.loss(lambda x, t: torch.zeros_like(x), x0, process.draw_levels(DRAWS, 1, generator), noise)


def _sampled(process: Process, inputs: CellInputs) -> Tensor:
    generator = torch.Generator().manual_seed(0)
    sampler = sampler_of(inputs.sample)
    clip: Tensor = sampler(
        process, lambda x, t: torch.zeros_like(x), lambda: torch.randn(1, 1, 1, 1, 1, generator=generator), known=None
    )
    return clip


def _of_the_layout(inputs: CellInputs, built: Built) -> Iterator[Refusal]:
    plain = inputs.train.model_copy(update={"channels_last": False, "checkpointing": False})
    for block, field in (("train", "channels_last"), ("train", "checkpointing"), ("sample", "channels_last")):
        if not getattr(getattr(inputs, block), field):
            continue
        with torch.device("meta"):
            network = build(*built)
        try:
            if block == "train":
                prepared_for_training(network, plain.model_copy(update={field: True}))
            else:
                prepared_for_sampling(network, plain, inputs.sample)
        except ValueError as error:
            yield Refusal((block, field), _said(error))


def _of_the_metrics(inputs: CellInputs, _: Built) -> Iterator[Refusal]:
    judged = inputs.sampled_frames
    for number, metric in enumerate(inputs.evaluate.metrics):
        where = ("evaluate", "metrics", number)
        declared = declared_windows(metric.model_dump())
        if declared is None:
            continue
        protocol, fewest = declared
        misfit = protocol.misfit(judged)
        seen = protocol.frames or judged
        if misfit is not None:
            yield Refusal(where, misfit)
        elif seen < fewest:
            yield Refusal(where, f"'{metric.name}' needs at least {fewest} frames, and would see {seen}: judge longer clips")
        elif inputs.sample.clips < 2:
            yield Refusal(("sample", "clips"), f"'{metric.name}' is a distance, which takes at least 2 clips, got 1")


def _of_procedural_data(inputs: CellInputs, _: Built) -> Iterator[Refusal]:
    if not issubclass(registry.sources[inputs.data.source.name].load(), ProceduralSource):
        return
    try:
        make_source(inputs, "train")
        test = make_source(inputs, "test")
    except DataError as error:
        yield Refusal(("data", "source"), _said(error))
        return
    try:
        choose_real_clips(test, inputs.sampled_frames, real=inputs.evaluate.real_clips, held_out=inputs.sample.clips)
    except DataError as error:
        yield Refusal(("evaluate", "real_clips"), _said(error))
        return
    try:
        if inputs.evaluate.val_loss is not None:
            held_out_windows(inputs, test)
    except DataError as error:
        yield Refusal(("evaluate", "val_loss"), _said(error))
        return
    try:
        check_condition(inputs)
    except ValueError as error:
        yield Refusal(("condition",), _said(error))


def _said(error: Exception) -> str:
    """What an exception says; arithmetic says little by itself."""
    text = " ".join(str(error).split())
    return text if isinstance(error, ValueError) and text else f"numbers out of range ({text or type(error).__name__})"


_LAYOUT = ("channels_last", "checkpointing")
_CHECKS: tuple[tuple[Any, Callable[[CellInputs, Built], Iterable[Refusal]]], ...] = (
    ({"diffusion", "sample"}, _of_the_process),
    ({"train": set(_LAYOUT), "sample": {"channels_last"}}, _of_the_layout),
    ({"data", "sample", "evaluate"}, _of_the_metrics),
    ({"data", "sample", "evaluate", "condition"}, _of_procedural_data),
)
"""Each check, with what it looks at of a cell."""
