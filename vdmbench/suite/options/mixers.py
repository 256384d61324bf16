"""What a suite may say of each temporal mixer. Field names are the keyword arguments of the mixer's constructor.

An option that has no effect beside another one may only keep its default, so that two cells never differ in name alone.
"""

from __future__ import annotations

from typing import Any, Literal, Self

from pydantic import Field, ValidationError, field_validator, model_validator

from vdmbench import registry
from vdmbench.suite.model import Declared
from vdmbench.user_code import InvalidUserCode, fingerprint, is_code


class IdentityOptions(Declared):
    """The identity has no options."""


class MLPOptions(Declared):
    """A perceptron on every frame by itself."""

    expand: float = Field(4.0, gt=0)
    """Hidden width over channels, rounded to a multiple of 8."""


class HeadOptions(Declared):
    """Inner width of attention, softmax or linear."""

    expand: float = Field(1.0, gt=0)
    """Inner width over channels, rounded so that every head has a multiple of 8 features."""
    head_dim: int | None = Field(None, ge=1, le=65_536)
    """Features of a head; at expand 1, where heads is null. null: 32; on up to 64 channels channels / 8 heads, at least two."""
    heads: int | None = Field(None, ge=1, le=65_536)
    """Number of heads; null for channels / head_dim, or base_channels / 8 in a network with preset oshima2024.

    A number fixes the inner width at heads * head_dim on every level, as that preset does.
    """

    @model_validator(mode="after")
    def _one_rule_for_the_width(self) -> Self:
        if self.heads is not None and self.expand != 1:
            raise ValueError(f"heads {self.heads} fixes the inner width at heads * head_dim: keep expand 1, got {self.expand}")
        return self


class AttentionOptions(HeadOptions):
    """Softmax attention over frames."""

    rotary: bool = True
    """Rotate queries and keys by their frame."""
    relative_bias: bool = False
    """Add a learned bias by distance in time (T5). The fused kernel of PyTorch that takes no mask is out of reach then."""
    buckets: int = Field(32, ge=4, le=65_536, multiple_of=4)
    """Distances that the relative bias tells apart; only with relative_bias."""
    max_distance: int = Field(1024, ge=2, le=1_000_000)
    """Distance in frames from which on the relative bias tells no more apart: the clip's length or longer (published: 32)."""
    causal: bool = False
    """A frame attends to itself and to earlier ones only."""
    backend: Literal[
        "auto", "triton", "blocks", "numba", "math", "sdpa", "sdpa-flash", "sdpa-efficient", "sdpa-cudnn", "xformers"
    ] = "auto"
    """Kernel: un-fused with all scores in memory (math); PyTorch's choice of a fused one (sdpa) or one of them; xformers; with
    a relative bias, whose gradient they sum as they go, triton (CUDA) or blocks (CPU)."""

    @model_validator(mode="after")
    def _positions_fit(self) -> Self:
        if self.backend in ("triton", "blocks") and not self.relative_bias:
            raise ValueError(f"backend '{self.backend}' is for scores with a relative_bias: set it to true, or take 'sdpa'")
        if self.rotary and self.heads is not None and self.head_dim is not None and self.head_dim % 2:
            raise ValueError(f"rotary turns pairs of features: head_dim must be even, got {self.head_dim}")
        exact = self.buckets // (2 if self.causal else 4)
        if self.relative_bias and self.max_distance <= exact:
            raise ValueError(f"max_distance must be over {exact}, where the logarithmic buckets begin, got {self.max_distance}")
        if not self.relative_bias and (self.buckets, self.max_distance) != (32, 1024):
            raise ValueError("buckets and max_distance have no effect without relative_bias: set it to true, or keep both")
        return self


class SlidingAttentionOptions(HeadOptions):
    """Softmax attention to the frames nearby."""

    window: int = Field(16, ge=1, le=1_000_000)
    """Largest distance, in frames, of two frames that see each other."""
    rotary: bool = True
    """Rotate queries and keys by their frame."""
    causal: bool = False
    """Of the frames in its window a frame sees itself and the earlier ones."""
    backend: Literal["auto", "blocks", "sdpa", "flex", "math"] = "auto"
    """Kernel: blocks of window frames (blocks, cost frames x window), FlexAttention (flex; trains on CUDA alone), or all pairs
    under a mask, fused (sdpa) or not (math)."""

    @model_validator(mode="after")
    def _rotary_fits(self) -> Self:
        if self.rotary and self.heads is not None and self.head_dim is not None and self.head_dim % 2:
            raise ValueError(f"rotary turns pairs of features: head_dim must be even, got {self.head_dim}")
        return self


