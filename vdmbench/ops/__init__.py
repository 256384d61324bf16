"""Scans, attention and convolutions over frames: functions with one reference and several backends each."""

from vdmbench.ops.attention import attention as attention
from vdmbench.ops.backends import BackendUnavailable as BackendUnavailable
from vdmbench.ops.backends import UnknownBackend as UnknownBackend
from vdmbench.ops.backends import recording as recording
from vdmbench.ops.backends import simulating as simulating
from vdmbench.ops.bidirectional_scan import bidirectional_selective_scan as bidirectional_selective_scan
from vdmbench.ops.causal_conv1d import causal_conv1d as causal_conv1d
from vdmbench.ops.delta_scan import gated_delta_scan as gated_delta_scan
from vdmbench.ops.direction import Direction as Direction
from vdmbench.ops.group_norm_silu import group_norm_silu as group_norm_silu
from vdmbench.ops.linear_attention import linear_attention as linear_attention
from vdmbench.ops.linear_attention import linear_attention_quadratic as linear_attention_quadratic
from vdmbench.ops.long_convolution import long_convolution as long_convolution
from vdmbench.ops.long_convolution import s4d_kernel as s4d_kernel
from vdmbench.ops.mamba2_block import Mamba2Weights as Mamba2Weights
from vdmbench.ops.mamba2_block import mamba2_block as mamba2_block
from vdmbench.ops.quasi_separable_scan import Side as Side
from vdmbench.ops.quasi_separable_scan import quasi_separable_scan as quasi_separable_scan
from vdmbench.ops.selective_scan import selective_scan as selective_scan
from vdmbench.ops.sliding_attention import sliding_attention as sliding_attention
from vdmbench.ops.ssd_scan import ssd_scan as ssd_scan
