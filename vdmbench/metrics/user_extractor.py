"""Features from a network of the user's own, as for JEDi (V-JEPA) or CD-FVD (VideoMAE); their distance is never called FVD."""

from __future__ import annotations

import hashlib
import warnings
from pathlib import Path
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn

from vdmbench.file_digests import digest_of, sha256_of
from vdmbench.metrics.extractor import Extractor
from vdmbench.metrics.video import InvalidVideo, check_uint8
from vdmbench.user_code import InvalidUserCode, allow, fingerprint, is_code, load_class

RESERVED = {"fvd", "i3d", "ste"}


class InvalidExtractor(ValueError):
    """A user's extractor that cannot be loaded, or gives no features."""


class ScriptedFeatures(nn.Module):
    """A TorchScript module from float video (batch 3 frames height width) in [-1, 1] to (batch, features)."""

    minimum_frames = 1
    frames_at_once = 32
    scale_floor: float | None = None

    def __init__(self, path: Path) -> None:
        super().__init__()
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)  # TorchScript as a whole is deprecated, files of it remain
            self.module = torch.jit.load(path, map_location="cpu").eval()
        self.name = path.stem
        self.num_features = 0  # known after the first batch

    @torch.no_grad()
    def forward(self, videos: Tensor) -> Float[Tensor, "batch features"]:
        """Features of uint8 clips (batch frames 3 height width)."""
        video = check_uint8(videos).transpose(1, 2).float() * (2 / 255) - 1
        features = self.module(video)
        if not isinstance(features, Tensor) or features.ndim != 2 or len(features) != len(videos):
            found = tuple(features.shape) if isinstance(features, Tensor) else type(features).__name__
            raise InvalidVideo(f"'{self.name}' must give (batch, features), got {found} for {len(videos)} clips")
        self.num_features = features.shape[1]
        return features.float()


def load_user_extractor(spec: str, *, allow_code: bool = False) -> tuple[Extractor, str]:
    """An extractor, from a TorchScript file or ``path.py:Class`` (called without arguments), and what tells it from others.

    That is a SHA-256: of the TorchScript file, or of the Python file with the modules of the user's own that it imports and the
    weights that the class then holds. Python files run, so they need ``allow_code``. Raises :class:`InvalidExtractor` with the
    reason.
    """
    path = Path(spec.rpartition(".py:")[0] + ".py") if is_code(spec) else Path(spec)
    if not path.is_file():
        raise InvalidExtractor(f"extractor {path}: no such file (a TorchScript file, or path.py:Class)")
    if is_code(spec):
        if not allow_code:
            raise InvalidExtractor(f"extractor {spec}: would run {path.name}: allow it with --allow-code")
        extractor, digest = _of_code(spec)
    else:
        try:
            extractor, digest = ScriptedFeatures(path), sha256_of(path)
        except RuntimeError as cause:
            reason = str(cause).strip().splitlines()[0]
            raise InvalidExtractor(f"extractor {path}: is no TorchScript file ({reason})") from cause
    if not isinstance(extractor, Extractor):
        raise InvalidExtractor(f"extractor {spec}: lacks name, num_features, minimum_frames, frames_at_once or scale_floor")
    if extractor.name.lower() in RESERVED:
        raise InvalidExtractor(f"extractor {spec}: the name '{extractor.name}' is taken by a published metric: choose another")
    return extractor, digest


def _of_code(spec: str) -> tuple[Any, str]:
    try:
        code = fingerprint(spec)
        allow([code])
        extractor = load_class(spec, sha256=code)()
    except InvalidUserCode as cause:
        raise InvalidExtractor(f"extractor {cause}") from cause
    weights = hashlib.sha256()
    if isinstance(extractor, nn.Module):
        for name, tensor in sorted(extractor.state_dict().items()):
            weights.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}\n".encode())
            weights.update(tensor.detach().cpu().contiguous().flatten().view(torch.uint8).numpy().tobytes())
    return extractor, digest_of({"code": code, "weights": weights.hexdigest()})
