"""The video diffusion transformer: blocks in a row, each with a token mixer over a scan order of its own."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

import torch
import torch.nn.functional as F
from jaxtyping import Float, Num
from torch import Tensor, nn

from vdmbench.mixers.attention import Attention
from vdmbench.mixers.heads import NARROW, narrow_heads, split_width
from vdmbench.mixers.identity import Identity
from vdmbench.mixers.making import MakeMixer
from vdmbench.mixers.mlp import MLP
from vdmbench.networks.condition import Condition
from vdmbench.networks.cross_attention import CrossAttention, NothingToken
from vdmbench.networks.denoiser import Denoiser
from vdmbench.networks.grid_positions import grid_positions
from vdmbench.networks.patches import Patches
from vdmbench.networks.placement import BlockPlacement, Placement
from vdmbench.networks.scanned_mixer import ScannedMixer
from vdmbench.networks.streaming import Carry
from vdmbench.networks.time_embedding import TimeEmbedding
from vdmbench.ops.recompute import recomputed

HEAD_DIM = 64
"""Features of a head in attention within frames and to the condition, on more than 64 channels; a mixer has its own option."""
FREQUENCIES = 256
"""Sinusoids of the diffusion time."""
EPSILON = 1e-6

Grid = Float[Tensor, "batch frames height width channels"]
"""A clip's tokens."""
Modulation = Float[Tensor, "batch one_or_frames 1 1 channels"]
"""Of all tokens of a clip alike, or of each frame's."""


def zero(linear: nn.Linear) -> nn.Linear:
    """The same map, which starts as zero."""
    nn.init.zeros_(linear.weight)
    nn.init.zeros_(linear.bias)
    return linear


def normed(x: Grid) -> Grid:
    """LN(x), without parameters of its own."""
    return F.layer_norm(x, x.shape[-1:], eps=EPSILON)


def modulated(x: Grid, shift: Modulation, scale: Modulation) -> Grid:
    """(1 + scale) LN(x) + shift (Peebles and Xie 2023, arXiv 2212.09748, sec. 3.2)."""
    return torch.addcmul(shift, normed(x), scale + 1)


class Block(nn.Module):
    """Cross-attention where there is any, a token mixer, a perceptron, each a residual; the last two under adaLN-zero.

    adaLN-zero: shift, scale and gate of both come from the time embedding by one linear map that starts at zero, so that a
    block starts as the identity (Peebles and Xie 2023, arXiv 2212.09748, sec. 3.2 and fig. 3). Cross-attention stands first, as
    in Hong et al. 2025 (arXiv 2502.00972). With the mixer ``identity`` its residual, shift, scale and gate are left out.
    """

    def __init__(
        self,
        channels: int,
        *,
        mixer: MakeMixer,
        scan: str,
        mlp_ratio: float,
        cross_attention: bool,
        initial_gain: float | None,
    ) -> None:
        super().__init__()
        heads, head_dim = narrow_heads(channels, channels) if channels <= NARROW else split_width(channels, channels, HEAD_DIM)
        self.cross = CrossAttention(channels, heads=heads, head_dim=head_dim) if cross_attention else None
        self.mix = ScannedMixer(channels, mixer, scan, initial_gain=initial_gain)
        self.mixes = not isinstance(self.mix.mixer, Identity)
        self.modulation = zero(nn.Linear(channels, (6 if self.mixes else 3) * channels))
        self.mlp = MLP(channels, expand=mlp_ratio)

    def forward(
        self,
        x: Grid,
        embedding: Float[Tensor, "batch one_or_frames channels"],
        tokens: Tensor | None,
        mask: Tensor | None,
        carry: Carry | None,
    ) -> Grid:
        """The tokens behind the block; ``carry`` goes to its mixer alone."""
        *of_mixer, shift, scale, gate = self.modulation(embedding)[:, :, None, None].chunk(6 if self.mixes else 3, -1)
        if self.cross is not None:
            assert tokens is not None
            x = x + self.cross(recomputed(normed, x), tokens, mask)
        if self.mixes:
            shift1, scale1, gate1 = of_mixer
            x = torch.addcmul(x, gate1, self.mix(recomputed(modulated, x, shift1, scale1), carry))
        return torch.addcmul(x, gate, self.mlp(recomputed(modulated, x, shift, scale)))


