"""The GPUs that a process may compute on: those of the machine, as ``CUDA_VISIBLE_DEVICES`` leaves them.

CUDA reads that variable from left to right, up to the first name that is no device: -1, and the NoDevFiles of schedulers, hide
all that follow. It counts the fastest device as 0 unless CUDA_DEVICE_ORDER is PCI_BUS_ID, where NVML counts by slot. Among
devices of one kind that is the same; among several kinds a bare number does not say which device is meant, and is refused.
"""

from __future__ import annotations

import os

from vdmbench.measure.nvml import Gpu, NvmlUnavailable, list_gpus

_NONE = {"", "NoDevFiles", "void", "none"}


class NoSuchGpu(ValueError):
    """What ``CUDA_VISIBLE_DEVICES`` names is not there, or may be one of several; the message says what to write."""


def visible_gpus() -> list[Gpu]:
    """In the order that CUDA gives them; empty where none is there, or all are hidden.

    :raises NoSuchGpu: see there.
    :raises NvmlUnavailable: there is no driver that could tell.
    """
    visible = os.environ.get("CUDA_VISIBLE_DEVICES")
    if visible is not None and _hides(visible.split(",")[0]):
        return []
    known = list_gpus()
    if visible is None or not known:
        return known
    found: list[Gpu] = []
    for name in (part.strip() for part in visible.split(",")):
        gpu = None if _hides(name) else _named(name, visible, known)
        if gpu is None and not found and not _hides(name):
            raise NoSuchGpu(f"CUDA_VISIBLE_DEVICES={visible}: no such GPU; there are: {told(known)}")
        if gpu is None:
            break
        if gpu in found:
            raise NoSuchGpu(f"CUDA_VISIBLE_DEVICES={visible} names {gpu.uuid} twice, and CUDA shows none then; name each once")
        found.append(gpu)
    return found


def told(gpus: list[Gpu]) -> str:
    """Each by its number, as nvidia-smi counts, and its UUID."""
    return ", ".join(f"{gpu.slot} ({gpu.uuid})" for gpu in gpus)


def several_kinds(gpus: list[Gpu]) -> bool:
    """Whether CUDA and NVML may count them differently."""
    by_slot = os.environ.get("CUDA_DEVICE_ORDER") == "PCI_BUS_ID"
    return not by_slot and len({gpu.card for gpu in gpus}) > 1


def kinds(gpus: list[Gpu]) -> str:
    """Their names, each once."""
    return " and ".join(sorted({gpu.card for gpu in gpus}))


def gpu_is_visible() -> bool:
    """Whether there is one that a cell could be given without being told which."""
    try:
        return bool(visible_gpus())
    except NoSuchGpu:  # there are some, and which is meant is asked where one is chosen
        return True
    except NvmlUnavailable:
        return False


def _hides(name: str) -> bool:
    """Whether nothing is seen from here on by declaration, and not by mistake."""
    name = name.strip()
    return name in _NONE or (name[:1] == "-" and name[1:].isdigit())


def _named(name: str, visible: str, known: list[Gpu]) -> Gpu | None:
    if not name.isdigit():
        # The beginning of a UUID will do where no other device's begins so.
        found = [gpu for gpu in known if name.startswith(("GPU-", "MIG-")) and gpu.uuid.startswith(name)]
        return found[0] if len(found) == 1 else None
    if several_kinds(known):
        raise NoSuchGpu(
            f"CUDA_VISIBLE_DEVICES={visible}: this machine has {kinds(known)}, and CUDA counts the fastest first where "
            "nvidia-smi counts by slot; set CUDA_DEVICE_ORDER=PCI_BUS_ID, or name UUIDs"
        )
    # Of a device that is divided, CUDA shows the first part.
    return next((gpu for gpu in known if gpu.slot == int(name)), None)
