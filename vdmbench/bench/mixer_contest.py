"""Mixers as one contest: all take (sites, frames, channels) and give the same."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from typing import Any, get_args

import torch
from torch import Tensor

from vdmbench import registry
from vdmbench.bench.contest import Contender, Contest, Inputs, Task
from vdmbench.bench.op_contests import check_backends
from vdmbench.bench.workload import InvalidWorkload, Workload
from vdmbench.mixers import Mixer
from vdmbench.mixers.making import mixer_maker
from vdmbench.user_code import allow, fingerprint, is_code


def mixer_choice(text: str) -> dict[str, Any]:
    """``mamba`` or ``mamba,direction=both,state=32``, or a file's ``path.py:Class``, to name and validated options.

    Raises :class:`InvalidWorkload`, with the closest name or the option that does not fit.
    """
    from pydantic import ValidationError

    from vdmbench.suite.overrides import parse_options  # a suite's models take a second, which no op needs

    name, *given = text.split(",")
    options = parse_options(given)
    if is_code(name):
        allow([fingerprint(name)])  # whoever names a file to the bench asks for it to be run
        return {"name": name, **options}
    try:
        return {"name": name, **registry.mixers[name].load_options()(**options).model_dump()}
    except registry.UnknownName as error:
        raise InvalidWorkload(error.message) from None
    except ValidationError as error:
        told = error.errors()[0]
        where = ".".join(str(part) for part in told["loc"])
        message = told["msg"].removeprefix("Value error, ")
        raise InvalidWorkload(f"mixer '{text}': " + (f"{where}: {message}" if where else message)) from None


def _backends_of(name: str) -> list[str]:
    """The kernels that the mixer's options offer, ``auto`` left out; empty where there is no choice."""
    field = None if is_code(name) else registry.mixers[name].load_options().model_fields.get("backend")
    return [] if field is None else [backend for backend in get_args(field.annotation) if backend != "auto"]


def _clips(workload: Workload) -> Inputs:
    shape = (workload.sites, workload.frames, workload.channels)
    return (torch.randn(*shape, dtype=workload.torch_dtype, device=workload.device),)


@dataclass(frozen=True)
class _MixerTask:
    """Parameters are float32 and half precision is autocast, as in training; float64 has float64 parameters."""

    text: str
    backend: str | None

    def __call__(self, workload: Workload) -> Task:
        choice = mixer_choice(self.text)
        if self.backend is not None:
            choice["backend"] = self.backend
        torch.manual_seed(0)
        mixer = mixer_maker(choice)(workload.channels).to(workload.device)
        if workload.torch_dtype is torch.float64:
            mixer = mixer.double()
        half = workload.torch_dtype in (torch.bfloat16, torch.float16)
        call = _Call(mixer, workload.device, workload.torch_dtype if half else None)
        return Task(call, tuple(mixer.parameters()), workload.sites * mixer.flops(workload.frames))


@dataclass(frozen=True)
class _Call:
    mixer: Mixer
    device: str
    half: torch.dtype | None

    def __call__(self, x: Tensor) -> Tensor:
        with nullcontext() if self.half is None else torch.autocast(self.device, self.half):
            y: Tensor = self.mixer(x)
        return y


def mixer_contest(texts: Sequence[str] = (), backends: Sequence[str] = ("auto",)) -> Contest:
    """One contest of these mixers, by default all registered ones, each with the backends that it has of those named.

    A mixer without a choice of backends stands in every contest that asks for ``auto`` or ``all``.

    Raises :class:`InvalidWorkload` for an unknown name of a mixer, or for a backend that none of the mixers has.
    """
    contenders, known = [], {"all", "auto"}
    for text in texts or [entry.name for entry in registry.mixers]:
        name = mixer_choice(text)["name"]
        offered = _backends_of(name)
        known.update(offered)
        if not offered:
            names = ["auto"] if {"all", "auto"} & set(backends) else []
        else:
            names = offered if "all" in backends else [each for each in backends if each in ("auto", *offered)]
        contenders += [Contender(text, each, _MixerTask(text, None if each == "auto" else each)) for each in names]
    check_backends(backends, known)
    return Contest("mixers", "mixer", _clips, tuple(contenders))