class DiT(Denoiser):
    """Diffusion transformer (Peebles and Xie 2023, arXiv 2212.09748) on patches of video, any mixer over any scan order inside.

    Position encodings are sinusoids of a patch's frame, row and column, added once; so what a block knows of places does not
    depend on the order in which it reads them. It takes any number of frames, of any height and width.

    Args:
        mixer: makes a mixer from its number of channels: then every first block of two is softmax attention within frames and
            every second this mixer over the frames of each place, so that frames meet in it alone, as in the fair UNet. Or the
            mixer and scan order of each block.
        base_channels: features of a token; a multiple of 8.
        depth: blocks in a row.
        patch: frames, rows and columns of a token.
        mlp_ratio: hidden width of the perceptrons over ``base_channels``.
        cross_attention: every block attends to the tokens of a condition.
        initial_gain: size at which every mixer's output starts, before adaLN's gate, by a learnt gain; None for no gain.
        channels: image channels.

    Raises:
        ValueError: sizes that do not fit, or an unknown scan order.
    """

    def __init__(
        self,
        *,
        mixer: MakeMixer | Placement | BlockPlacement,
        base_channels: int = 384,
        depth: int = 12,
        patch: Sequence[int] = (1, 2, 2),
        mlp_ratio: float = 4.0,
        cross_attention: bool = False,
        initial_gain: float | None = None,
        channels: int = 3,
    ) -> None:
        super().__init__()
        if base_channels < 8 or base_channels % 8:
            raise ValueError(f"base_channels must be a multiple of 8, got {base_channels}")
        if depth < 1 or channels < 1:
            raise ValueError(f"depth and channels must be positive, got {depth} and {channels}")
        self.channels, self.condition_width, self.attends_to_tokens = channels, base_channels, cross_attention
        self.patches = Patches(base_channels, patch, channels)
        self.time_embedding = TimeEmbedding(FREQUENCIES, base_channels)
        self.nothing = NothingToken(base_channels) if cross_attention else None
        block = partial(Block, base_channels, mlp_ratio=mlp_ratio, cross_attention=cross_attention, initial_gain=initial_gain)
        self.blocks = nn.ModuleList(block(mixer=each, scan=scan) for each, scan in placed_in_blocks(mixer, depth))
        self.modulation = zero(nn.Linear(base_channels, 2 * base_channels))
        self.head = zero(nn.Linear(base_channels, self.patches.numbers))

    def forward(
        self,
        x: Float[Tensor, "batch frames channels height width"],
        t: Num[Tensor, " batch"] | Num[Tensor, "batch frames"],
        condition: Condition | None = None,
        carry: Carry | None = None,
    ) -> Float[Tensor, "batch frames channels height width"]:
        """As every denoiser's; a condition may hold tokens where there is cross-attention."""
        self.check(x, t, condition)
        tokens, mask = self._tokens(len(x), condition)
        embedding = F.silu(self._embedding(t, condition))
        h = self.patches(x)
        first = 0 if carry is None else carry.first // self.patches.frames
        h = h + grid_positions(*h.shape[1:], device=h.device, dtype=self.head.weight.dtype, first=first)
        for block in self.blocks:
            h = block(h, embedding, tokens, mask, carry)
        shift, scale = self.modulation(embedding)[:, :, None, None].chunk(2, -1)
        return self.patches.joined(self.head(recomputed(modulated, h, shift, scale)))

    def check(self, x: Tensor, t: Tensor, condition: Condition | None) -> None:
        super().check(x, t, condition)
        self.patches.check(x)
        if condition is not None and condition.tokens is not None and self.nothing is None:
            raise ValueError("this dit has no cross-attention for the condition's tokens: set its cross_attention to true")

    def _tokens(self, batch: int, condition: Condition | None) -> tuple[Tensor | None, Tensor | None]:
        if self.nothing is None:
            return None, None
        return self.nothing(batch, condition and condition.tokens, condition and condition.mask)

    def _embedding(self, t: Tensor, condition: Condition | None) -> Float[Tensor, "batch one_or_frames channels"]:
        """Of each clip, or of each patch's frames: their one time, and the mean of what they are told."""
        embedding = self.time_embedding(self.patches.times(t))
        if condition is not None:
            embedding = self.patches.pooled(condition).added_to(embedding)
        return embedding if embedding.dim() == 3 else embedding[:, None]


def _attention_within_frames(channels: int) -> Attention:
    return Attention(channels, head_dim=None if channels <= NARROW else HEAD_DIM, rotary=False)


def placed_in_blocks(mixer: MakeMixer | Placement | BlockPlacement, depth: int) -> list[tuple[MakeMixer, str]]:
    """Mixer and scan order of each of ``depth`` blocks. Raises ValueError where they do not come out even."""
    if isinstance(mixer, Placement):
        raise ValueError("a dit has no levels to place mixers at: give 'blocks', a mixer and scan order for each")
    if not isinstance(mixer, BlockPlacement):
        within = _attention_within_frames
        mixer = BlockPlacement([(within, "frame"), (mixer, "site")])
    return mixer.blocks(depth)
