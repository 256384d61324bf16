"""Reading I3D weights from the forms they are published in, into one: arrays by our own names."""

from __future__ import annotations

import hashlib
import pickle
import warnings
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor

from vdmbench.metrics.archive import WeightsError, unpickle_arrays
from vdmbench.metrics.i3d.network import I3D

Arrays = dict[str, Tensor]


def read_checkpoint(path: Path) -> Arrays:
    """Arrays of a weight file: our safetensors, the pickled arrays of the package index, a torch state dict, or TorchScript.

    Published ports list the 57 convolutions in the network's order, whatever they call them, so that order and shapes
    carry the names over. No code from the file is run. Raises :class:`WeightsError` on anything else.
    """
    if not path.is_file():
        raise WeightsError(f"{path}: no such weight file")
    if path.suffix == ".safetensors":
        try:
            return load_file(path)
        except SafetensorError as cause:
            raise WeightsError(f"{path}: is damaged ({cause})") from cause
    if not zipfile.is_zipfile(path):
        return from_flax(unpickle_arrays(path.read_bytes()))
    try:
        with zipfile.ZipFile(path) as archive:
            scripted = any(name.endswith("/constants.pkl") for name in archive.namelist())
        state: Any = _scripted_state(path) if scripted else torch.load(path, map_location="cpu", weights_only=True)
    except (RuntimeError, pickle.UnpicklingError, zipfile.BadZipFile) as cause:
        reason = str(cause).strip().splitlines()[0]
        raise WeightsError(f"{path}: cannot be read as torch weights ({reason})") from cause
    if not isinstance(state, dict):
        raise WeightsError(f"{path}: holds a {type(state).__name__}, not a state dict")
    return from_state_dict(state.get("state_dict", state))


def from_flax(tree: Any) -> Arrays:
    """From ``{"params": ..., "batch_stats": ...}`` with kernels (frames rows columns inputs outputs)."""
    try:
        leaves = [*_leaves(tree["params"]), *_leaves(tree["batch_stats"])]
    except (TypeError, KeyError, AttributeError) as cause:
        raise WeightsError("the checkpoint is no pair of 'params' and 'batch_stats'") from cause
    kernels = [torch.from_numpy(array).permute(4, 3, 0, 1, 2) for path, array in leaves if path[-1] == "kernel"]
    parts = {
        name: [torch.from_numpy(array).flatten() for path, array in leaves if path[-1] == name]
        for name in ("bias", "mean", "var")
    }
    return _named(kernels, parts["bias"], parts["mean"], parts["var"])


def from_state_dict(state: dict[str, Tensor]) -> Arrays:
    """From a torch port's state dict: each 5-D weight, and the offsets and statistics that follow."""
    kernels = [value for value in state.values() if value.ndim == 5]
    biases = [value for name, value in state.items() if name.endswith(".bias")]
    means = [value for name, value in state.items() if name.endswith("running_mean")]
    variances = [value for name, value in state.items() if name.endswith("running_var")]
    gains = [value for name, value in state.items() if name.endswith(".weight") and value.ndim == 1]
    if any(not torch.equal(gain, torch.ones_like(gain)) for gain in gains):
        raise WeightsError("the checkpoint's normalisation has gains, so it is not the network that FVD is defined on")
    return _named(kernels, biases, means, variances)


def _scripted_state(path: Path) -> dict[str, Tensor]:
    """Arrays of a TorchScript file, whose code stays unrun."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # of TorchScript as a whole; the published file is what it is
        return torch.jit.load(path, map_location="cpu").state_dict()


def digest(arrays: Arrays) -> str:
    """SHA-256 over names, shapes and float32 bytes: the same for the same weights in any form."""
    total = hashlib.sha256()
    for name in sorted(arrays):
        total.update(f"{name} {tuple(arrays[name].shape)}\n".encode())
        total.update(arrays[name].float().contiguous().numpy().tobytes())
    return total.hexdigest()


def load_into(network: I3D, arrays: Arrays) -> None:
    """Copy arrays into a fresh network; raises :class:`WeightsError` where names or shapes do not fit."""
    expected = _expected(network).items()
    for name, target in expected:
        if name not in arrays or arrays[name].shape != target.shape:
            found = tuple(arrays[name].shape) if name in arrays else "nothing"
            raise WeightsError(f"the weights hold {found} for '{name}' where I3D has {tuple(target.shape)}")
    with torch.no_grad():
        for name, target in expected:
            target.copy_(arrays[name])


def _expected(network: I3D) -> Arrays:
    """The arrays that define the network, by name, in its order; a normalisation's gain stays one."""
    state = network.state_dict()
    return {
        name: value
        for name, value in state.items()
        if not name.endswith("num_batches_tracked") and not name.endswith("norm.weight")
    }


def _named(kernels: list[Tensor], biases: list[Tensor], means: list[Tensor], variances: list[Tensor]) -> Arrays:
    with torch.device("meta"):
        names = _expected(I3D())
    queues = {
        "conv.weight": iter(kernels[:-1]),
        "norm.bias": iter(biases[:-1]),
        "norm.running_mean": iter(means),
        "norm.running_var": iter(variances),
        "logits.weight": iter(k.flatten(1) for k in kernels[-1:]),
        "logits.bias": iter(biases[-1:]),
    }
    arrays = {}
    for name, target in names.items():
        queue = next(queue for suffix, queue in queues.items() if name.endswith(suffix))
        value = next(queue, None)
        if value is None or value.shape != target.shape:
            found = "nothing" if value is None else tuple(value.shape)
            raise WeightsError(
                f"the checkpoint is no I3D for Kinetics-400: it has {found} where '{name}' is {tuple(target.shape)}"
            )
        arrays[name] = value.float().contiguous()
    return arrays


def _leaves(tree: dict[str, Any], path: tuple[str, ...] = ()) -> list[tuple[tuple[str, ...], np.ndarray]]:
    found: list[tuple[tuple[str, ...], np.ndarray]] = []
    for name, value in tree.items():
        found += _leaves(value, (*path, name)) if isinstance(value, dict) else [((*path, name), value)]
    return found
