"""Ranks: processes that train one network together, a device each, as one process would at the same global batch.

Data parallel: every rank holds the network, and gradients are averaged (Li et al. 2020, arXiv 2006.15704). Sharded: every rank
holds a part of each parameter, gathered a block at a time while it is used (Zhao et al. 2023, arXiv 2304.11277).
"""

from __future__ import annotations

import os
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from datetime import timedelta
from functools import wraps
from typing import Any, Literal, cast

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel
from torch.optim.swa_utils import AveragedModel, get_ema_avg_fn

from vdmbench.networks.conditional import Conditional
from vdmbench.networks.denoiser import Denoiser
from vdmbench.ops.recompute import apart
from vdmbench.records import PhaseReading, RankReading

Sharding = Literal["none", "fsdp2"]

LONGEST_WAIT = timedelta(minutes=10)
"""That a rank waits for the others before it counts them as lost: a hang becomes an error."""


class Ranks:
    """This process among ``count`` that train one cell; alone, everything here is what one process does anyway."""

    def __init__(self, index: int = 0, count: int = 1, *, sharding: Sharding = "none") -> None:
        self.index, self.count, self.sharding = index, count, sharding

    @classmethod
    def join(cls, device: torch.device, sharding: Sharding) -> Ranks:
        """Meet the other ranks, as torchrun's environment variables say; over NCCL on CUDA and gloo on the CPU.

        ``device`` is this rank's own. Flags and readings always travel between CPUs.
        """
        if device.type == "cuda":
            torch.cuda.set_device(device)
        dist.init_process_group("cpu:gloo,cuda:nccl" if device.type == "cuda" else "gloo", timeout=LONGEST_WAIT)
        return cls(dist.get_rank(), dist.get_world_size(), sharding=sharding)

    def leave(self) -> None:
        """Go on alone; nothing is done together from here on."""
        if dist.is_initialized():
            dist.destroy_process_group()

    @property
    def leads(self) -> bool:
        """Rank 0: it tells events, writes, and where the network is not sharded samples."""
        return self.index == 0

    @property
    def sharded(self) -> bool:
        return self.sharding != "none"

    def share(self, batch: int) -> slice:
        """The part of a global batch that is this rank's."""
        own = batch // self.count
        return slice(self.index * own, (self.index + 1) * own)

    def average_of(self, network: nn.Module) -> AveragedModel:
        """Averaged weights, which begin as those of ``network``; before :meth:`parallel`, for no sharded network is copied."""
        average = AveragedModel(network)  # buffers are copied: the average of a mask's infinities is NaN
        average.n_averaged.fill_(1)  # the initial weights; at 0 the first update would copy the weights after a step
        return average

    def update_average(self, average: AveragedModel, network: nn.Module, decay: float) -> None:
        """average <- decay * average + (1 - decay) * network."""
        if self.sharded:  # a parameter at a time: lists of shards have no fused form
            average.avg_fn = get_ema_avg_fn(decay)
            average.update_parameters(network)
            return
        with torch.no_grad():
            ours, theirs = list(average.module.modules()), list(network.modules())
            torch._foreach_lerp_(_held(ours, "_parameters"), _held(theirs, "_parameters"), 1 - decay)
            for own, other in zip(_held(ours, "_buffers"), _held(theirs, "_buffers"), strict=True):
                own.copy_(other)
        average.n_averaged += 1

    def parallel(self, network: nn.Module, device: torch.device) -> nn.Module:
        """What is called in place of ``network``, so that backward passes leave the gradient of the global batch's mean."""
        if self.count == 1:
            return network
        if self.sharded:
            return self.shard(network, device)
        # Gradients are views of the buckets that are exchanged, so that they are kept once.
        devices = [device] if device.type == "cuda" else None
        return DistributedDataParallel(network, device_ids=devices, gradient_as_bucket_view=True)

    def shard(self, network: nn.Module, device: torch.device) -> nn.Module:
        """Divide ``network`` in place: block by block where temporal layers are, the rest as one."""
        from torch.distributed.device_mesh import init_device_mesh
        from torch.distributed.fsdp import fully_shard

        mesh = init_device_mesh(device.type, (self.count,))
        for block in _blocks(cast(Denoiser, network)):
            block.forward = _apart(block.forward)
            fully_shard(block, mesh=mesh)
        fully_shard(network, mesh=mesh)
        return network

    def exchange(self, parallel: nn.Module, *, last: bool) -> AbstractContextManager[object]:
        """Around forward and backward of one part of an accumulated step: gradients are exchanged with its last part."""
        if isinstance(parallel, DistributedDataParallel) and not last:
            return parallel.no_sync()
        return nullcontext()

    def mean(self, value: Tensor) -> Tensor:
        """Of equal parts of a batch: the whole batch's."""
        if self.count == 1:
            return value
        total = value.clone()
        dist.all_reduce(total)
        return total / self.count

    def any(self, flag: bool) -> bool:
        """Whether it is set on any rank; all ranks get the same answer at the same step."""
        if self.count == 1:
            return flag
        total = torch.tensor(int(flag))
        dist.all_reduce(total)
        return bool(total)

    def together(self, reading: PhaseReading) -> PhaseReading:
        """The readings of all ranks as one: the largest of each peak, and every rank's own beside it."""
        if self.count == 1:
            return reading
        gathered: list[Any] = [None] * self.count
        dist.all_gather_object(gathered, reading.model_dump())
        ranks = [RankReading.model_validate({name: each[name] for name in RankReading.model_fields}) for each in gathered]
        peaks = {name: max((v for each in gathered if (v := each[name]) is not None), default=None) for name in _PEAKS}
        counts = {name: sum(each[name] for each in gathered) for name in _COUNTS if gathered[0][name] is not None}
        return reading.model_copy(update={**peaks, **counts, "others_busy_cores": None, "ranks": ranks})

    def whole(self, value: Tensor) -> Tensor:
        """A parameter or a part of an optimiser's state, gathered from its shards by all ranks together."""
        return value.full_tensor() if hasattr(value, "full_tensor") else value

    def own_part(self, value: Tensor) -> Tensor:
        """Of a parameter, or of a part of an optimiser's state, what this rank holds."""
        return value.to_local() if hasattr(value, "to_local") else value

    def like(self, value: Any, placed: Tensor) -> Any:
        """A whole tensor divided as ``placed`` is, where it is of its shape and that is divided."""
        if not hasattr(placed, "full_tensor"):
            return value
        from torch.distributed.tensor import DTensor, distribute_tensor

        if not isinstance(placed, DTensor) or not isinstance(value, Tensor) or value.shape != placed.shape:
            return value
        return distribute_tensor(value.to(placed.device), placed.device_mesh, placed.placements, src_data_rank=None)


