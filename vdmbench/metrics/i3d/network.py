"""I3D (Carreira & Zisserman 2017, "Quo vadis, action recognition?", figure 3) as a plain torch module.

Padding is TensorFlow's SAME everywhere, and batch normalisation has an offset but no gain, as in the network of the
published Kinetics-400 weights.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn.utils.fusion import fuse_conv_bn_eval

CLASSES = 400
POOLED = 1024
MINIMUM_FRAMES = 9  # the head averages two frames after a reduction by eight


def same_padding(size: int, kernel: int, stride: int) -> tuple[int, int]:
    """Padding before and after one axis, SAME: an output for every ``stride``, an odd remainder on the late side."""
    total = max((-(-size // stride) - 1) * stride + kernel - size, 0)
    return total // 2, total - total // 2


def pad_same(x: Tensor, kernel: tuple[int, int, int], stride: tuple[int, int, int]) -> tuple[Tensor, tuple[int, int, int]]:
    """Pad what must be padded unequally; equal padding is returned for the operation itself, which does it for less."""
    sides = [same_padding(n, k, s) for n, k, s in zip(x.shape[2:], kernel, stride, strict=True)]
    if all(before == after for before, after in sides):
        return x, (sides[0][0], sides[1][0], sides[2][0])
    return F.pad(x, [n for pair in reversed(sides) for n in pair]), (0, 0, 0)


class Unit(nn.Module):
    """Convolution, batch normalisation, ReLU; after :meth:`fold` one convolution with a bias, and ReLU."""

    def __init__(self, inputs: int, outputs: int, kernel: int, stride: int = 1) -> None:
        super().__init__()
        self.kernel, self.stride = (kernel,) * 3, (stride,) * 3
        self.conv = nn.Conv3d(inputs, outputs, kernel, stride, bias=False)
        self.norm: nn.Module = nn.BatchNorm3d(outputs, eps=1e-3)

    def fold(self) -> None:
        """Merge the normalisation into the convolution."""
        if isinstance(self.norm, nn.BatchNorm3d):
            self.conv, self.norm = fuse_conv_bn_eval(self.conv, self.norm), nn.Identity()

    def forward(self, x: Float[Tensor, "batch _ frames rows columns"]) -> Float[Tensor, "batch _ _ _ _"]:
        """SAME convolution, normalised, rectified."""
        x, padding = pad_same(x, self.kernel, self.stride)
        return F.relu_(self.norm(F.conv3d(x, self.conv.weight, self.conv.bias, self.stride, padding)))


class MaxPool(nn.Module):
    """SAME max pooling of rectified features, for which zeros are no greater than anything."""

    def __init__(self, kernel: tuple[int, int, int], stride: tuple[int, int, int]) -> None:
        super().__init__()
        self.kernel, self.stride = kernel, stride

    def forward(self, x: Float[Tensor, "batch channels frames rows columns"]) -> Float[Tensor, "batch channels _ _ _"]:
        """Largest value of each neighbourhood."""
        x, padding = pad_same(x, self.kernel, self.stride)
        return F.max_pool3d(x, self.kernel, self.stride, padding)


class Inception(nn.Module):
    """Four branches side by side: 1x1; 1x1 then 3x3 twice over; 3x3 pooling then 1x1."""

    def __init__(self, inputs: int, plain: int, reduce1: int, wide1: int, reduce2: int, wide2: int, pooled: int) -> None:
        super().__init__()
        self.branch0 = Unit(inputs, plain, 1)
        self.branch1 = nn.Sequential(Unit(inputs, reduce1, 1), Unit(reduce1, wide1, 3))
        self.branch2 = nn.Sequential(Unit(inputs, reduce2, 1), Unit(reduce2, wide2, 3))
        self.branch3 = nn.Sequential(MaxPool((3, 3, 3), (1, 1, 1)), Unit(inputs, pooled, 1))

    def forward(self, x: Float[Tensor, "batch _ frames rows columns"]) -> Float[Tensor, "batch _ frames rows columns"]:
        """The branches' channels one after another."""
        return torch.cat([self.branch0(x), self.branch1(x), self.branch2(x), self.branch3(x)], dim=1)


class I3D(nn.Module):
    """Video in [-1, 1], 224 pixels square and at least 9 frames, to the 400 logits that FVD compares."""

    def __init__(self) -> None:
        super().__init__()
        self.trunk = nn.Sequential(
            Unit(3, 64, 7, 2),
            MaxPool((1, 3, 3), (1, 2, 2)),
            Unit(64, 64, 1),
            Unit(64, 192, 3),
            MaxPool((1, 3, 3), (1, 2, 2)),
            Inception(192, 64, 96, 128, 16, 32, 32),  # 3b
            Inception(256, 128, 128, 192, 32, 96, 64),  # 3c
            MaxPool((3, 3, 3), (2, 2, 2)),
            Inception(480, 192, 96, 208, 16, 48, 64),  # 4b
            Inception(512, 160, 112, 224, 24, 64, 64),  # 4c
            Inception(512, 128, 128, 256, 24, 64, 64),  # 4d
            Inception(512, 112, 144, 288, 32, 64, 64),  # 4e
            Inception(528, 256, 160, 320, 32, 128, 128),  # 4f
            MaxPool((2, 2, 2), (2, 2, 2)),
            Inception(832, 256, 160, 320, 32, 128, 128),  # 5b
            Inception(832, 384, 192, 384, 48, 128, 128),  # 5c
        )
        self.logits = nn.Linear(POOLED, CLASSES)

    def units(self) -> list[Unit]:
        """All convolutions in order, the order in which published checkpoints list them."""
        return [module for module in self.modules() if isinstance(module, Unit)]

    def fold(self) -> I3D:
        """Merge every normalisation into its convolution; for inference only, and for good."""
        for unit in self.units():
            unit.fold()
        return self

    def forward(self, video: Float[Tensor, "batch channels frames height width"]) -> Float[Tensor, "batch logits"]:
        """Logits averaged over time (without softmax), float32."""
        features = self.trunk(video)
        pooled = F.avg_pool3d(features, (2, 7, 7), stride=1).mean((2, 3, 4))
        # The classifier is linear, so the mean over time may be taken first. In float64, out of TF32's and autocast's reach.
        return F.linear(pooled.double(), self.logits.weight.double(), self.logits.bias.double()).float()
