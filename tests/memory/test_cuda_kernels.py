"""What kernels of CUDA allocate inside one call, each worked out by hand from the lines of PyTorch that allocate it.

No GPU is asked here: a number stands for a reading of the source that the test names, and fails where the reading is forgotten.
"""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from tests.memory.workloads import mixer, workload
from vdmbench.cards import DEVICES
from vdmbench.matching.simulation import simulate
from vdmbench.matching.target import Target
from vdmbench.memory.architecture import _CARDS, architecture, card_like
from vdmbench.memory.cuda_kernels import CUBLAS_WORKSPACE
from vdmbench.memory.stand_in import stand_in_device
from vdmbench.memory.storages import StorageTracker
from vdmbench.runner.devices import worker_environment

BF16, FLOAT32 = torch.bfloat16, torch.float32


class Seen:
    """Births and deaths, in bytes, of a forward and of a backward pass of ``run``; its inputs come before."""

    def __init__(self, run: Callable[..., Tensor], make: Callable[[torch.device], list[Tensor]], card: str = "") -> None:
        with stand_in_device("cuda", card) as device, StorageTracker(device.type, card) as tracker:
            inputs = make(device)
            begin = len(tracker.trace.events)
            y = run(*inputs)
            middle = len(tracker.trace.events)
            d_out = torch.empty_like(y)
            ready = len(tracker.trace.events)
            y.backward(d_out)
            events = [event.nbytes for event in tracker.trace]
        self.forward, self.backward = events[begin:middle], events[ready:]

    @property
    def temporary(self) -> list[int]:
        """Born and freed within the backward pass."""
        freed = [-nbytes for nbytes in self.backward if nbytes < 0]
        return [nbytes for nbytes in self.backward if nbytes > 0 and freed.count(nbytes) and not freed.remove(nbytes)]


def heads(frames: int, dim: int, dtype: torch.dtype, *, sites: int = 96, count: int = 2) -> Callable[..., list[Tensor]]:
    """Queries, keys and values as a projection gives them: frames before heads in memory."""

    def make(device: torch.device) -> list[Tensor]:
        shape = (sites, frames, count, dim)
        return [torch.empty(shape, dtype=dtype, device=device).transpose(1, 2).requires_grad_() for _ in range(3)]

    return make


