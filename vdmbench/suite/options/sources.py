"""Options of data sources."""

from __future__ import annotations

from pydantic import Field

from vdmbench.suite.model import Declared
from vdmbench.suite.quantities import Seed


class ProceduralOptions(Declared):
    """What all computed sources share."""

    seed: Seed = 0
    """Another seed is another data set."""
    train_videos: int = Field(10_000, ge=1, le=10_000_000)
    """Videos of the train split."""
    test_videos: int = Field(2_048, ge=1, le=10_000_000)
    """Videos of the test split."""
    video_frames: int | None = Field(None, ge=1, le=10_000_000)
    """Frames of every video; by default just the frames of a clip, so that a training window is a whole video."""


class SpritesOptions(ProceduralOptions):
    """Sprites that move and bounce."""

    sprites: int = Field(4, ge=1, le=1_024)
    """Sprites in a video; the later ones pass in front."""
    speed: float = Field(0.04, gt=0, le=0.5)
    """Sides of the frame that the fastest sprite crosses per frame; the slowest is half as fast."""


class ShapesOptions(ProceduralOptions):
    """One flat shape that moves and bounces."""

    speed: float = Field(0.05, gt=0, le=0.5)
    """Sides of the frame that the fastest shape crosses per frame; the slowest is half as fast."""


class MazeOptions(ProceduralOptions):
    """A first-person walk through a maze."""

    rooms: int = Field(5, ge=2, le=256)
    """Crossings along each side of the maze; crossings are two squares apart."""
    frames_per_square: int = Field(8, ge=1, le=100_000)
    """Frames in which the walker crosses one square, or turns by 90 degrees in it."""


class FolderOptions(Declared):
    """Videos in files."""

    path: str = Field(min_length=1)
    """Folder that holds train/ and test/, a video in every file or folder of images."""


class StoreOptions(Declared):
    """A prepared data set."""

    path: str = Field(min_length=1)
    """Folder that 'vdmbench data prepare' wrote."""


class PublishedOptions(Declared):
    """A published data set, where it was unpacked, in the layout of its authors."""

    path: str = Field(min_length=1)
    """Its folder."""
