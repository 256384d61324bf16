"""The published UNet as it is commonly assembled, to time ours against: tensors of five axes, 3-D convolutions of one frame,
group norms over the clip as it lies, attention with its scores in memory, scans as loops over frames.

It is the same function: parameters have the names of ours, so that they are loaded from it, and outputs agree. Mixers are ours,
built with their plainest backend (``math``, ``reference``), and within them linear maps, short convolutions and S4D as they are
commonly written; nothing is computed again in the backward pass.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from vdmbench.mixers.directions import delay
from vdmbench.mixers.making import MakeMixer
from vdmbench.mixers.s4d import S4DCore
from vdmbench.mixers.short_conv import ShortConv
from vdmbench.networks.shared_positions import SharedPositions
from vdmbench.networks.time_embedding import TimeEmbedding
from vdmbench.ops import causal_conv1d
from vdmbench.ops.linear import Linear
from vdmbench.ops.recompute import recomputing

HEAD_DIM = 32
EPSILON = 1e-5


class PlainShortConv(ShortConv):
    def of_parts(self, *parts: Tensor, reverse: bool = False) -> Tensor:
        x = torch.cat(parts, -1)
        return causal_conv1d(x, self.weight, self.bias, silu=True, ahead=self.ahead, reverse=reverse, backend="torch")


class PlainS4DCore(S4DCore):
    """By an FFT over the frames as they lie, of twice as many; powers of all lags in memory."""

    def forward(self, x: Tensor, *, gate: Tensor | None = None, reverse: bool = False, delayed: bool = False) -> Tensor:
        frames = x.shape[1]
        A = torch.complex(-torch.exp(self.log_A_real), self.A_imag)
        step = torch.exp(self.log_dt)[:, None] * A
        powers = torch.exp(step[..., None] * torch.arange(frames))
        kernel = 2 * torch.einsum("cn,cnl->cl", torch.view_as_complex(self.C) * torch.expm1(step) / A, powers).real
        response = torch.fft.rfft(kernel, n=2 * frames).transpose(0, 1)
        spectrum = torch.fft.rfft(x, n=2 * frames, dim=1) * (response.conj() if reverse else response)
        y = torch.fft.irfft(spectrum, n=2 * frames, dim=1)[:, :frames]
        y = (delay(y, reverse=reverse) if delayed else y) + self.D * x
        return y if gate is None else y * F.silu(gate)


PLAIN: dict[type[nn.Module], type[nn.Module]] = {Linear: nn.Linear, ShortConv: PlainShortConv, S4DCore: PlainS4DCore}
"""Parts of our mixers, and how they are commonly written; they have the same parameters."""


class LayerNorm(nn.Module):
    """Over channels, the second axis, with a gain."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.gain = nn.Parameter(torch.ones(1, channels, 1, 1, 1))

    def forward(self, x: Tensor) -> Tensor:
        mean, variance = x.mean(1, keepdim=True), x.var(1, unbiased=False, keepdim=True)
        return (x - mean) / (variance + EPSILON).sqrt() * self.gain


class ResBlock(nn.Module):
    """Convolution, group norm, time, SiLU; convolution, group norm, SiLU; shortcut."""

    def __init__(self, inputs: int, outputs: int, embedding: int | None) -> None:
        super().__init__()
        self.film = None if embedding is None else nn.Linear(embedding, 2 * outputs)
        self.conv1 = nn.Conv3d(inputs, outputs, (1, 3, 3), padding=(0, 1, 1))
        self.norm1 = nn.GroupNorm(8, outputs)
        self.conv2 = nn.Conv3d(outputs, outputs, (1, 3, 3), padding=(0, 1, 1))
        self.norm2 = nn.GroupNorm(8, outputs)
        self.shortcut = nn.Conv3d(inputs, outputs, 1) if inputs != outputs else nn.Identity()

    def forward(self, x: Tensor, embedding: Tensor | None = None) -> Tensor:
        h = self.norm1(self.conv1(x))
        if self.film is not None:
            scale, shift = self.film(F.silu(embedding))[:, :, None, None, None].chunk(2, 1)
            h = h * (scale + 1) + shift
        h = F.silu(self.norm2(self.conv2(F.silu(h))))
        return h + self.shortcut(x)


class Spatial(nn.Module):
    """Attention over the places of each frame, linear or full."""

    def __init__(self, channels: int, heads: int, *, linear: bool) -> None:
        super().__init__()
        self.heads, self.linear = heads, linear
        self.norm = LayerNorm(channels)
        self.to_qkv = nn.Conv2d(channels, 3 * heads * HEAD_DIM, 1, bias=False)
        self.to_out = nn.Conv2d(heads * HEAD_DIM, channels, 1, bias=linear)

    def forward(self, x: Tensor) -> Tensor:
        batch, channels, frames, height, width = x.shape
        images = self.norm(x).transpose(1, 2).reshape(batch * frames, channels, height, width)
        q, k, v = (
            part.reshape(batch * frames, self.heads, HEAD_DIM, height * width) for part in self.to_qkv(images).chunk(3, 1)
        )
        if self.linear:
            context = torch.einsum("bhdn,bhen->bhde", k.softmax(-1), v)
            mixed = torch.einsum("bhde,bhdn->bhen", context, q.softmax(-2) * HEAD_DIM**-0.5)
        else:
            weights = torch.einsum("bhdi,bhdj->bhij", q * HEAD_DIM**-0.5, k).softmax(-1)
            mixed = torch.einsum("bhij,bhdj->bhdi", weights, v)
        out = self.to_out(mixed.reshape(batch * frames, -1, height, width))
        return x + out.reshape(batch, frames, channels, height, width).transpose(1, 2)


