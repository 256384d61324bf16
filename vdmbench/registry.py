"""Names that a suite may use, and what stands behind each.

A table maps a name to a lazy ``module:attribute`` target, a lazy option model (pydantic) and one line of help. Nothing
here imports torch, so that a suite, the options of its mixers included, is validated without it. Other packages add
names through the entry-point group ``vdmbench.<table>``; an entry point loads to an :class:`Entry`.
"""

from __future__ import annotations

import difflib
import importlib
import importlib.metadata
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Literal


class UnknownName(KeyError):
    """A name that no table entry carries; the message names the closest one and all of them."""

    def __init__(self, kind: str, name: str, known: list[str]) -> None:
        self.kind, self.name, self.known = kind, name, known
        close = difflib.get_close_matches(name, known, n=1, cutoff=0.5)
        hint = f"did you mean '{close[0]}'?" if close else f"known: {', '.join(known)}"
        self.message = f"unknown {kind} '{name}', {hint}"
        super().__init__(self.message)

    def __str__(self) -> str:
        return self.message


class NameTaken(ValueError):
    """Two entries of one table claim the same name."""


def load_attribute(path: str) -> Any:
    """Import ``package.module:attribute`` and return the attribute."""
    module, _, attribute = path.partition(":")
    return getattr(importlib.import_module(module), attribute)


@dataclass(frozen=True)
class Entry:
    """One name: the ``module:attribute`` that builds it, the one that holds its option model, a line of help."""

    name: str
    target: str
    options: str
    help: str
    parts: tuple[str, ...] = ()
    """Of a metric: what it gives beside its value, for claims on ``<metric>.<part>`` (:data:`vdmbench.quantities.PARTS`)."""
    better: Literal["lower", "higher"] | None = None
    """Of a metric: its direction, for results that do not say ``lower_is_better`` themselves. No suite may name one without."""

    def load(self) -> Any:
        """Import and return what the name stands for."""
        return load_attribute(self.target)

    def load_options(self) -> Any:
        """Import and return the pydantic model of its options."""
        return load_attribute(self.options)


class Table:
    """The entries of one kind, in the order they were added."""

    def __init__(self, kind: str, plural: str, *, directed: bool = False) -> None:
        self.kind, self.plural = kind, plural
        self.directed = directed  # an entry must say whether less or more of it is better
        self._entries: dict[str, Entry] = {}
        self._plugins_loaded = False

    def add(
        self,
        name: str,
        target: str,
        options: str,
        help: str,
        parts: tuple[str, ...] = (),
        better: Literal["lower", "higher"] | None = None,
    ) -> None:
        """Enter a name; raises :class:`NameTaken` where another entry holds it."""
        self._insert(Entry(name, target, options, help, parts, better))

    def __getitem__(self, name: str) -> Entry:
        self._load_plugins()
        try:
            return self._entries[name]
        except KeyError:
            raise UnknownName(self.kind, name, sorted(self._entries)) from None

    def __iter__(self) -> Iterator[Entry]:
        self._load_plugins()
        return iter(self._entries.values())

    def __contains__(self, name: object) -> bool:
        self._load_plugins()
        return name in self._entries

    def _insert(self, entry: Entry) -> None:
        taken = self._entries.get(entry.name)
        if taken is not None and taken != entry:
            raise NameTaken(f"{self.kind} '{entry.name}' is {taken.target} already, so {entry.target} cannot take the name")
        self._entries[entry.name] = entry

    def _load_plugins(self) -> None:
        if self._plugins_loaded:
            return
        self._plugins_loaded = True
        for point in importlib.metadata.entry_points(group=f"vdmbench.{self.plural}"):
            entry = point.load()
            if not isinstance(entry, Entry):
                raise TypeError(
                    f"entry point '{point.name}' of group vdmbench.{self.plural} must be a registry.Entry, "
                    f"got {type(entry).__name__}"
                )
            self._insert(entry)


