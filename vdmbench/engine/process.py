"""The declared diffusion process as a live one."""

from __future__ import annotations

import torch

from vdmbench.diffusion import EDM, Diffusion, FlowMatching, Process
from vdmbench.suite.diffusion import DiscreteDiffusion, EDMDiffusion, FlowDiffusion

_PROCESSES: dict[str, type[Process]] = {"discrete": Diffusion, "flow": FlowMatching, "edm": EDM}


def make_process(declared: DiscreteDiffusion | FlowDiffusion | EDMDiffusion, device: torch.device) -> Process:
    """Declared fields have the names of the process's keywords."""
    return _PROCESSES[declared.process](device=device, **declared.model_dump(exclude={"process"}))