class Temporal(nn.Module):
    """A mixer over the frames of each place."""

    def __init__(self, channels: int, mixer: MakeMixer) -> None:
        super().__init__()
        self.norm = LayerNorm(channels)
        self.mixer = mixer(channels)

    def forward(self, x: Tensor) -> Tensor:
        batch, channels, frames, height, width = x.shape
        sites = self.norm(x).permute(0, 3, 4, 2, 1).reshape(-1, frames, channels)
        mixed = self.mixer(sites).reshape(batch, height, width, frames, channels)
        return x + mixed.permute(0, 4, 3, 1, 2)


class Level(nn.Module):
    def __init__(self, inputs: int, outputs: int, mixer: MakeMixer, heads: int, embedding: int) -> None:
        super().__init__()
        self.block1, self.block2 = ResBlock(inputs, outputs, embedding), ResBlock(outputs, outputs, embedding)
        self.spatial, self.temporal = Spatial(outputs, heads, linear=True), Temporal(outputs, mixer)

    def forward(self, x: Tensor, embedding: Tensor) -> Tensor:
        return self.temporal(self.spatial(self.block2(self.block1(x, embedding), embedding)))


class Middle(nn.Module):
    def __init__(self, channels: int, mixer: MakeMixer, heads: int, embedding: int) -> None:
        super().__init__()
        self.block1, self.block2 = ResBlock(channels, channels, embedding), ResBlock(channels, channels, embedding)
        self.spatial, self.temporal = Spatial(channels, heads, linear=False), Temporal(channels, mixer)

    def forward(self, x: Tensor, embedding: Tensor) -> Tensor:
        return self.block2(self.temporal(self.spatial(self.block1(x, embedding))), embedding)


class PlainUNet(nn.Module):
    """``UNet3D(preset="oshima2024")``, plainly; x is (batch, frames, channels, height, width), as there."""

    def __init__(self, mixer: MakeMixer, base: int, multipliers: tuple[int, ...] = (1, 2, 4, 8), channels: int = 3) -> None:
        super().__init__()
        heads = base // 8
        widths = [base * multiplier for multiplier in multipliers]
        inputs = [base, *widths[:-1]]
        self.time_embedding = TimeEmbedding(base)
        embedding = self.time_embedding.width
        halve = {"kernel_size": (1, 4, 4), "stride": (1, 2, 2), "padding": (0, 1, 1)}
        self.stem = nn.Conv3d(channels, base, (1, 7, 7), padding=(0, 3, 3))
        self.stem_temporal = Temporal(base, mixer)
        self.down = nn.ModuleList(Level(i, o, mixer, heads, embedding) for i, o in zip(inputs, widths, strict=True))
        self.downsample = nn.ModuleList(nn.Conv3d(width, width, **halve) for width in widths[:-1])
        self.middle = Middle(widths[-1], mixer, heads, embedding)
        self.up = nn.ModuleList(
            Level(2 * o, i, mixer, heads, embedding) for i, o in reversed(list(zip(inputs, widths, strict=True)))
        )
        self.upsample = nn.ModuleList(nn.ConvTranspose3d(width, width, **halve) for width in inputs[:0:-1])
        self.head_block = ResBlock(2 * base, base, None)
        self.head = nn.Conv3d(base, channels, 1)
        layers = [module.mixer for module in self.modules() if isinstance(module, Temporal)]
        self.positions = SharedPositions(heads, layers)
        for module in self.modules():
            module.__class__ = PLAIN.get(type(module), type(module))

    def forward(self, x: Tensor, t: Tensor) -> Tensor:
        with recomputing("none"):
            return self._denoised(x, t)

    def _denoised(self, x: Tensor, t: Tensor) -> Tensor:
        embedding = self.time_embedding(t)
        h = stem = self.stem_temporal(self.stem(x.transpose(1, 2)))
        skips = []
        for index, level in enumerate(self.down):
            h = level(h, embedding)
            skips.append(h)
            if index < len(self.downsample):
                h = self.downsample[index](h)
        h = self.middle(h, embedding)
        for index, level in enumerate(self.up):
            h = level(torch.cat([h, skips.pop()], 1), embedding)
            if index < len(self.upsample):
                h = self.upsample[index](h)
        return self.head(self.head_block(torch.cat([h, stem], 1))).transpose(1, 2)

    def load_from(self, ours: nn.Module) -> None:
        """Our parameters, reshaped: ours convolve in two dimensions."""
        own = self.state_dict()
        theirs = ours.state_dict()
        self.load_state_dict({name: theirs[name].reshape(own[name].shape) for name in own})
