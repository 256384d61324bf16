"""A training step of dit-20m, ours against the same network from blocks of diffusers (plain_dit.py), in one run.

    python benchmarks/dit_step.py --out benchmarks/cpu/dit_step.json     # some five minutes
    python benchmarks/dit_step.py --rounds 3 --forms full

A step is forward, squared error, backward, Adam. Both hold the same parameters and must give the same output before anything
is timed. Steps take turns, after one of each to warm up; the ratio is the median over rounds; on one thread seconds are CPU
seconds, which other work on the machine hardly touches.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import time
from pathlib import Path
from typing import Any

import torch
from plain_dit import ORDERS, PlainDiT
from torch import nn

from vdmbench.measure import capture, hardware_cohort
from vdmbench.networks import build, count_parameters
from vdmbench.networks.dit import HEAD_DIM
from vdmbench.suite.options.networks import DiT20MOptions

COSTS_AT_MOST = 1.2
"""Goal: our step takes at most that many times as long."""
PATCH = (1, 4, 4)


def pair(form: str) -> tuple[nn.Module, nn.Module]:
    """Ours and the plain one, of the same weights, with gates that are open: at the start all of adaLN-zero's are shut."""
    options = DiT20MOptions(patch=PATCH)
    attention = {"name": "attention", "rotary": False, "head_dim": HEAD_DIM}
    pattern = [{"mixer": attention, "scan": scan} for scan in ORDERS[form]]
    torch.manual_seed(0)
    ours = build({"name": "dit-20m", **options.model_dump()}, {"pattern": pattern})
    for parameter in ours.parameters():
        if not parameter.count_nonzero():
            nn.init.normal_(parameter, std=0.02)
    plain = PlainDiT(options.base_channels, options.depth, PATCH, ORDERS[form])
    plain.load_from(ours)
    return ours, plain


class Training:
    """A network with its optimiser and one clip."""

    def __init__(self, network: nn.Module, frames: int, size: int) -> None:
        self.network = network
        self.optimiser = torch.optim.Adam(network.parameters(), lr=1e-4)
        generator = torch.Generator().manual_seed(1)
        self.x, self.noise = torch.randn(2, 1, frames, 3, size, size, generator=generator).unbind()
        self.t = torch.tensor([100])

    def step(self) -> None:
        loss = (self.network(self.x, self.t) - self.noise).square().mean()
        loss.backward()
        self.optimiser.step()
        self.optimiser.zero_grad(set_to_none=True)


def measured(form: str, frames: int, size: int, rounds: int) -> dict[str, Any]:
    """Seconds of each step in turn, and the ratio within each round."""
    clock = time.process_time if torch.get_num_threads() == 1 else time.perf_counter
    ours, plain = pair(form)
    trainings = {"ours": Training(ours, frames, size), "plain": Training(plain, frames, size)}
    with torch.no_grad():
        a, b = (each.network(each.x, each.t) for each in trainings.values())
    strayed = float((a - b).norm() / a.norm())
    if not strayed < 1e-4:
        raise SystemExit(f"{form}: the two networks differ by {strayed:.1e}, so their times would compare two things")
    taken: dict[str, list[float]] = {which: [] for which in trainings}
    for number in range(rounds + 1):
        for which in list(trainings)[:: 1 if number % 2 else -1]:
            begin = clock()
            trainings[which].step()
            taken[which].append(clock() - begin)
    seconds = {which: column[1:] for which, column in taken.items()}
    ratios = [one / other for one, other in zip(seconds["ours"], seconds["plain"], strict=True)]
    low, _, high = statistics.quantiles(ratios, n=4) if len(ratios) > 1 else (ratios[0],) * 3
    return {
        "form": form,
        "frames": frames,
        "tokens": frames * (size // PATCH[1]) * (size // PATCH[2]),
        "parameters": count_parameters(ours)["network"],
        "difference": strayed,
        "clock": "cpu" if clock is time.process_time else "wall",
        "seconds": {which: statistics.median(column) for which, column in seconds.items()},
        "every_round": seconds,
        "times_the_cost": statistics.median(ratios),
        "times_the_cost_quartiles": [low, high],
    }


def main() -> None:
    """Print a row a form, and with --out write all of them."""
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("--forms", nargs="+", choices=ORDERS, default=list(ORDERS))
    arguments.add_argument("--frames", type=int, default=16)
    arguments.add_argument("--size", type=int, default=32)
    arguments.add_argument("--rounds", type=int, default=15)
    arguments.add_argument("--threads", type=int, default=1)
    arguments.add_argument("--out", type=Path)
    options = arguments.parse_args()
    torch.set_num_threads(options.threads)
    load = os.getloadavg()[0]
    rows = []
    for form in options.forms:
        row = measured(form, options.frames, options.size, options.rounds)
        rows.append(row)
        print(
            f"{form}, {row['tokens']} tokens: {row['seconds']['ours']:.3f} s against {row['seconds']['plain']:.3f} s, "
            f"{row['times_the_cost']:.2f} times the cost (goal {COSTS_AT_MOST})",
            flush=True,
        )
    if options.out:
        environment = capture()
        report = {
            "machine": hardware_cohort(environment, "cpu"),
            "load_before": load,
            "load_after": os.getloadavg()[0],
            "settings": {
                "size": options.size,
                "patch": PATCH,
                "batch": 1,
                "threads": options.threads,
                "rounds": options.rounds,
            },
            "goals": {"times_the_cost_at_most": COSTS_AT_MOST},
            "rows": rows,
            "environment": environment,
        }
        options.out.parent.mkdir(parents=True, exist_ok=True)
        options.out.write_text(json.dumps(report, indent=1) + "\n")


if __name__ == "__main__":
    main()
