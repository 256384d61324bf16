"""Declared settings that cannot do what they say: allowed, and warned of where a suite is planned, run and reported.

What can never be meant is refused where the field is read. Here is what is legal and still does nothing, or something else than
its name promises, for the values that stand beside it. Each line says what happens and what to set.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

from vdmbench.suite.averaging import initial_share
from vdmbench.suite.blocks import Run, Sample, Train
from vdmbench.suite.cells import Cell, CellInputs
from vdmbench.suite.diffusion import DiscreteDiffusion, EDMDiffusion
from vdmbench.suite.learning_rate import warm_up_steps

UNTRAINED = 0.05
"""Share of initial weights in the average from which on it is said."""
AMPLIFIED = 1000
"""Times an error of the prediction is multiplied in the first step of sampling, from which on it is said."""
_MAX_BETA = 0.9999


def cell_warnings(inputs: CellInputs) -> list[str]:
    """Of one cell, each a line."""
    return [*_of_training(inputs.train), *_of_process(inputs), *_of_sampling(inputs.sample), *_of_clips(inputs)]


def suite_warnings(cells: Sequence[Cell], run: Run) -> list[str]:
    """Of all ``cells`` of a suite, each line once with the variants it concerns; and of how they are run."""
    concerned: dict[str, dict[str, None]] = {}
    for cell in cells:
        for line in cell_warnings(cell.inputs):
            concerned.setdefault(line, {})[cell.variant] = None
    variants = {cell.variant for cell in cells}
    lines = [line if len(of) == len(variants) else f"{', '.join(of)}: {line}" for line, of in concerned.items()]
    conditions = [cell.inputs.condition for cell in cells]
    if any(each is not None and each.drop for each in conditions) and all(cell.inputs.sample.guidance == 1 for cell in cells):
        lines.append(
            "condition.drop hides conditions for guidance, and sample.guidance is 1 in every cell: set drop to 0, or guide"
        )
    return lines + _of_running(run)


def _of_training(train: Train) -> list[str]:
    lines = []
    if warm_up_steps(train) > train.steps / 2:
        lines.append(
            f"train.learning_rate_warm_up takes {warm_up_steps(train):,} of {train.steps:,} steps: lower it, such as to 5%"
        )
    if train.ema is not None:
        share = initial_share(train.ema, train.steps, warm_up=train.ema_warm_up)
        if share > UNTRAINED:
            most = _down(math.exp(math.log(UNTRAINED) / train.steps))
            remedy = "train longer" if train.ema_warm_up else f"set ema_warm_up: true, or ema to {most} or less"
            lines.append(
                f"train.ema {train.ema:g} for {train.steps:,} steps leaves {share:.0%} initial weights in the average that is "
                f"sampled: {remedy}"
            )
        if train.ema_warm_up and train.ema <= 0.1:
            lines.append(f"train.ema_warm_up begins at a decay of 0.1, and train.ema is {train.ema:g}: it does nothing")
    elif train.ema_warm_up:
        lines.append("train.ema_warm_up warms up an average, and train.ema is null: it does nothing")
    if train.optimiser == "adamw" and train.weight_decay == 0:
        lines.append("train.optimiser adamw with weight_decay 0 is adam: set weight_decay, such as 0.01")
    if train.learning_rate * train.weight_decay > 0.1:
        share = train.learning_rate * train.weight_decay
        lines.append(f"train.weight_decay takes {share:.0%} of every matrix at every step: lower it, or the learning rate")
    return lines


def _of_process(inputs: CellInputs) -> list[str]:
    diffusion = inputs.diffusion
    if isinstance(diffusion, DiscreteDiffusion):
        times = _amplification(diffusion)
        if diffusion.parameterisation == "epsilon" and times > AMPLIFIED:
            return [
                f"diffusion: at the last level of schedule {diffusion.schedule} with parameterisation epsilon an error of the "
                f"prediction is multiplied {times:,.0f} times in the clean clip: use parameterisation v"
            ]
    elif isinstance(diffusion, EDMDiffusion) and diffusion.sigma_max < 5 * diffusion.sigma_data:
        return [
            f"diffusion.sigma_max {diffusion.sigma_max:g} is near sigma_data {diffusion.sigma_data:g}: sampling starts from "
            "pure noise where training still saw the clip: raise it, such as to 80"
        ]
    return []


def _amplification(diffusion: DiscreteDiffusion) -> float:
    """1 / alpha of the last level: what an error of a predicted epsilon becomes in the clean clip that follows from it."""
    late = 1 - 1 / diffusion.steps
    if diffusion.schedule == "cosine":
        signal = (math.cos((late + 0.008) / 1.008 * math.pi / 2) / math.cos(0.008 / 1.008 * math.pi / 2)) ** 2
    elif diffusion.schedule == "sigmoid":
        high, low = (1 / (1 + math.exp(-end)) for end in (3.0, -3.0))
        signal = (high - 1 / (1 + math.exp(3.0 - 6.0 * late))) / (high - low)
    else:
        return 1.0  # linear keeps a share of the signal that hardly depends on the number of levels
    return float((signal * (1 - _MAX_BETA)) ** -0.5)


def _of_sampling(sample: Sample) -> list[str]:
    lines = []
    if sample.steps == 1 and sample.sampler in ("heun", "dpmpp-2m"):
        lines.append(f"sample.sampler {sample.sampler} with 1 step is its first-order form: give it 2 steps or more")
    if sample.steps == 1 and sample.eta:
        lines.append("sample.eta adds noise between levels, and 1 step has none between: it does nothing")
    if sample.guidance == 0:
        lines.append("sample.guidance 0 ignores what networks are told: clips are those of no condition")
    return lines


def _of_clips(inputs: CellInputs) -> list[str]:
    lines = []
    if inputs.data.frames == 1:
        lines.append("data.frames is 1: no temporal layer has a second frame to mix")
    if inputs.sample.rollout is not None and inputs.sample.rollout.chunk >= inputs.sampled_frames:
        lines.append("sample.rollout.chunk is as long as the clips: they are made whole, and nothing is rolled out")
    return lines


def _of_running(run: Run) -> list[str]:
    lines = []
    if run.wall_limit is not None and run.suite_wall_limit is not None and run.wall_limit > run.suite_wall_limit:
        lines.append("run.wall_limit is beyond run.suite_wall_limit, which always ends first")
    if run.memory_snapshot and run.device == "cpu":
        lines.append("run.memory_snapshot is of CUDA's allocator, and run.device is cpu: nothing is kept")
    return lines


def _down(value: float) -> str:
    """Rounded down to three digits behind the nines."""
    digits = max(3, 2 - math.floor(math.log10(1 - value)))
    return f"{math.floor(value * 10**digits) / 10**digits:.{digits}f}"
