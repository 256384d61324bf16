"""Features of real clips, measured once and shared by every cell that is judged against them."""

from __future__ import annotations

import hashlib
import json
import logging
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from vdmbench.metrics.controls import EACH_CLIP, VERSION, Control
from vdmbench.metrics.durable import DamagedTensors, load_sealed, save_sealed
from vdmbench.metrics.extractor import ClipFeatures, Extractor, Origins, cut_features, extract, in_batches
from vdmbench.metrics.protocol import Protocol
from vdmbench.metrics.video import check_uint8

FORMAT = 3


class DamagedReference(ValueError):
    """A cached reference that cannot be read, was changed, or holds another key than its name says."""


_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Reference:
    """Features of the real clips, of held-out real clips, and of held-out clips after each control."""

    key: str
    real: ClipFeatures
    held_out: ClipFeatures
    controls: dict[str, ClipFeatures]
    """Of the controls that break each clip by itself; rows match the first rows of ``held_out``."""
    apart: ClipFeatures | None = None
    """The real clips that floor and controls are measured against, where held-out clips are among ``real``."""

    def save(self, path: Path) -> None:
        """Write as safetensors; the file appears whole or not at all."""
        sets = {"real": self.real, "held_out": self.held_out, **{f"control.{k}": v for k, v in self.controls.items()}}
        if self.apart is not None:
            sets["apart"] = self.apart
        _save(sets, path, self.key)

    @classmethod
    def load(cls, path: Path, key: str) -> Reference:
        """Read a saved reference; raises :class:`DamagedReference` where it is torn, was changed or holds another key."""
        sets = _load(path, key)
        controls = {name: sets[f"control.{name}"] for name in EACH_CLIP}
        return cls(key, sets["real"], sets["held_out"], controls, sets.get("apart"))


def reference_key(
    protocol: Protocol, fingerprint: str, control_clips: int, seed: int, origins: Sequence[Origins | None] = ()
) -> str:
    """What a cached reference is valid for: the data and where it was cut, the protocol, and the draw of its controls."""
    declared = {
        "format": FORMAT,
        "protocol": protocol.canonical(),
        "data": fingerprint,
        "control_clips": control_clips,
        "controls": [VERSION, *sorted(EACH_CLIP)],
        "seed": seed,
        "origins": [each and [each.videos.tolist(), each.starts.tolist()] for each in origins],
    }
    return hashlib.sha256(json.dumps(declared, sort_keys=True).encode()).hexdigest()


def build_reference(
    extractor: Extractor,
    protocol: Protocol,
    real: Tensor | Iterable[Tensor],
    held_out: Tensor | Iterable[Tensor],
    *,
    fingerprint: str,
    real_origins: Origins | None = None,
    held_out_origins: Origins | None = None,
    control_clips: int = 64,
    seed: int = 0,
    cache: Path | None = None,
) -> Reference:
    """Features of ``real`` and ``held_out`` clips (uint8, batch frames 3 height width), from ``cache`` where it has them.

    ``held_out`` are real clips apart from ``real`` (other episodes, so that no moment is in both): they say what
    real clips get, the floor, and the first ``control_clips`` of them, broken on purpose, the controls. ``fingerprint``
    names the data of both sets; with it and the protocol a reference in the folder ``cache`` is found again. One that is
    damaged is measured anew, and the log says so. Origins say which clips come from one video; without them each clip is a
    video of its own.
    """
    key = reference_key(protocol, fingerprint, control_clips, seed, (real_origins, held_out_origins))
    path = None if cache is None else cache / f"{key[:40]}.safetensors"
    if path is not None and path.exists():
        try:
            return Reference.load(path, key)
        except DamagedReference as error:
            _log.warning("%s; the features are measured anew", error)
    generator = torch.Generator().manual_seed(seed)
    broken: dict[str, list[ClipFeatures]] = {name: [] for name in EACH_CLIP}

    def drawn(damage: Control) -> Callable[[Tensor], Tensor]:
        return lambda clips: damage(clips, generator)

    def with_controls() -> Iterable[Tensor]:
        used = 0
        for batch in in_batches(held_out):
            head = check_uint8(batch)[: max(control_clips - used, 0)]
            if len(head):
                origins = held_out_origins or Origins.apart(used + len(head))
                for name, damage in EACH_CLIP.items():
                    broken[name].append(cut_features(extractor, head, protocol, origins, used, drawn(damage)))
                used += len(head)
            yield batch

    real_features = extract(extractor, in_batches(real), protocol, real_origins)
    held_features = extract(extractor, with_controls(), protocol, held_out_origins)
    controls = {name: ClipFeatures.joined(parts) for name, parts in broken.items()}
    reference = Reference(key, real_features, held_features, controls)
    if path is not None:
        reference.save(path)
    return reference


def training_features(
    extractor: Extractor,
    protocol: Protocol,
    clips: Iterable[Tensor],
    *,
    fingerprint: str,
    origins: Origins,
    cache: Path | None = None,
) -> ClipFeatures:
    """Features of training clips, to hold generated ones against; from ``cache`` where it has them, as of a reference."""
    key = reference_key(protocol, fingerprint, 0, 0, (origins,))
    path = None if cache is None else cache / f"{key[:40]}.safetensors"
    if path is not None and path.exists():
        try:
            return _load(path, key)["training"]
        except DamagedReference as error:
            _log.warning("%s; the features are measured anew", error)
    found = extract(extractor, clips, protocol, origins)
    if path is not None:
        _save({"training": found}, path, key)
    return found


def _save(sets: dict[str, ClipFeatures], path: Path, key: str) -> None:
    tensors = {f"{name}.{column}": rows for name, clips in sets.items() for column, rows in clips.columns().items()}
    one = next(iter(sets.values()))
    rows, columns = one.size
    save_sealed(tensors, path, {"key": key, "clip": f"{one.frames} {rows} {columns}"})


def _load(path: Path, key: str) -> dict[str, ClipFeatures]:
    try:
        tensors, metadata = load_sealed(path)
    except DamagedTensors as error:
        raise DamagedReference(str(error)) from error
    if metadata.get("key") != key:
        raise DamagedReference(f"{path}: holds features of other data or of another protocol")
    frames, rows, columns = map(int, metadata["clip"].split())
    held: dict[str, dict[str, Tensor]] = {}
    for told, tensor in tensors.items():
        name, _, column = told.rpartition(".")
        held.setdefault(name, {})[column] = tensor
    return {name: ClipFeatures.of_columns(each, frames, (rows, columns)) for name, each in held.items()}


def tensor_fingerprint(*clips: Tensor) -> str:
    """SHA-256 of the clips' shapes and bytes, for data that has no manifest."""
    digest = hashlib.sha256()
    for tensor in clips:
        digest.update(repr(tuple(tensor.shape)).encode())
        for part in tensor.split(64):
            digest.update(part.contiguous().numpy().tobytes())
    return digest.hexdigest()
