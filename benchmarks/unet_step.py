"""A training step of the published UNet, ours against the same network plainly assembled (plain_unet.py), in one run.

    python benchmarks/unet_step.py                          # base 32, 32x32, batch 1, 16 and 64 frames; some ten minutes
    python benchmarks/unet_step.py --frames 16 --rounds 3 --mixers bi-s6

A step is forward, squared error, backward, Adam (ours by PyTorch's fused kernel, as the engine has it; the plain one's by
default). Both hold the same parameters and must give the same output before anything is timed. Time: steps take turns, after a
warm-up of each; the ratio is the median over rounds; on one thread seconds are CPU seconds, which other work on the machine
hardly touches. Memory: each in a fresh process, one step to warm up, then one of each measurement: the most bytes that tensors
made in forward and backward hold at once, counted at PyTorch's dispatcher, with weights, their gradients and the optimiser's
state stated apart; and the peak of resident memory, which counts what kernels allocate inside too.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parent))

import psutil
import torch
from plain_unet import PlainUNet
from torch import nn

from vdmbench.measure import RssPeak, capture, hardware_cohort
from vdmbench.measure.process_memory import trim_heap
from vdmbench.memory.storages import StorageTracker
from vdmbench.mixers.making import mixer_maker
from vdmbench.networks import build
from vdmbench.suite.options.published import published_mixers

FASTER, LEANER = 1.5, 0.6
"""Goals: our step at least that many times as fast, its live tensors at most that share."""
PLAINEST = {"attn": "math", "s6": "reference", "bi-s6": "reference"}
"""Backend of the plain network's mixers, for those that have a choice; ours take ``auto``."""
NETWORKS = ("ours", "plain")


def make(which: str, mixer: str, base: int) -> nn.Module:
    """One of the two networks, seeded alike."""
    choice = dict(published_mixers(base)[mixer])
    torch.manual_seed(0)
    if which == "plain":
        return PlainUNet(mixer_maker({**choice, **({"backend": PLAINEST[mixer]} if mixer in PLAINEST else {})}), base)
    if mixer in PLAINEST:
        choice["backend"] = "auto"
    return build({"name": "unet3d", "preset": "oshima2024", "base_channels": base}, choice)


class Training:
    """A network with its optimiser and one clip."""

    def __init__(self, network: nn.Module, frames: int, size: int) -> None:
        self.network = network
        self.weights = [p for p in network.parameters() if p.requires_grad]
        self.optimiser = torch.optim.Adam(self.weights, lr=1e-4, fused=not isinstance(network, PlainUNet))
        generator = torch.Generator().manual_seed(1)
        self.x, self.noise = torch.randn(2, 1, frames, 3, size, size, generator=generator).unbind()
        self.t = torch.tensor([100])

    def differentiate(self) -> None:
        (self.network(self.x, self.t) - self.noise).square().mean().backward()

    def step(self) -> None:
        self.differentiate()
        self.optimiser.step()
        self.optimiser.zero_grad(set_to_none=True)


def difference(ours: Training, plain: Training) -> float:
    """Of the outputs, relative to ours, before any step."""
    with torch.no_grad():
        a, b = (each.network(each.x, each.t) for each in (ours, plain))
    return float((a - b).norm() / a.norm())


def times(mixer: str, base: int, frames: int, size: int, rounds: int) -> dict[str, Any]:
    """Seconds of each step in turn, and the ratio within each round."""
    clock = time.process_time if torch.get_num_threads() == 1 else time.perf_counter
    networks = {which: make(which, mixer, base) for which in NETWORKS}
    plain = networks["plain"]
    assert isinstance(plain, PlainUNet)
    plain.load_from(networks["ours"])
    trainings = {which: Training(network, frames, size) for which, network in networks.items()}
    strayed = difference(trainings["ours"], trainings["plain"])
    if not strayed < 1e-3:
        raise SystemExit(f"{mixer}: the two networks differ by {strayed:.1e}, so their times would compare two things")
    taken: dict[str, list[float]] = {which: [] for which in NETWORKS}
    for number in range(rounds + 1):
        for which in NETWORKS if number % 2 else NETWORKS[::-1]:
            begin = clock()
            trainings[which].step()
            taken[which].append(clock() - begin)
    seconds = {which: column[1:] for which, column in taken.items()}
    ratios = [slow / fast for slow, fast in zip(seconds["plain"], seconds["ours"], strict=True)]
    low, _, high = statistics.quantiles(ratios, n=4) if len(ratios) > 1 else (ratios[0],) * 3
    return {
        "clock": "cpu" if clock is time.process_time else "wall",
        "difference": strayed,
        "seconds": {which: statistics.median(column) for which, column in seconds.items()},
        "every_round": seconds,
        "times_as_fast": statistics.median(ratios),
        "times_as_fast_quartiles": [low, high],
    }


