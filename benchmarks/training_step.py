"""The training step of small networks on the CPU, this tree against another commit, in one run.

    python benchmarks/training_step.py --against 0ca963f --out benchmarks/cpu/training_step.json   # some ten minutes
    python benchmarks/training_step.py --only tiny-16 --rounds 3
    python benchmarks/training_step.py --against . --set train.compile=true    # a setting against the same tree without it

A step is all that :class:`vdmbench.engine.training.Trainer` does for one: levels and noise, forward, backward, optimiser,
averaged weights. The networks are those of suites/tiny.yaml at its widths, at 9 and 16 frames, and those of a small study:
clips of 16 frames of 16x16 in batches of 4, base 8 and 16, every mixer at its default width.

Each tree trains in a process of its own, on one thread, and the processes take turns: in a round each takes the same number of
steps, and the ratio is of CPU seconds within the round, which other work on the machine moves little, and both alike. The
commit is checked out beside this tree and removed afterwards.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).resolve().parent.parent
STUDY = ("identity", "mlp", "attention", "linear-attention", "mamba", "mamba2", "hydra", "gated-delta-net", "s4d")
BOTH = ("mamba", "mamba2", "gated-delta-net", "s4d")
"""Those that run both ways in the study; hydra does so by itself."""
HEADS = {"attention": {"head_dim": 32}, "linear-attention": {"head_dim": 32}}
"""Declared, so that a commit whose defaults are others trains the same heads."""


# ---- what is trained ---------------------------------------------------------------------------------------------


def suites(names: list[str]) -> dict[str, dict[str, Any]]:
    """Of each network its name, and a suite of one variant that declares it: any commit reads it with its own defaults."""
    found = {f"tiny-{frames}/{name}": suite for frames in (9, 16) for name, suite in _tiny(frames)}
    for base in (8, 16):
        for name in STUDY:
            mixer = {"name": name, **HEADS.get(name, {}), **({"direction": "both"} if name in BOTH else {})}
            network = {"name": "unet3d", "base_channels": base, "multipliers": [1, 2]}
            train = {"steps": 1, "batch_size": 4, "ema": 0.999}
            found[f"study-{base}/{name}"] = _alone(name, network, mixer, 16, train, {"steps": 64})
    chosen = {key: suite for key, suite in found.items() if not names or any(key.startswith(name) for name in names)}
    if not chosen:
        raise SystemExit(f"--only: none of {', '.join(found)} begins so")
    return chosen


def _tiny(frames: int) -> Iterator[tuple[str, dict[str, Any]]]:
    """The variants of suites/tiny.yaml, their widths solved."""
    from vdmbench.matching.plan import solve
    from vdmbench.suite import expand, load_suite

    file = ROOT / "suites" / "tiny.yaml"
    declared = yaml.safe_load(file.read_text())
    suite, lines = load_suite(file, ["sweep={}", f"data.frames={frames}"])
    for cell in expand(suite, lines):
        mixer = declared["variants"][cell.variant]["mixer"]
        mixer = dict(mixer) if isinstance(mixer, dict) else {"name": mixer}
        mixer = {**HEADS.get(mixer["name"], {}), **mixer}
        width = solve(cell.inputs).solved.knobs.get("mixer_width")
        if width is not None:
            mixer["expand"] = width
        yield cell.variant, _alone(cell.variant, declared["network"], mixer, frames, declared["train"], declared["diffusion"])


def _alone(
    name: str, network: dict[str, Any], mixer: dict[str, Any], frames: int, train: dict[str, Any], diffusion: dict[str, Any]
) -> dict[str, Any]:
    return {
        "schema": 1,
        "name": "one",
        "network": network,
        "variants": {name: {"mixer": mixer}},
        "data": {"source": "sprites", "frames": frames, "size": 16},
        "diffusion": diffusion,
        "train": train,
        "sample": {"sampler": "ddim", "steps": 4, "clips": 16, "batch_size": 16},
        "evaluate": {"metrics": [{"name": "ste-fd", "bootstrap": 20}], "real_clips": 16},
    }


# ---- the process of one tree -------------------------------------------------------------------------------------


def serve(overrides: list[str]) -> None:
    """Read requests from standard input, a JSON line each, and answer each with one."""
    import torch

    import vdmbench
    from vdmbench.measure import process_memory

    # As the worker of a cell begins; the older tree's may not keep the heap, and may fill what is created empty.
    torch.set_num_threads(1)
    try:
        from vdmbench.engine.determinism import repeat_bits
    except ImportError:
        torch.use_deterministic_algorithms(True, warn_only=True)
    else:
        repeat_bits()
    getattr(process_memory, "keep_heap", lambda: None)()
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # what a library prints is no answer
    training: Any = None
    for line in sys.stdin:
        request = json.loads(line)
        if "suite" in request:
            training = Training(request["suite"], overrides)
            answer: dict[str, Any] = {"of": str(Path(vdmbench.__file__).parent), **training.warmed_up()}
        else:
            answer = training.steps(request["steps"])
        print(json.dumps(answer), file=answers, flush=True)


class Training:
    """A trainer of this process's tree and the batches that it repeats."""

    def __init__(self, suite: dict[str, Any], overrides: list[str]) -> None:
        import torch

        from vdmbench.engine.process import make_process
        from vdmbench.engine.training import Trainer
        from vdmbench.matching.resolve import resolve
        from vdmbench.networks import build, count_parameters
        from vdmbench.networks.initial_draws import drawn_by_path
        from vdmbench.suite import expand, parse_suite

        parsed, lines = parse_suite(yaml.safe_dump(suite), overrides=overrides)
        resolved = resolve(expand(parsed, lines)[0].inputs, {})
        inputs, cpu = resolved.inputs, torch.device("cpu")
        network = drawn_by_path(lambda: build(resolved.network, resolved.mixer), 0)
        self.parameters = count_parameters(network)["network"]
        self.trainer = Trainer(network, make_process(inputs.diffusion, cpu), inputs.train, 0, cpu)
        shape = (inputs.train.batch_size, inputs.data.frames, 3, inputs.data.size, inputs.data.size)
        generator = torch.Generator().manual_seed(1)
        self.batch = torch.randint(0, 256, shape, dtype=torch.uint8, generator=generator)

    def warmed_up(self) -> dict[str, Any]:
        """After two steps, of which the first compiles what there is to compile."""
        first = self.steps(1)
        return {"parameters": self.parameters, "first_step_seconds": first["seconds"], "loss": self.steps(1)["loss"]}

    def steps(self, count: int) -> dict[str, float]:
        """CPU seconds a step, and the last loss."""
        began = time.process_time()
        for _ in range(count):
            loss = self.trainer.step([self.batch])
        return {"seconds": (time.process_time() - began) / count, "loss": loss}