def attend(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    """Looked up when it is called: the stand-in device puts its own in its place."""
    return F.scaled_dot_product_attention(q, k, v)


@pytest.mark.parametrize(("frames", "rows"), [(64, 128), (128, 128), (129, 256)])
@pytest.mark.parametrize(("dim", "columns"), [(32, 32), (40, 64), (128, 128), (136, 192)])
def test_flash_attention_accumulates_dq_in_float32_for_rows_of_128_and_features_of_32(frames, rows, dim, columns):
    """flash_api.cpp, mha_bwd: softmax_d (batch, heads, seqlen_q_rounded) and dq_accum (batch, seqlen_q_rounded, heads,
    head_size_rounded), both float, rounded by round_multiple(seqlen_q, 128) and (head_size, head_size <= 128 ? 32 : 64)."""
    seen = Seen(attend, heads(frames, dim, BF16))
    assert seen.temporary == [4 * 96 * 2 * rows, 4 * 96 * 2 * rows * columns]


def test_at_64_frames_the_accumulator_is_four_times_the_gradient_it_becomes():
    """8.25 bytes a number of the queries, of which the softmax's sums are 0.25: what a plan without it was short of."""
    seen = Seen(attend, heads(64, 32, BF16))
    assert sum(seen.temporary) == 8.25 * 96 * 2 * 64 * 32


def test_flash_attention_keeps_the_sums_of_its_softmax_and_the_state_of_random_numbers():
    """flash_api.cpp, mha_fwd: softmax_lse float (batch, heads, seqlen_q), rng_state uint64 (2) and _unused, without dropout
    too; aten saves all three for the backward pass."""
    seen = Seen(attend, heads(64, 32, BF16))
    assert seen.forward == [2 * 96 * 2 * 64 * 32, 4 * 96 * 2 * 64, 16, 8]


def test_flash_attention_copies_a_gradient_whose_heads_come_before_the_frames():
    """attention_backward.cu, _flash_attention_backward: grad_out.contiguous() and out.contiguous(), frames before heads."""

    def heads_first(device: torch.device) -> list[Tensor]:
        return [torch.empty(96, 2, 64, 32, dtype=BF16, device=device, requires_grad=True) for _ in range(3)]

    size = 2 * 96 * 2 * 64 * 32
    assert Seen(attend, heads_first).temporary[:2] == [size, size]


def test_few_clips_split_their_keys_and_each_split_has_an_output_in_float32():
    """flash_api.cpp, set_params_splitkv: softmax_lse_accum and out_accum (num_splits, ...) where num_splits_heuristic says more
    than one; 2 sites of 2 heads and 512 frames are 32 blocks on the 216 places of an A100, whose keys are 2 blocks of 256."""
    seen = Seen(attend, heads(512, 32, BF16, sites=2))
    assert 2 * 4 * 2 * 2 * 512 in seen.forward
    assert 2 * 4 * 2 * 2 * 512 * 32 in seen.forward
    many = Seen(attend, heads(512, 32, BF16))
    assert len(many.forward) == 4


@pytest.mark.parametrize("card", ["h100-80gb", "h200", "b200"])
def test_hopper_takes_cudnns_attention_whose_accumulator_is_not_rounded_up(card):
    """sdp_utils.cpp, check_prefer_cudnn_attention: major 9 or 10. cudnn-frontend, get_fe_workspace_size_node: dQ_accum
    b h s_q d and softmax_sum b h s_q, floats, one allocation (MHA.cpp, run_cudnn_SDP_bprop)."""
    assert Seen(attend, heads(64, 32, BF16), card).temporary == [4 * 96 * 2 * 64 * (32 + 1)]


@pytest.mark.parametrize("card", ["a100-80gb", "rtx4090", "rtx5090"])
def test_other_cards_and_what_cudnn_does_not_take_go_to_the_flash_kernel(card):
    """priority_order begins with flash there; check_cudnn_tensor_shapes: no head over 128, no single key."""
    flash = [4 * 96 * 2 * 128, 4 * 96 * 2 * 128 * 32]
    assert Seen(attend, heads(64, 32, BF16), card).temporary == flash
    wide = Seen(attend, heads(64, 136, BF16), "h200")
    assert wide.temporary == Seen(attend, heads(64, 136, BF16)).temporary
    assert len(Seen(attend, heads(1, 32, BF16), "h200").temporary) == 2


def test_cards_before_ampere_have_no_flash_kernel():
    """sdp_utils.cpp, check_flash_attention_hardware_support: sm80 and on; float16 goes to the memory-efficient kernel."""
    seen = Seen(attend, heads(64, 32, torch.float16), "t4")
    assert seen.temporary == [4 * 96 * 2 * 64, 96 * 2 * (16 + 4 * 64 * 64)]


@pytest.mark.parametrize(("dim", "tiles"), [(32, (64, 64)), (64, (64, 64)), (96, (128, 64)), (200, (128, 64))])
def test_memory_efficient_attention_accumulates_dq_in_tiles_with_locks(dim, tiles):
    """kernel_backward.h, workspace_elements_gq: ceil(queries / kBlockSizeI) ceil(features / kBlockSizeJ) tiles of
    GradQTempStorage, 4 int32 and kBlockSizeI kBlockSizeJ floats; the tiles of dispatch_cutlassB_f32_sm80. delta is
    (batch, heads, queries) of float (attention_backward.cu)."""
    rows, columns = tiles
    count = -(-70 // rows) * -(-dim // columns)
    seen = Seen(attend, heads(70, dim, FLOAT32))
    assert seen.temporary == [4 * 96 * 2 * 70, 96 * 2 * count * (16 + 4 * rows * columns)]


def images(dtype: torch.dtype, *, channels_last: bool) -> Callable[..., list[Tensor]]:
    layout = torch.channels_last if channels_last else torch.contiguous_format

    def make(device: torch.device) -> list[Tensor]:
        x = torch.empty(6, 16, 8, 8, dtype=dtype, device=device).to(memory_format=layout).requires_grad_()
        return [x, *(torch.empty(16, dtype=dtype, device=device, requires_grad=True) for _ in range(2))]

    return make


def normed(x: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
    return F.group_norm(x, 4, weight, bias)


def test_group_norm_on_cuda_copies_channels_last_and_gives_channels_first():
    """group_norm.cpp, native_group_norm: memory_format is Contiguous but on the CPU; Y is empty_like(X_). PyTorch's spare
    device type is treated as the CPU there, so that fake tensors on it show no copy."""
    size = 4 * 6 * 16 * 64
    forward = Seen(normed, images(FLOAT32, channels_last=True)).forward
    # The copy, the result, mean and rstd, and a scale and a shift for each image and channel.
    assert forward[:6] == [size, size, 4 * 6 * 4, 4 * 6 * 4, 4 * 6 * 16, 4 * 6 * 16]
    assert -size in forward
    assert Seen(normed, images(FLOAT32, channels_last=False)).forward[0:2] == [size, 4 * 6 * 4]
    with stand_in_device("cuda") as device, StorageTracker(device.type):
        assert normed(*images(FLOAT32, channels_last=True)(device)).is_contiguous()


def test_group_norm_of_half_precision_has_statistics_and_gradients_of_scale_in_float32():
    """group_norm_kernel.cu: mean_acc and rstd_acc where needMeanAcc; a and b of kAccTypeOpts (N, C); backwards ds, db and c1
    (N, C), c2 and c3 (N, G)."""
    seen = Seen(normed, images(BF16, channels_last=False))
    assert seen.forward[3:7] == [4 * 6 * 4] * 2 + [4 * 6 * 16] * 2
    assert sorted(seen.temporary)[-5:] == [4 * 6 * 4] * 2 + [4 * 6 * 16] * 3


def test_rms_norm_is_one_kernel_that_keeps_x_and_a_number_a_row():
    """layer_norm.cpp, rms_norm_symint, to _fused_rms_norm where the weight has the dtype of x; layer_norm_kernel.cu,
    _fused_rms_norm_cuda: Y and rstd in the accumulating type. Else it is made of a dozen operations."""

    def make(dtype: torch.dtype) -> Callable[..., list[Tensor]]:
        def inputs(device: torch.device) -> list[Tensor]:
            x = torch.empty(5, 7, 64, dtype=BF16, device=device, requires_grad=True)
            return [x, torch.empty(64, dtype=dtype, device=device, requires_grad=True)]

        return inputs

    def run(x: Tensor, weight: Tensor) -> Tensor:
        return F.rms_norm(x, (64,), weight, 1e-5)

    fused = Seen(run, make(BF16))
    assert fused.forward == [2 * 5 * 7 * 64, 4 * 5 * 7]
    assert fused.backward[:2] == [2 * 5 * 7 * 64, 2 * 64]
    with pytest.warns(UserWarning, match="Cannot dispatch to fused implementation"):
        assert len(Seen(run, make(FLOAT32)).forward) > 5


def test_gradients_of_what_was_looked_up_are_sorted():
    """Indexing.cu, index_put_with_sort_kernel: linearIndex, orig_indices, sorted_indices and range, int64 each, and the room of
    a radix sort of two of them."""

    def make(device: torch.device) -> list[Tensor]:
        return [torch.empty(32, 2, device=device, requires_grad=True), torch.empty(40, 40, dtype=torch.long, device=device)]

    seen = Seen(lambda table, place: table[place], make)
    assert seen.temporary.count(8 * 40 * 40) == 6


def test_the_norm_of_all_gradients_has_a_part_for_each_chunk_of_the_largest():
    """ForeachReduceOp.cu: output_per_tensor of ntensors max_chunks_per_tensor, a chunk being 65,536 numbers."""
    with stand_in_device("cuda") as device, StorageTracker(device.type) as tracker:
        tensors = [torch.empty(65_537, device=device), *(torch.empty(3, device=device) for _ in range(4))]
        torch._foreach_norm(tensors)
        assert 4 * 5 * 2 in [event.nbytes for event in tracker.trace]


def test_multiplying_holds_a_workspace_for_the_forward_and_one_for_the_backward_pass():
    """CublasHandlePool.cpp: a handle for each thread, autograd has one of its own; parseChosenWorkspaceSize of ':4096:8', which
    workers run with. Recorded histories of GPUs show one of 33,554,432 bytes at the first product of each pass."""
    assert worker_environment(None)["CUBLAS_WORKSPACE_CONFIG"] == ":4096:8"
    assert CUBLAS_WORKSPACE == 4096 * 8 * 1024 == 33_554_432
    for peak in simulate(workload(mixer("identity"))).values():
        assert peak.holders["workspaces"] == 2 * CUBLAS_WORKSPACE


def test_a_plan_is_for_a_card():
    """At 64 frames cuDNN's accumulator is half of flash's."""
    peaks = {}
    for card in ("a100-80gb", "h200"):
        described = workload(mixer("attention"), frames=64, size=16, precision="bf16")
        target = Target(card, frozenset())
        peaks[card] = simulate(type(described)(**{**vars(described), "target": target}), ("train",))["train"]
    assert peaks["h200"].allocated_peak_bytes <= peaks["a100-80gb"].allocated_peak_bytes
    assert architecture("16GiB") == architecture("a100-80gb"), "an amount of memory stands for one"
    assert architecture(card_like((9, 0))).capability == (9, 0)
    with pytest.raises(ValueError, match=r"no card of compute capability 6\.1 is known"):
        card_like((6, 1))


def test_every_card_has_an_architecture():
    assert set(DEVICES) == set(_CARDS)


def test_what_is_allocated_inside_is_freed_and_a_real_device_is_left_alone():
    with stand_in_device("cuda") as device, StorageTracker(device.type) as tracker:
        layer, x = nn.GroupNorm(4, 16, device=device), torch.empty(6, 16, 8, 8, device=device)
        before = sum(event.nbytes for event in tracker.trace)
        with torch.no_grad():
            layer(x)
        assert sum(event.nbytes for event in tracker.trace) == before
    with StorageTracker("cpu") as tracker:
        y = F.group_norm(torch.randn(6, 16, 8, 8).to(memory_format=torch.channels_last), 4)
    assert y.is_contiguous(memory_format=torch.channels_last)