def weigh(which: str, mixer: str, base: int, frames: int, size: int) -> dict[str, Any]:
    """In this process: live tensors, and peak resident memory, of a step, the first left out."""
    held = psutil.Process().memory_info().rss
    training = Training(make(which, mixer, base), frames, size)
    training.step()
    live = live_tensors(training)
    trim_heap()
    with RssPeak() as peak:
        training.step()
    assert peak.reading is not None
    assert peak.reading.peak_bytes is not None
    return {
        **live,
        "peak_bytes": peak.reading.peak_bytes,
        "beyond_imports_bytes": peak.reading.peak_bytes - held,
        "source": peak.reading.source,
    }


def live_tensors(training: Training) -> dict[str, int]:
    """Most bytes of tensors alive at once that a forward and backward pass makes, gradients of weights apart."""
    with StorageTracker("cpu") as tracker:
        training.differentiate()
    gradients = {tracker.number(weight.grad) for weight in training.weights if weight.grad is not None}
    alive = peak = 0
    for storage, nbytes in tracker.trace:
        if storage not in gradients:
            alive += nbytes
            peak = max(peak, alive)
    states = [each for state in training.optimiser.state.values() for each in state.values()]
    grads = [weight.grad for weight in training.weights if weight.grad is not None]
    training.optimiser.zero_grad(set_to_none=True)
    return {
        "live_peak_bytes": peak,
        "weights_bytes": sum(each.nbytes for each in training.weights),
        "gradients_bytes": sum(each.nbytes for each in grads),
        "optimiser_bytes": sum(each.nbytes for each in states),
    }


def weights(mixer: str, options: argparse.Namespace, frames: int) -> dict[str, Any]:
    """Both networks, each in a fresh process."""
    found = {}
    for which in NETWORKS:
        command = [
            sys.executable,
            __file__,
            "--weigh",
            which,
            "--mixers",
            mixer,
            "--frames",
            str(frames),
            "--base",
            str(options.base),
            "--size",
            str(options.size),
            "--threads",
            str(options.threads),
        ]
        found[which] = json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)
    ours, plain = found["ours"], found["plain"]
    return {
        **found,
        **{f"share_{key}": ours[key] / plain[key] for key in ("live_peak_bytes", "peak_bytes", "beyond_imports_bytes")},
    }


def main() -> None:
    """Print a row a mixer and clip length, and with --out write all of them."""
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("--mixers", nargs="+", choices=published_mixers(), default=["attn", "bi-s4d", "bi-s6"])
    arguments.add_argument("--frames", type=int, nargs="+", default=[16, 64])
    arguments.add_argument("--base", type=int, default=32)
    arguments.add_argument("--size", type=int, default=32)
    arguments.add_argument("--rounds", type=int, default=9)
    arguments.add_argument("--threads", type=int, default=1)
    arguments.add_argument("--out", type=Path)
    arguments.add_argument("--weigh", choices=NETWORKS, help="only weigh one network, in this process")
    options = arguments.parse_args()
    torch.set_num_threads(options.threads)
    if options.weigh:
        print(json.dumps(weigh(options.weigh, options.mixers[0], options.base, options.frames[0], options.size)))
        return
    load = os.getloadavg()[0]
    rows = []
    for mixer in options.mixers:
        for frames in options.frames:
            row = {
                "mixer": mixer,
                "frames": frames,
                "memory": weights(mixer, options, frames),
                "time": times(mixer, options.base, frames, options.size, options.rounds),
            }
            rows.append(row)
            print(told(row), flush=True)
    if options.out:
        environment = capture()
        report = {
            "machine": hardware_cohort(environment, "cpu"),
            "load_before": load,
            "load_after": os.getloadavg()[0],
            "settings": {
                "base": options.base,
                "size": options.size,
                "batch": 1,
                "threads": options.threads,
                "rounds": options.rounds,
            },
            "goals": {"times_as_fast_at_least": FASTER, "share_of_live_tensors_at_most": LEANER},
            "rows": rows,
            "environment": environment,
        }
        options.out.parent.mkdir(parents=True, exist_ok=True)
        options.out.write_text(json.dumps(report, indent=1) + "\n")


def told(row: dict[str, Any]) -> str:
    seconds, memory = row["time"]["seconds"], row["memory"]
    ours, plain = (memory[which]["live_peak_bytes"] / 2**20 for which in NETWORKS)
    apart = sum(memory["ours"][f"{each}_bytes"] for each in ("weights", "gradients", "optimiser")) / 2**20
    return (
        f"{row['mixer']}, {row['frames']} frames: {seconds['ours']:.3f} s against {seconds['plain']:.3f} s, "
        f"{row['time']['times_as_fast']:.2f} times as fast (goal {FASTER}); live tensors {ours:.0f} MiB against "
        f"{plain:.0f} MiB, {memory['share_live_peak_bytes']:.2f} of it (goal {LEANER}), beside {apart:.0f} MiB of weights, "
        f"gradients and optimiser; peak resident memory {memory['share_peak_bytes']:.2f}, "
        f"{memory['share_beyond_imports_bytes']:.2f} beyond the imports"
    )


if __name__ == "__main__":
    main()
