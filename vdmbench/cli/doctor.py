"""``vdmbench doctor``: what this machine has, and how to get what it lacks."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from vdmbench.cli.options import AsJson
from vdmbench.cli.terminal import print_table, say_json, simple_table, styled

_OPTIONAL = {
    "vizdoom": "records real video (pip install 'vdmbench[record]')",
    "av": "reads and writes mp4 (pip install 'vdmbench[fvd]')",
    "xformers": "attention kernels (pip install 'vdmbench[gpu]')",
    "mamba_ssm": "Mamba's CUDA kernels (pip install --no-build-isolation mamba-ssm; compiles for minutes against your torch, "
    "and nothing here needs it)",
    "ray": "runs suites on a Ray cluster (pip install 'vdmbench[ray]')",
    "submitit": "runs suites under Slurm (pip install 'vdmbench[slurm]')",
    "tensorboardX": "shows runs in TensorBoard (pip install 'vdmbench[tensorboard]')",
    "wandb": "shows runs in Weights & Biases (pip install 'vdmbench[wandb]')",
}


def _examine() -> dict[str, Any]:
    from importlib.util import find_spec

    import torch

    import vdmbench.ops
    from vdmbench.measure import NvmlUnavailable, capture, list_gpus

    try:
        nvml: dict[str, Any] = {"gpus": [asdict(gpu) for gpu in list_gpus()], "why_not": None}
    except NvmlUnavailable as error:
        nvml = {"gpus": [], "why_not": str(error)}
    devices = ["cpu", *(["cuda"] if torch.cuda.is_available() else [])]
    return {
        "environment": capture(),
        "nvml": nvml,
        "devices": devices,
        "backends": [asdict(status) for device in devices for status in vdmbench.ops.backends.statuses(device)],
        "packages": {name: find_spec(name) is not None for name in _OPTIONAL},
    }


def doctor(as_json: AsJson = False) -> None:
    """Show devices, kernels and optional packages; for each that is missing, why and how to get it."""

    found = _examine()
    if as_json:
        say_json(found)
        return
    environment = found["environment"]
    machine = simple_table("Machine", ["what", "found"])
    machine.add_row("python, torch", f"{environment['python']}, {environment['torch']['version']}")
    machine.add_row("CPU", f"{environment['cpu']['model']}, {environment['cpu']['cores_visible']} cores usable")
    machine.add_row("CUDA for PyTorch", "yes" if "cuda" in found["devices"] else "no: cells run on the CPU")
    for gpu in found["nvml"]["gpus"]:
        machine.add_row("GPU", f"{gpu['name']}, {gpu['total_bytes'] / 2**30:.1f} GiB, {gpu['uuid']}")
    if found["nvml"]["why_not"]:
        machine.add_row("GPU memory (NVML)", f"no: {found['nvml']['why_not']}")
    print_table(machine)

    kernels = simple_table("Kernels", ["op", "backend", "device", "usable", "why not"])
    for status in found["backends"]:
        usable = status["why_not"] is None
        kernels.add_row(
            status["op"],
            status["backend"],
            status["device"],
            styled("yes" if usable else "no", style="green" if usable else "dim"),
            status["why_not"] or "",
        )
    print_table(kernels)

    packages = simple_table("Optional packages", ["package", "there", "for what, and how to get it"])
    for name, there in found["packages"].items():
        packages.add_row(name, styled("yes" if there else "no", style="green" if there else "dim"), _OPTIONAL[name])
    print_table(packages)
