"""How a network is run, apart from what it computes: layout of its weights, activations made again, compiled kernels."""

from __future__ import annotations

import shutil
import sysconfig
from importlib.util import find_spec
from pathlib import Path
from typing import cast

import torch
from torch import nn

from vdmbench.networks.recomputation import recompute_blocks
from vdmbench.ops.backends import settle_for_the_compiler
from vdmbench.suite.blocks import Sample, Train


def prepared_for_training(network: nn.Module, train: Train) -> nn.Module:
    """The same network, changed in place as ``train`` declares.

    Raises ValueError where that would change nothing: no convolution to lay out, no block to compute again.
    """
    if train.channels_last:
        lay_out(network, channels_last=True)
    return recompute_blocks(network) if train.checkpointing else network


def prepared_for_sampling(network: nn.Module, train: Train, sample: Sample) -> nn.Module:
    """The trained network laid out as ``sample`` declares, in place; it may have been trained otherwise."""
    if train.channels_last != sample.channels_last:
        lay_out(network, channels_last=sample.channels_last)
    return network


def lay_out(network: nn.Module, *, channels_last: bool) -> None:
    """Keep the weights of convolutions in the order in which activations are kept, or in PyTorch's own.

    Raises ValueError for a network without convolutions.
    """
    if not any(isinstance(module, nn.Conv2d | nn.ConvTranspose2d) for module in network.modules()):
        raise ValueError(f"{type(network).__name__} has no convolution: leave train.channels_last and sample.channels_last out")
    memory_format = torch.channels_last if channels_last else torch.contiguous_format
    for parameter in network.parameters():
        if parameter.dim() == 4:
            parameter.data = parameter.data.contiguous(memory_format=memory_format)


def compiled(network: nn.Module) -> nn.Module:
    """``network`` through PyTorch's compiler; its parameters stay its own.

    What the compiler refuses is raised where it is called. So is being compiled more often than the compiler's limit, after
    which it would go on un-compiled. Parts that it leaves to Python (``graph_breaks``) are counted, for the record.
    """
    prepare_compiler()
    # Every shape that comes is known, and warmed up.
    return cast(nn.Module, torch.compile(network, dynamic=False))


def prepare_compiler() -> None:
    """Make the compiler refuse aloud, and take every network of this package as one graph."""
    import torch._dynamo.config as config

    config.suppress_errors = False
    config.fail_on_recompile_limit_hit = True
    config.allow_rnn = True  # else an LSTM parts the graph
    settle_for_the_compiler()


def graph_breaks() -> int:
    """Places at which the compiler has left compiled code for Python, in this process."""
    from torch._dynamo.utils import counters

    return sum(counters["graph_break"].values())


def require_compiler(device: torch.device) -> None:
    """Raise ValueError, with what to install, where nothing can be compiled for ``device``."""
    if device.type == "cuda":
        if find_spec("triton") is None:
            raise ValueError("compile needs Triton on CUDA devices: pip install triton, or leave compile out")
        return
    from torch._inductor import config

    wanted = config.cpp.cxx
    candidates = [each for each in (wanted if isinstance(wanted, tuple | list) else [wanted]) if each]
    if not any(shutil.which(each) for each in candidates):
        raise ValueError(
            "compile needs a C++ compiler on a CPU and finds none: install one (apt install g++), name it in CXX, or leave "
            "compile out"
        )
    headers = Path(sysconfig.get_path("include")) / "Python.h"
    if not headers.is_file():
        raise ValueError(
            f"compile needs Python's headers on a CPU, and {headers} is not there: install them (apt install python3-dev), or "
            "leave compile out"
        )