mixers = Table("mixer", "mixers")
networks = Table("network", "networks")
sources = Table("data source", "sources")
metrics = Table("metric", "metrics", directed=True)
tables = {table.plural: table for table in (mixers, networks, sources, metrics)}

_MIXER_OPTIONS = "vdmbench.suite.options.mixers"
mixers.add(
    "identity",
    "vdmbench.mixers.identity:Identity",
    f"{_MIXER_OPTIONS}:IdentityOptions",
    "no temporal mixing: the floor that every table needs",
)
mixers.add(
    "mlp",
    "vdmbench.mixers.mlp:MLP",
    f"{_MIXER_OPTIONS}:MLPOptions",
    "a perceptron on each frame: after a mixer as second of a pair in series, or a floor with parameters",
)
mixers.add(
    "attention",
    "vdmbench.mixers.attention:Attention",
    f"{_MIXER_OPTIONS}:AttentionOptions",
    "softmax attention over frames; the kernel (un-fused or fused) is declared",
)
mixers.add(
    "linear-attention",
    "vdmbench.mixers.linear_attention:LinearAttention",
    f"{_MIXER_OPTIONS}:LinearAttentionOptions",
    "linear attention: softmax feature maps, or ReLU with a normaliser",
)
mixers.add(
    "s4d",
    "vdmbench.mixers.s4d:S4D",
    f"{_MIXER_OPTIONS}:S4DOptions",
    "diagonal complex linear time-invariant SSM by FFT, one- or two-directional",
)
mixers.add(
    "mamba",
    "vdmbench.mixers.mamba:Mamba",
    f"{_MIXER_OPTIONS}:MambaOptions",
    "Mamba-1 selective scan (S6), one- or two-directional",
)
mixers.add(
    "sliding-attention",
    "vdmbench.mixers.sliding_attention:SlidingAttention",
    f"{_MIXER_OPTIONS}:SlidingAttentionOptions",
    "softmax attention to the frames within a window",
)
mixers.add(
    "mamba2",
    "vdmbench.mixers.mamba2:Mamba2",
    f"{_MIXER_OPTIONS}:Mamba2Options",
    "Mamba-2 (SSD): one decay a head, scanned by matrix products, one- or two-directional",
)
mixers.add(
    "hydra",
    "vdmbench.mixers.hydra:Hydra",
    f"{_MIXER_OPTIONS}:HydraOptions",
    "Hydra: both directions of time as one quasi-separable matrix",
)
mixers.add(
    "gated-delta-net",
    "vdmbench.mixers.gated_delta_net:GatedDeltaNet",
    f"{_MIXER_OPTIONS}:GatedDeltaNetOptions",
    "Gated DeltaNet: linear attention that forgets and replaces, one- or two-directional",
)
mixers.add(
    "lstm", "vdmbench.mixers.lstm:LSTM", f"{_MIXER_OPTIONS}:LSTMOptions", "LSTM, one- or two-directional: the classic baseline"
)
mixers.add(
    "pair",
    "vdmbench.mixers.pair:Pair",
    f"{_MIXER_OPTIONS}:PairOptions",
    "two mixers in parallel or in series, such as windowed attention beside Mamba",
)

networks.add(
    "unet3d",
    "vdmbench.networks.unet3d:UNet3D",
    "vdmbench.suite.options.networks:UNet3DOptions",
    "space-time factorised UNet of Oshima et al. 2024",
)
networks.add(
    "dit",
    "vdmbench.networks.dit:DiT",
    "vdmbench.suite.options.networks:DiTOptions",
    "video diffusion transformer: blocks in a row, any mixer over any scan order in each",
)
for _size, _help in (
    ("5M", "192 wide, 8 blocks"),
    ("20M", "384 wide, 8 blocks"),
    ("130M", "768 wide, 12 blocks, as DiT-B"),
    ("1B", "1536 wide, 24 blocks"),
    ("5B", "3072 wide, 24 blocks, cross-attention to text"),
):
    networks.add(
        f"dit-{_size.lower()}",
        "vdmbench.networks.dit:DiT",
        f"vdmbench.suite.options.networks:DiT{_size}Options",
        f"the dit of about {_size} parameters: {_help}",
    )

