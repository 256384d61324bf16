"""Contenders with known costs, at module level so that a process of their own can find them."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable

import torch
from torch import Tensor

from vdmbench.bench import Contender, Contest, Workload, peer

BLOCK = 4 * 2**20
"""Bytes that :func:`hungry` holds for each frame."""


def clips(workload: Workload) -> tuple[Tensor, ...]:
    return (torch.randn(workload.sites, workload.frames, workload.channels, dtype=workload.torch_dtype),)


def doubled(x: Tensor) -> Tensor:
    return x + x


def tripled(x: Tensor) -> Tensor:
    return 3 * x


def hungry(x: Tensor) -> Tensor:
    held = [torch.ones(BLOCK // 4) for _ in range(x.shape[1])]
    return x + x + 0 * held[0][0]


def sleepy(x: Tensor) -> Tensor:
    time.sleep(0.02 * x.shape[1])
    return x + x


def greedy(x: Tensor) -> Tensor:
    if x.shape[1] > 8:
        torch.empty(2**50)
    return x + x


def killed(x: Tensor) -> Tensor:
    if x.shape[1] > 8:
        os.kill(os.getpid(), signal.SIGKILL)
    return x + x


def raising(x: Tensor) -> Tensor:
    raise TypeError("no such\nthing")


def interrupting(x: Tensor) -> Tensor:
    raise KeyboardInterrupt


def absent(device: str) -> str | None:
    return "it is not here; pip install it"


def elements(workload: Workload) -> int:
    return workload.sites * workload.frames * workload.channels


def contest(*contenders: Contender, name: str = "doubling") -> Contest:
    """Of functions that double."""
    return Contest(name, "op", clips, contenders, doubled)


def contender(call: Callable[[Tensor], Tensor]) -> Contender:
    return peer("doubling", call.__name__, call, flops=elements)
