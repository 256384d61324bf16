"""The child of :mod:`vdmbench.runner.planning`: solves cells, and checks what running them needs. Imports torch."""

from __future__ import annotations

import contextlib
import json
import multiprocessing
import os
import sys
from collections import defaultdict
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor, wait
from contextlib import suppress
from functools import partial
from typing import Any

import torch

from vdmbench.engine.initial_weights import match
from vdmbench.engine.rehearsal import refusals
from vdmbench.matching import Unreachable, solve
from vdmbench.matching.cost import built_on_meta
from vdmbench.matching.largest import largest_that_fits
from vdmbench.matching.resolve import resolve
from vdmbench.matching.simulation import CannotSimulate
from vdmbench.matching.target import Target, every_package, packages_here
from vdmbench.mixers.making import mixer_maker
from vdmbench.ops.backends import recording
from vdmbench.runner.planning import fingerprint
from vdmbench.suite import CellInputs
from vdmbench.suite.blocks import Run
from vdmbench.suite.dependencies import as_costly
from vdmbench.suite.pattern import FORMS, mixers_of


def _key(inputs: CellInputs, *fields: str) -> str:
    return json.dumps([inputs.model_dump(mode="json").get(field) for field in fields], sort_keys=True)


_ASKED_OF = {"network", *FORMS, "condition", "autoencoder", "match", "reference", "data", "diffusion", "train", "sample"}


def _answer_one(declared: dict[str, Any], memory: bool, target: Target) -> dict[str, Any]:
    """Plain data in and out, so that it can be asked of another process; ``refused`` is for the user to mend."""
    try:
        solved = solve(CellInputs.model_validate(declared), memory=memory, target=target).solved
        return {"solved": solved.model_dump(mode="json"), "infeasible": None}
    except (Unreachable, CannotSimulate) as error:
        return {"solved": None, "infeasible": str(error)}
    except ValueError as error:  # sizes that do not fit, a user's class that cannot be built
        return {"refused": str(error)}
    except Exception as error:  # what a user's class raises while it is built or counted
        return {"refused": _in_a_line(error)}


def _in_a_line(error: Exception) -> str:
    said = " ".join(f"{type(error).__name__}: {error}".split())
    return said if len(said) <= _LONGEST else f"{said[:_LONGEST]}…"


_LONGEST = 300
"""Characters of another's error that a line repeats."""


