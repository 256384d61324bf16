"""Kind: what `auto` runs on a GPU hangs on an optional package, and falls to a loop over frames in Python where it is absent.

Found in the selective scans (mamba_ssm, else a loop: 401 and 764 bytes held where 21 and 29 do) and in the short convolution
(causal_conv1d); ssd_scan and gated_delta_scan were plain PyTorch. Mended: Triton kernels, which come with PyTorch for CUDA,
stand first, and packages are taken by name alone. Left: `reference` stands last in scans, for float64, which no suite trains
in, and for a PyTorch without Triton. The test lists what `auto` may take on a GPU, and fails where an op or a place is added.
"""

from __future__ import annotations

from vdmbench.ops import backends

TAKEN = {
    "attention": ["triton", "sdpa", "math"],
    "sliding_attention": ["blocks", "sdpa", "math"],
    "selective_scan": ["triton", "reference"],
    "bidirectional_selective_scan": ["triton", "reference"],
    "ssd_scan": ["triton", "chunked", "reference"],
    "quasi_separable_scan": ["triton", "chunked", "reference"],
    "mamba2_block": ["parts"],
    "gated_delta_scan": ["triton", "chunked", "reference"],
    "causal_conv1d": ["triton", "torch"],
    "long_convolution": ["triton", "fft", "reference"],
    "group_norm_silu": ["triton", "torch"],
}


def test_auto_takes_no_optional_package_on_a_gpu() -> None:
    found = {
        op: [each.name for each in every if not each.by_name_only and each.why_not("cuda", ("triton",)) is None]
        for op, every in backends._ops.items()
    }
    assert found == TAKEN