# ---- two processes in turn ---------------------------------------------------------------------------------------


@contextmanager
def process(tree: Path, overrides: list[str]) -> Iterator[Any]:
    """A process that imports ``tree``; yields the function that asks it."""
    command = [sys.executable, __file__, "--serve", *(word for each in overrides for word in ("--set", each))]
    environment = {**os.environ, "PYTHONPATH": str(tree), "OMP_NUM_THREADS": "1"}
    served = subprocess.Popen(command, env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert served.stdin is not None
    assert served.stdout is not None

    def ask(**request: Any) -> dict[str, Any]:
        print(json.dumps(request), file=served.stdin, flush=True)
        answer = served.stdout.readline() if served.stdout else ""
        if not answer:
            raise SystemExit(f"the process of {tree} ended at {str(request)[:200]}; what it said stands above")
        found: dict[str, Any] = json.loads(answer)
        return found

    try:
        yield ask
    finally:
        served.stdin.close()
        served.wait()


@contextmanager
def checked_out(commit: str) -> Iterator[Path]:
    """A working tree of ``commit``, removed afterwards; ``.`` is this tree."""
    if commit == ".":
        yield ROOT
        return
    with tempfile.TemporaryDirectory(prefix="vdmbench-other-") as folder:
        tree = Path(folder) / "tree"
        subprocess.run(["git", "-C", ROOT, "worktree", "add", "-q", "--detach", tree, commit], check=True)
        try:
            yield tree
        finally:
            subprocess.run(["git", "-C", ROOT, "worktree", "remove", "--force", tree], check=True)


def compared(here: Any, there: Any, suite: dict[str, Any], rounds: int, steps: int) -> dict[str, Any]:
    """One network in both processes."""
    began = {"here": here(suite=suite), "there": there(suite=suite)}
    taken: dict[str, list[float]] = {"here": [], "there": []}
    for number in range(rounds):
        turns = [("here", here), ("there", there)]
        for which, ask in turns if number % 2 else turns[::-1]:
            taken[which].append(ask(steps=steps)["seconds"])
    ratios = [other / own for own, other in zip(taken["here"], taken["there"], strict=True)]
    low, _, high = statistics.quantiles(ratios, n=4) if len(ratios) > 1 else (ratios[0],) * 3
    return {
        "parameters": {which: each["parameters"] for which, each in began.items()},
        "loss": {which: each["loss"] for which, each in began.items()},
        "first_step_seconds": {which: each["first_step_seconds"] for which, each in began.items()},
        "seconds": {which: statistics.median(each) for which, each in taken.items()},
        "every_round": taken,
        "times_as_fast": statistics.median(ratios),
        "times_as_fast_quartiles": [low, high],
    }


def main() -> None:
    """Print a row a network, and with --out write all of them."""
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("--against", default="HEAD", help="the other commit, or '.' for this tree")
    arguments.add_argument("--only", nargs="+", default=[], help="networks whose name begins so: tiny-16, study-8/mamba")
    arguments.add_argument("--rounds", type=int, default=9)
    arguments.add_argument("--steps", type=int, default=3, help="steps of each process in a round")
    arguments.add_argument("--set", action="append", default=[], help="a field of the suite in this tree, as in 'vdmbench run'")
    arguments.add_argument("--out", type=Path)
    arguments.add_argument("--serve", action="store_true", help=argparse.SUPPRESS)
    options = arguments.parse_args()
    if options.serve:
        serve(options.set)
        return
    load = os.getloadavg()[0]
    rows = []
    with ExitStack() as stack:
        other = stack.enter_context(checked_out(options.against))
        here = stack.enter_context(process(ROOT, options.set))
        there = stack.enter_context(process(other, []))
        for name, suite in suites(options.only).items():
            row = {"network": name, **compared(here, there, suite, options.rounds, options.steps)}
            rows.append(row)
            low, high = row["times_as_fast_quartiles"]
            own, others = (1e3 * row["seconds"][which] for which in ("here", "there"))
            print(
                f"{name}: {own:.1f} ms against {others:.1f} ms a step, {row['times_as_fast']:.2f} times as fast "
                f"({low:.2f} to {high:.2f})",
                flush=True,
            )
    if options.out:
        _write(options, load, rows)


def _write(options: argparse.Namespace, load: float, rows: list[dict[str, Any]]) -> None:
    from vdmbench.measure import capture, hardware_cohort

    def commit(name: str) -> str:
        return subprocess.run(
            ["git", "-C", ROOT, "rev-parse", "HEAD" if name == "." else name], check=True, capture_output=True, text=True
        ).stdout.strip()

    environment = capture()
    report = {
        "machine": hardware_cohort(environment, "cpu"),
        "load_before": load,
        "load_after": os.getloadavg()[0],
        "here": commit("."),
        "there": commit(options.against),
        "set_here": options.set,
        "settings": {"threads": 1, "clock": "cpu", "rounds": options.rounds, "steps_a_round": options.steps},
        "rows": rows,
        "environment": environment,
    }
    options.out.parent.mkdir(parents=True, exist_ok=True)
    options.out.write_text(json.dumps(report, indent=1) + "\n")


if __name__ == "__main__":
    main()