_SOURCE_OPTIONS = "vdmbench.suite.options.sources"
sources.add(
    "sprites",
    "vdmbench.data.procedural.sprites:Sprites",
    f"{_SOURCE_OPTIONS}:SpritesOptions",
    "procedural sprites that move and bounce; needs nothing",
)
sources.add(
    "shapes",
    "vdmbench.data.procedural.shapes:Shapes",
    f"{_SOURCE_OPTIONS}:ShapesOptions",
    "procedural: one flat shape of one colour that moves on a flat ground; needs nothing",
)
sources.add(
    "maze",
    "vdmbench.data.procedural.maze:Maze",
    f"{_SOURCE_OPTIONS}:MazeOptions",
    "procedural first-person walk through a ray-cast maze; needs nothing",
)
sources.add(
    "folder",
    "vdmbench.data.files.folder:Folder",
    f"{_SOURCE_OPTIONS}:FolderOptions",
    "a folder with train/ and test/ of movies, arrays or folders of images, recorded sets included",
)
sources.add(
    "store",
    "vdmbench.data.store.store:Store",
    f"{_SOURCE_OPTIONS}:StoreOptions",
    "a data set that 'vdmbench data prepare' made: the fastest to read",
)
sources.add(
    "minerl-navigate",
    "vdmbench.data.files.published:MineRLNavigate",
    f"{_SOURCE_OPTIONS}:PublishedOptions",
    "MineRL Navigate: 500 frames of 64x64, walks through a voxel world",
)
sources.add(
    "gqn-mazes",
    "vdmbench.data.files.published:GQNMazes",
    f"{_SOURCE_OPTIONS}:PublishedOptions",
    "GQN-Mazes: 300 frames of 64x64, walks through small mazes",
)
sources.add(
    "carla-town01",
    "vdmbench.data.files.published:CarlaTown01",
    f"{_SOURCE_OPTIONS}:PublishedOptions",
    "CARLA Town01 without traffic: 1000 frames of 128x128 from a car, with coordinates",
)
sources.add(
    "teco-dmlab",
    "vdmbench.data.files.published:TecoDMLab",
    f"{_SOURCE_OPTIONS}:PublishedOptions",
    "DMLab of TECO: 300 frames of 64x64, mazes, with actions",
)
sources.add(
    "teco-minecraft",
    "vdmbench.data.files.published:TecoMinecraft",
    f"{_SOURCE_OPTIONS}:PublishedOptions",
    "Minecraft of TECO: 300 frames of 128x128, with actions",
)
sources.add(
    "moving-mnist",
    "vdmbench.data.files.published:MovingMNIST",
    f"{_SOURCE_OPTIONS}:PublishedOptions",
    "Moving MNIST: 20 frames of 64x64, two digits that bounce",
)

OF_A_DISTANCE = ("debiased", "coverage", "recall", "kvd")
"""Parts of every distance between sets of videos."""

metrics.add(
    "ste-fd",
    "vdmbench.metrics.catalogue:ste_fd",
    "vdmbench.suite.options.metrics:FrechetOptions",
    "Fréchet distance on spatio-temporal-energy features (not FVD); no download",
    OF_A_DISTANCE,
    better="lower",
)
metrics.add(
    "faithfulness",
    "vdmbench.metrics.faithfulness:Faithfulness",
    "vdmbench.suite.options.metrics:FaithfulnessOptions",
    "how often clips of one sprite show what they were told, read by a small classifier; higher is better",
    better="higher",
)
metrics.add(
    "fvd",
    "vdmbench.metrics.catalogue:fvd",
    "vdmbench.suite.options.metrics:FvdOptions",
    "Fréchet video distance on the I3D it is defined on; weights are fetched once",
    OF_A_DISTANCE,
    better="lower",
)