class LinearAttentionOptions(HeadOptions):
    """Linear attention over all frames of the clip."""

    feature_map: Literal["softmax", "relu"] = "softmax"
    """Softmax of queries over features and of keys over frames (Shen et al.), or ReLU of both with a normaliser (SANA)."""
    rotary: Literal["none", "before-map", "after-map"] = "after-map"
    """Rotary embedding after the feature map, in the numerator alone (RoFormer), or before it, as published."""
    scale_output: bool = False
    """Multiply the output by head_dim^-1/2, as published; the layer then starts that much smaller than attention."""
    causal: bool = False
    """A frame attends to itself and to earlier ones only; with feature_map relu, and no rotary before the map."""

    @model_validator(mode="after")
    def _positions_fit(self) -> Self:
        if self.rotary != "none" and self.heads is not None and self.head_dim is not None and self.head_dim % 2:
            raise ValueError(f"rotary turns pairs of features: head_dim must be even, got {self.head_dim}")
        if self.causal and self.feature_map != "relu":
            raise ValueError("the softmax of keys over frames sees all of them: causal takes feature_map 'relu'")
        if self.causal and self.rotary == "before-map":
            raise ValueError("rotated before the map, scores depend on the frame: causal takes rotary after-map or none")
        return self


class DirectionOptions(Declared):
    """A scan along time, against it, or both ways."""

    direction: Literal["forward", "backward", "both"] = "forward"
    """Scan along time (causal), against it, or both ways."""
    merge: Literal["sum", "concat", "product", "quasi-separable"] = "sum"
    """How both directions become one; only with direction both.

    Quasi-separable: the sum of both delayed by a frame, so that a frame sees itself through D alone. Published: concat in
    mlp, sum in glu and mamba, product in gss.
    """
    shared: bool = False
    """Both directions have the same parameters instead of their own; only with direction both."""

    @model_validator(mode="after")
    def _one_direction_merges_nothing(self) -> Self:
        if self.direction != "both" and self.merge != "sum":
            raise ValueError(f"merge '{self.merge}' has no effect in one direction: set direction to both, or keep merge sum")
        if self.direction != "both" and self.shared:
            raise ValueError("shared has no effect in one direction: set direction to both, or keep it false")
        return self


class GatedConvOptions(DirectionOptions):
    """A gate, and a short convolution before the scan."""

    gate: bool = True
    """Multiply by SiLU of a gate."""
    conv: int = Field(4, ge=1, le=1_024)
    """Frames under the convolution; 1 sees the present frame alone."""
    conv_alignment: Literal["causal", "centred"] = "causal"
    """The present frame is the last under the convolution, or the middle one: then conv is odd and direction both."""

    @model_validator(mode="after")
    def _conv_sees_what_the_direction_does(self) -> Self:
        if self.conv_alignment == "centred" and self.direction != "both":
            raise ValueError("a centred conv sees frames that one direction does not: set direction to both, or keep it causal")
        if self.conv_alignment == "centred" and self.conv % 2 == 0:
            raise ValueError(f"conv is centred on the present frame: it must be odd, got {self.conv}")
        return self


class StateSpaceOptions(GatedConvOptions):
    """A state-space core in one of the paper's four blocks; gate, conv and conv_alignment belong to the mamba block alone."""

    block: Literal["mlp", "glu", "gss", "mamba"] = "mamba"
    """What surrounds the core: the paper's versions 1, 2, 10 and 20."""
    expand: float = Field(2.0, gt=0)
    """Inner width over channels, rounded to a multiple of 8.

    Of the hidden layer (mlp), of the gate (gss), of core and gate (mamba); glu has none.
    """
    hidden: int | None = Field(None, ge=1, le=1_000_000)
    """Width of the hidden layer (mlp) or of the gate (gss) on every level, as published, instead of expand; null: expand's."""
    state: int = Field(16, ge=1, le=65_536)
    """State size N a channel."""

    @model_validator(mode="after")
    def _every_option_has_an_effect(self) -> Self:
        if self.block != "mamba" and (self.conv, self.conv_alignment) != (4, "causal"):
            raise ValueError(f"block '{self.block}' has no convolution: leave conv at 4 and causal, got {self.conv}")
        if self.block != "mamba" and not self.gate:
            raise ValueError(f"block '{self.block}' is what its gate, or none, makes it: leave gate at true")
        if self.hidden is not None and self.block not in ("mlp", "gss"):
            raise ValueError(
                f"hidden belongs to blocks 'mlp' and 'gss': leave it out of block '{self.block}', got {self.hidden}"
            )
        if self.hidden is not None and self.expand != 2:
            raise ValueError(f"hidden {self.hidden} stands instead of expand: leave expand at 2.0, got {self.expand}")
        if self.block == "glu" and self.expand != 2:
            raise ValueError(f"block 'glu' has no inner width: leave expand at 2.0, got {self.expand}")
        return self


class S4DOptions(StateSpaceOptions):
    """S4D: diagonal complex linear time-invariant SSM, by FFT."""

    state: int = Field(16, ge=2, le=65_536, multiple_of=2)
    """State size N a channel, held as N / 2 complex modes."""


