"""The machine that memory is planned for: a card, and the optional packages that are there."""

from __future__ import annotations

from dataclasses import dataclass, field

import torch

from vdmbench.cards import PLANNED_FOR
from vdmbench.ops.backends import optional_packages


def packages_here() -> frozenset[str]:
    """The optional packages whose kernels would run here, by their names for pip.

    Where PyTorch is one without CUDA the plan is for another machine, and PyTorch's builds for CUDA bring Triton.
    """
    here = {package for package, installed in optional_packages().items() if installed}
    return frozenset(here if torch.version.cuda else here | {"triton"})


def every_package() -> frozenset[str]:
    """All that a backend of an op comes from."""
    return frozenset(optional_packages())


@dataclass(frozen=True)
class Target:
    """Beside the declaration and PyTorch's version this is what planned memory follows from.

    Attributes:
        card: a graphics card's name.
        packages: optional packages that its machine has.
    """

    card: str = PLANNED_FOR
    packages: frozenset[str] = field(default_factory=packages_here)