def _held(modules: list[nn.Module], kind: Literal["_parameters", "_buffers"]) -> list[Tensor]:
    """What the modules hold, each tensor once. PyTorch's own walk makes every tensor's name, which takes a tenth of a step on a
    network whose steps take 0.1 s."""
    return list({id(each): each for module in modules for each in getattr(module, kind).values() if each is not None}.values())


_PEAKS = ("rss_peak_bytes", "allocated_peak_bytes", "reserved_peak_bytes")
_COUNTS = ("alloc_retries", "ooms")


def _blocks(network: Denoiser) -> list[nn.Module]:
    """The parts of a denoiser that hold layers with a mixer, as they follow one another."""
    network = network.network if isinstance(network, Conditional) else network
    layers: set[nn.Module] = set(network.mixer_layers().values())
    parts = [each for child in network.children() for each in (child if isinstance(child, nn.ModuleList) else [child])]
    return [part for part in parts if not layers.isdisjoint(part.modules())]


def _apart(forward: Callable[..., Any]) -> Callable[..., Any]:
    """What a block makes from its parameters is not made again in another block's backward pass: they are freed by then."""

    @wraps(forward)
    def run(*inputs: Any, **named: Any) -> Any:
        with apart():
            return forward(*inputs, **named)

    return run


def own_device(device: torch.device) -> torch.device:
    """Of CUDA devices, this rank's by its number on this machine."""
    return torch.device("cuda", int(os.environ["LOCAL_RANK"])) if device.type == "cuda" else device


def is_lost_peer(error: BaseException) -> bool:
    """Whether another rank went away while this one waited for it: not what went wrong, but its echo."""
    return isinstance(error, dist.DistError) or (isinstance(error, RuntimeError) and "gloo" in str(error))


def mapped(value: Any, change: Callable[[Tensor], Any]) -> Any:
    """``value`` with every tensor inside its dicts and lists changed, in their order."""
    if isinstance(value, Tensor):
        return change(value)
    if isinstance(value, dict):
        return {key: mapped(item, change) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return type(value)(mapped(item, change) for item in value)
    return value