class MambaOptions(StateSpaceOptions):
    """Mamba-1: the selective scan S6."""

    backend: Literal["auto", "reference", "numba", "mamba_ssm", "triton"] = "auto"
    """Kernel of the scan."""


class ScalarDecayOptions(Declared):
    """Sizes of a scan with one decay a head (SSD)."""

    expand: float = Field(2.0, gt=0)
    """Inner width over channels, rounded so that every head has a multiple of 8 features."""
    head_dim: int | None = Field(None, ge=1, le=65_536)
    """Features of a head at expand 2. null: 64, and fewer where that would leave one head."""
    state: int = Field(64, ge=1, le=65_536)
    """State size N a channel."""
    groups: int = Field(1, ge=1, le=65_536)
    """Sets of B and C that the heads are dealt to; the number of heads is rounded to a multiple of it."""


class Mamba2Options(ScalarDecayOptions, GatedConvOptions):
    """Mamba-2 (SSD), along time, against it, or both ways."""

    backend: Literal["auto", "reference", "chunked", "numba", "mamba_ssm", "triton", "fla"] = "auto"
    """Kernel of the scan."""


class HydraOptions(ScalarDecayOptions):
    """Hydra: both directions as one quasi-separable matrix."""

    backend: Literal["auto", "reference", "chunked", "numba", "mamba_ssm", "triton"] = "auto"
    """Kernel of the scans."""
    gate: bool = True
    """Multiply by SiLU of a gate."""
    conv: int = Field(7, ge=1, le=1_024)
    """Frames under the convolution, which both directions share."""
    conv_alignment: Literal["causal", "centred"] = "centred"
    """The present frame is the middle one under the convolution, which is odd then, or the last one."""

    @model_validator(mode="after")
    def _conv_has_a_centre(self) -> Self:
        if self.conv_alignment == "centred" and self.conv % 2 == 0:
            raise ValueError(f"conv is centred on the present frame: it must be odd, got {self.conv}")
        return self


class GatedDeltaNetOptions(GatedConvOptions):
    """Gated DeltaNet: the gated delta rule, along time, against it, or both ways."""

    expand: float = Field(1.0, gt=0)
    """Inner width over channels, rounded so that every head has a multiple of 8 features."""
    head_dim: int | None = Field(None, ge=1, le=65_536)
    """Features of a head at expand 1; the state is head_dim a channel. null: 32, and fewer where that would leave one head."""
    backend: Literal["auto", "reference", "chunked", "triton", "fla"] = "auto"
    """Kernel of the scan."""


class LSTMOptions(Declared):
    """LSTM, along time, against it, or both ways."""

    direction: Literal["forward", "backward", "both"] = "forward"
    """Along time (causal), against it, or both ways, side by side."""
    expand: float = Field(1.0, gt=0)
    """Hidden width of a direction over channels, rounded to a multiple of 8."""


class PairOptions(Declared):
    """Two mixers as one layer."""

    first: str | dict[str, Any] = Field("sliding-attention", validate_default=True)
    """A mixer: its name or path/to/file.py:Class, or a mapping of name and options; in parallel it sees what the other sees."""
    second: str | dict[str, Any] = Field("mamba", validate_default=True)
    """The other mixer; in series it sees the normalised sum of input and the first's output."""
    arrangement: Literal["parallel", "serial"] = "parallel"
    """Side by side, or one after the other."""
    expand: float = Field(1.0, gt=0)
    """Multiplies expand of both mixers: the knob mixer_width moves this field."""

    @field_validator("first", "second")
    @classmethod
    def _resolved(cls, value: str | dict[str, Any]) -> dict[str, Any]:
        """Options checked and written out, so that a default that changes is another cell here too."""
        options = {"name": value} if isinstance(value, str) else dict(value)
        name = options.pop("name", None)
        if not isinstance(name, str) or name == "pair":
            raise ValueError("a mixer of a pair is its name, or a mapping with 'name' and its options, and no pair itself")
        if is_code(name):
            try:
                return {"name": name, **options, "sha256": options.get("sha256") or fingerprint(name)}
            except InvalidUserCode as error:
                raise ValueError(str(error)) from None
        try:
            resolved = registry.mixers[name].load_options()(**options)
        except registry.UnknownName as error:
            raise ValueError(error.message) from None
        except ValidationError as error:
            told = error.errors()[0]
            where = ".".join(str(part) for part in told["loc"])
            message = told["msg"].removeprefix("Value error, ")
            raise ValueError(f"{name} {where}: {message}" if where else f"{name}: {message}") from None
        return {"name": name, **resolved.model_dump()}

    @model_validator(mode="after")
    def _a_width_to_widen(self) -> Self:
        for part in (self.first, self.second):
            if self.expand != 1 and isinstance(part, dict) and "expand" not in part:
                raise ValueError(f"mixer '{part['name']}' has no width: keep the pair's expand at 1, got {self.expand}")
        return self
