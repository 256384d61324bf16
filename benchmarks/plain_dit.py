"""The diffusion transformer of vdmbench put together from the blocks of diffusers and of PyTorch, as one would without it."""

from __future__ import annotations

import math

import torch
from diffusers.models.attention import Attention, FeedForward
from torch import Tensor, nn

from vdmbench.networks.dit import FREQUENCIES, HEAD_DIM, DiT
from vdmbench.networks.grid_positions import grid_positions

ORDERS = {"full": ("h",), "factorised": ("frame", "site")}
"""Scan orders that take turns: attention to the whole clip, or within frames and then along them."""


class PlainBlock(nn.Module):
    """adaLN-zero around attention and a perceptron of diffusers."""

    def __init__(self, width: int, order: str) -> None:
        super().__init__()
        self.order = order
        self.modulation = nn.Linear(width, 6 * width)
        self.norm1 = nn.LayerNorm(width, eps=1e-6, elementwise_affine=False)
        self.norm2 = nn.LayerNorm(width, eps=1e-6, elementwise_affine=False)
        self.attention = Attention(width, heads=width // HEAD_DIM, dim_head=HEAD_DIM, bias=False, out_bias=False)
        self.mlp = FeedForward(width, mult=4, activation_fn="gelu")

    def forward(self, x: Tensor, embedding: Tensor, frames: int) -> Tensor:  # x: (batch, tokens, width)
        shift1, scale1, gate1, shift2, scale2, gate2 = self.modulation(embedding)[:, None].chunk(6, -1)
        h = self.norm1(x) * (1 + scale1) + shift1
        batch, tokens, width = h.shape
        places = tokens // frames
        if self.order == "frame":
            h = self.attention(h.reshape(batch * frames, places, width)).reshape(batch, tokens, width)
        elif self.order == "site":
            h = h.reshape(batch, frames, places, width).transpose(1, 2).reshape(batch * places, frames, width)
            h = self.attention(h).reshape(batch, places, frames, width).transpose(1, 2).reshape(batch, tokens, width)
        else:
            h = self.attention(h)
        x = x + gate1 * h
        return x + gate2 * self.mlp(self.norm2(x) * (1 + scale2) + shift2)


class PlainDiT(nn.Module):
    """Patches by a convolution, blocks, and a head that puts patches together again."""

    def __init__(self, width: int, depth: int, patch: tuple[int, int, int], orders: tuple[str, ...]) -> None:
        super().__init__()
        self.width, self.patch = width, patch
        self.embed = nn.Conv3d(3, width, patch, stride=patch)
        self.time = nn.Sequential(nn.Linear(FREQUENCIES, width), nn.GELU(), nn.Linear(width, width))
        self.blocks = nn.ModuleList(PlainBlock(width, orders[index % len(orders)]) for index in range(depth))
        self.norm = nn.LayerNorm(width, eps=1e-6, elementwise_affine=False)
        self.modulation = nn.Linear(width, 2 * width)
        self.head = nn.Linear(width, 3 * math.prod(patch))

    def forward(self, x: Tensor, t: Tensor) -> Tensor:  # x: (batch, frames, 3, height, width)
        half = FREQUENCIES // 2
        angles = t[:, None] * torch.exp(-math.log(10_000.0) * torch.arange(half) / (half - 1))
        embedding = nn.functional.silu(self.time(torch.cat([angles.sin(), angles.cos()], -1)))
        h = self.embed(x.transpose(1, 2))  # (batch, width, F, H, W)
        frames, height, width = h.shape[2:]
        positions = grid_positions(frames, height, width, self.width, device=x.device, dtype=x.dtype)
        h = h.flatten(2).transpose(1, 2) + positions.flatten(0, 2)
        for block in self.blocks:
            h = block(h, embedding, frames)
        shift, scale = self.modulation(embedding)[:, None].chunk(2, -1)
        y = self.head(self.norm(h) * (1 + scale) + shift)
        f, r, c = self.patch
        y = y.reshape(len(x), frames, height, width, f, 3, r, c).permute(0, 1, 4, 5, 2, 6, 3, 7)
        return y.reshape(x.shape)

    def load_from(self, ours: nn.Module) -> None:
        """The same weights, under the names of diffusers."""
        assert isinstance(ours, DiT)
        f, r, c = self.patch
        with torch.no_grad():
            self.embed.weight.copy_(ours.patches.embed.weight.view(-1, f, 3, r, c).transpose(1, 2))
            self.embed.bias.copy_(ours.patches.embed.bias)
            self.time.load_state_dict(ours.time_embedding.layers.state_dict())
            self.modulation.load_state_dict(ours.modulation.state_dict())
            self.head.load_state_dict(ours.head.state_dict())
            for plain, block in zip(self.blocks, ours.blocks, strict=True):
                plain.modulation.load_state_dict(block.modulation.state_dict())
                heads = block.mix.mixer.heads
                maps = plain.attention.to_q, plain.attention.to_k, plain.attention.to_v
                for linear, part in zip(maps, heads.to_qkv.weight.chunk(3), strict=True):
                    linear.weight.copy_(part)
                plain.attention.to_out[0].weight.copy_(heads.to_out.weight)
                for linear, source in ((plain.mlp.net[0].proj, block.mlp.fc1), (plain.mlp.net[2], block.mlp.fc2)):
                    linear.load_state_dict(source.state_dict())