def _solutions(
    cells: list[CellInputs], memory: bool, target: Target, report: Callable[[int, int], None]
) -> list[dict[str, Any]]:
    """An answer for each cell; cells that differ only in what no answer depends on share one.

    :param report: is given how many of how many answers there are, from the beginning on.
    """
    keys = [fingerprint(as_costly(inputs), _ASKED_OF) for inputs in cells]
    distinct = dict(zip(keys, cells, strict=True))
    report(0, len(distinct))
    ask = partial(_answer_one, memory=memory, target=target)
    simulated = sum(memory or _matches_memory(inputs) for inputs in distinct.values())
    processes = min(len(os.sched_getaffinity(0)), simulated // _WORTH_A_PROCESS)
    answers: dict[str, dict[str, Any]] = {}
    if processes > 1:
        parts = [[(key, distinct[key].model_dump(mode="json")) for key in part] for part in _parts(distinct, processes)]
        # Where no process more is to be had, no shared memory for their locks, or one was killed, what is left is done here.
        with suppress(OSError, RuntimeError):
            for key, answer in _in_processes(processes, parts, ask):
                answers[key] = answer
                report(len(answers), len(distinct))
    for key, inputs in distinct.items():
        if key not in answers:
            answers[key] = ask(inputs.model_dump(mode="json"))
            report(len(answers), len(distinct))
    return [answers[key] for key in keys]


_WORTH_A_PROCESS = 3
"""Cells to simulate that are worth a process more."""


def _parts(distinct: dict[str, CellInputs], processes: int) -> list[list[str]]:
    """The cells in parts, each for one process: those that differ in their goal alone, as of a sweep of budgets, together, for
    what is found for one goal is known for the next. The largest part first; at least one part a process."""
    families = defaultdict[str, list[str]](list)
    for key, inputs in distinct.items():
        match = inputs.match and inputs.match.model_copy(update={"budget": None, "target": None})
        families[fingerprint(inputs.model_copy(update={"match": match}), _ASKED_OF)].append(key)
    pieces = -(-processes // len(families))
    parts = [family[piece::pieces] for family in families.values() for piece in range(pieces)]
    return sorted(filter(None, parts), key=len, reverse=True)


def _in_processes(
    processes: int, parts: list[list[tuple[str, dict[str, Any]]]], ask: Callable[[dict[str, Any]], dict[str, Any]]
) -> Iterator[tuple[str, dict[str, Any]]]:
    """Each question's key and answer, as they come."""
    # Forked, a process has PyTorch loaded; nothing has run yet that would not live through it.
    context = multiprocessing.get_context("fork" if sys.platform == "linux" else "spawn")
    answered = context.SimpleQueue()
    with ProcessPoolExecutor(processes, context, initializer=_begin_process, initargs=(answered,)) as pool:
        pending = {pool.submit(_answer_part, part, ask) for part in parts}
        while pending:
            done, pending = wait(pending, timeout=0.1)
            while not answered.empty():
                yield answered.get()
            for future in done:
                future.result()  # raises what ended it
        while not answered.empty():
            yield answered.get()


_answered: Any = None
"""In a process of the pool: where its answers go."""


def _begin_process(answered: Any) -> None:
    global _answered
    _answered = answered
    torch.set_num_threads(1)


def _answer_part(part: list[tuple[str, dict[str, Any]]], ask: Callable[[dict[str, Any]], dict[str, Any]]) -> None:
    for key, declared in part:
        _answered.put((key, ask(declared)))


def _matches_memory(inputs: CellInputs) -> bool:
    matches = (inputs.match, inputs.match and inputs.match.also)
    return any(match is not None and match.quantity == "memory" for match in matches)


def _refused(cells: list[CellInputs], solved: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """What cannot be built or run as declared: the number of the cell, the path of the field, the reason; each once."""
    found = [
        {"cell": number, "path": [], "message": answer["refused"]}
        for number, answer in enumerate(solved)
        if "refused" in answer
    ]
    if found:
        return found
    numbers = [number for number, answer in enumerate(solved) if answer["solved"] is not None]
    resolved = [resolve(cells[number], solved[number]["solved"]["knobs"]) for number in numbers]
    return [
        {"cell": numbers[position], "path": list(refusal.path), "message": refusal.message}
        for position, refusal in refusals(
            [each.inputs for each in resolved], built=[(each.network, each.mixer) for each in resolved]
        )
    ]


def _once(cells: list[CellInputs], fields: tuple[str, ...], check: Callable[[CellInputs], None]) -> list[str]:
    """Run a check once for each distinct value of ``fields``; what it raised for want of data or packages, a line each."""
    problems = []
    for inputs in {_key(inputs, *fields): inputs for inputs in cells}.values():
        try:
            check(inputs)
        except (ValueError, ImportError, OSError) as error:
            problems.append(" ".join(str(error).split()))
        except Exception as error:  # what a user's class raises when it is run
            problems.append(f"variant {inputs.variant}: {_in_a_line(error)}")
    return list(dict.fromkeys(problems))


def _check_data(inputs: CellInputs) -> None:
    from vdmbench.engine import choose_real_clips, make_metrics, make_source
    from vdmbench.engine.conditioning import check_condition
    from vdmbench.engine.held_out_loss import held_out_windows
    from vdmbench.metrics.cuts import load_cut_detector
    from vdmbench.metrics.extractor import extract
    from vdmbench.metrics.lpips import load_lpips

    make_source(inputs, "train")
    test = make_source(inputs, "test")
    choose_real_clips(test, inputs.sampled_frames, real=inputs.evaluate.real_clips, held_out=inputs.sample.clips)
    if inputs.evaluate.val_loss is not None:
        held_out_windows(inputs, test)
    check_condition(inputs)
    if inputs.evaluate.cuts:
        load_cut_detector()
    if inputs.evaluate.lpips:
        load_lpips()
    clip = torch.zeros(1, inputs.sampled_frames, 3, inputs.data.size, inputs.data.size, dtype=torch.uint8)
    for metric in make_metrics(inputs).values():
        extract(metric.extractor, [clip], metric.protocol)


def notes(cells: list[CellInputs]) -> list[str]:
    """What of the data is not read, and where clips that overlap are counted, a line each; empty where data cannot be used."""
    from vdmbench.engine import choose_real_clips, make_source

    found: list[str] = []

    def note(inputs: CellInputs) -> None:
        test = make_source(inputs, "test")
        real = choose_real_clips(test, inputs.sampled_frames, real=inputs.evaluate.real_clips, held_out=inputs.sample.clips)
        found.extend([*make_source(inputs, "train").notes, *test.notes, *real.notes()])

    _once(cells, ("data", "condition", "evaluate", "sample"), note)  # what stands in the way is said by the check
    return list(dict.fromkeys(found))


def _check_autoencoder(inputs: CellInputs) -> None:
    """A pretrained one is there and can be loaded."""
    from vdmbench.engine.latents import built_autoencoder

    if inputs.autoencoder is not None:
        built_autoencoder(inputs.autoencoder)


def _check_mixer(inputs: CellInputs, device: torch.device) -> None:
    """Run each mixer once at toy size, as it will be trained, on the real device: a backend that cannot run says so now."""
    from vdmbench.engine.training import autocast

    for choice in mixers_of(inputs.temporal):
        mixer = mixer_maker(choice)(32).to(device)
        with autocast(inputs.train.precision, device):
            mixer(torch.zeros(1, 4, 32, device=device))


def _check_devices(inputs: CellInputs, device: torch.device) -> None:
    """There are as many devices as train together, and what they share can be shared."""
    train = inputs.train
    if device.type == "cuda" and train.devices > torch.cuda.device_count():
        raise ValueError(
            f"train.devices is {train.devices} and PyTorch sees {torch.cuda.device_count()} CUDA devices: "
            "train on fewer, or let more be seen in CUDA_VISIBLE_DEVICES"
        )
    if train.sharding == "none" or device.type == "cuda":
        return
    with recording() as used:
        _check_mixer(inputs, device)
    kernels = [f"{op} by {backend}" for op, backends in used.items() for backend in backends if backend.startswith("numba")]
    if kernels:
        raise ValueError(
            f"train.sharding is '{train.sharding}' on a CPU, where {kernels[0]} keeps hold of parameters that sharding would "
            "release: leave sharding out, or run on CUDA devices"
        )


def _check_compiler(inputs: CellInputs, device: torch.device) -> None:
    from vdmbench.engine.acceleration import require_compiler

    if inputs.train.compile or inputs.sample.compile:
        require_compiler(device)


def problems(cells: list[CellInputs], run: Run) -> list[str]:
    """What stands in the way of running ``cells``: device, data, backends."""
    from vdmbench.engine import pick_device  # the engine loads much that a plan alone does not need

    try:
        device = pick_device(run.device)
    except ValueError as error:
        return [str(error)]
    if run.memory_snapshot and device.type != "cuda":
        return ["a memory snapshot is the history of CUDA's allocator, and this runs on a CPU: leave out --memory-snapshot"]
    return [
        *_once(cells, ("data", "condition", "evaluate", "sample"), _check_data),
        *_once(cells, ("autoencoder",), _check_autoencoder),
        *_once(cells, (*FORMS, "train"), lambda each: _check_mixer(each, device)),
        *_once(cells, (*FORMS, "train"), lambda each: _check_devices(each, device)),
        *_once(cells, ("train", "sample"), lambda each: _check_compiler(each, device)),
    ]


def _answer(question: dict[str, Any], report: Callable[[int, int], None]) -> dict[str, Any]:
    cells = [CellInputs.model_validate(inputs) for inputs in question["cells"]]
    target = Target(question["plan_for"], every_package() if question["with_packages"] else packages_here())
    solved = _solutions(cells, question["memory"], target, report)
    refused = _refused(cells, solved)
    if refused:
        return {"refused": refused}
    checked = [CellInputs.model_validate(inputs) for inputs in question["checked"]]
    found = problems(checked, Run.model_validate(question["preflight"])) if question["preflight"] else []
    said = notes(checked) if question["preflight"] and not found else []
    return {"plan": solved, "problems": found, "notes": said, "refused": []}


def _largest(question: dict[str, Any]) -> dict[str, Any]:
    try:
        found = largest_that_fits(CellInputs.model_validate(question["cell"]), question["knobs"], question["capacity"])
    except ValueError as error:  # it cannot be simulated, or a smaller setting fits no network
        return {"unknown": str(error)}
    return found.model_dump(mode="json")


def _in_common(question: dict[str, Any]) -> dict[str, Any]:
    """For each pair of a cell and the one whose weights it begins with: what it takes over."""

    def network(each: dict[str, Any]) -> torch.nn.Module:
        resolved = resolve(CellInputs.model_validate(each["inputs"]), each["knobs"])
        return built_on_meta(resolved.network, resolved.mixer)

    answers = []
    for heir, other in question["in_common"]:
        built = network(heir)
        found = match(built, {path: tensor.shape for path, tensor in network(other).state_dict().items()})
        answers.append(
            {
                "matched_tensors": len(found.matched),
                "matched_parameters": found.parameters,
                "parameters": sum(parameter.numel() for parameter in built.parameters()),
                "initialised": found.initialised,
                "left": found.left,
            }
        )
    return {"in_common": answers}


def main() -> None:
    """Answer the question on standard input with lines of JSON on standard output: how far it is, and last the answer."""
    standard_output = sys.stdout

    def report(done: int, of: int) -> None:
        print(json.dumps({"done": done, "of": of}), file=standard_output, flush=True)

    with contextlib.redirect_stdout(sys.stderr):  # standard output is the answer's, whatever a user's file prints
        question = json.load(sys.stdin)
        if "capacity" in question:
            answer = _largest(question)
        else:
            answer = _in_common(question) if "in_common" in question else _answer(question, report)
    print(json.dumps({"answer": answer}), file=standard_output, flush=True)


if __name__ == "__main__":
    main()
