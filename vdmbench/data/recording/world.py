"""What can be recorded: a world that plays episodes, each a function of its options and the episode's number alone."""

from __future__ import annotations

import importlib
import importlib.metadata
from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from types import ModuleType
from typing import Any, ClassVar, NamedTuple

import numpy as np
from jaxtyping import UInt8

from vdmbench.data.source import DataError


class Episode(NamedTuple):
    """What was seen, and what is known of each frame."""

    video: UInt8[np.ndarray, "frames size size 3"]
    annotations: Mapping[str, np.ndarray]


@dataclass(frozen=True, kw_only=True)
class World(ABC):
    """Options that every world has; a subclass adds its own, and how to play.

    Raises:
        DataError: where an option cannot be met.
    """

    recorder: ClassVar[str]
    """What a recording says it was made by."""
    package: ClassVar[str]
    """The Python package that plays."""
    recorded: ClassVar[tuple[str, ...]] = ("actions",)
    """Names of the annotations of every episode."""

    frames: int = 300
    """Of each episode."""
    size: int = 64
    """Height and width of what is kept, in pixels."""
    seed: int = 0
    frame_skip: int = 2
    """Steps of the world from one frame to the next."""

    def __post_init__(self) -> None:
        for name, value, least in (
            ("frames", self.frames, 1),
            ("size", self.size, 1),
            ("seed", self.seed, 0),
            ("frame_skip", self.frame_skip, 1),
        ):
            if value < least:
                raise DataError(f"{name} must be at least {least}, got {value}")

    @abstractmethod
    def play(self, episode: int) -> Episode:
        """Play one episode; it may litter the working directory."""

    def origin(self) -> dict[str, Any]:
        """What made a recording, as its manifest states it."""
        engine = self.engine()
        version = getattr(engine, "__version__", None) or importlib.metadata.version(self.package)
        return {"recorder": self.recorder, "engine": f"{self.package} {version}", **asdict(self)}

    def engine(self) -> ModuleType:
        """Import the package that plays.

        Raises:
            DataError: where it is not installed.
        """
        try:
            return importlib.import_module(self.package)
        except ImportError as error:
            raise DataError(
                f"recording needs the package {self.package}, which cannot be imported ({error}); "
                "pip install 'vdmbench[record]'"
            ) from error

    def generator(self, episode: int) -> np.random.Generator:
        """The random stream of one episode."""
        return np.random.default_rng(np.random.SeedSequence(self.seed, spawn_key=(episode,)))


def known(kind: str, name: str, names: Mapping[str, Any] | tuple[str, ...]) -> None:
    """Raise :class:`DataError` where ``name`` is not among ``names``."""
    if name not in names:
        raise DataError(f"unknown {kind} '{name}'; known: {', '.join(names)}")
