"""The stand-in CUDA device takes what CUDA would take: autocast's copies, kernels of attention, an LSTM's reserve."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.attention import SDPBackend, sdpa_kernel

from vdmbench.memory.stand_in import stand_in_device
from vdmbench.memory.storages import StorageTracker

BF16 = torch.bfloat16


def born(run: Callable[[torch.device], object], kind: str = "cuda") -> list[int]:
    """Bytes of the storages that ``run`` makes after its inputs, which it makes itself and yields first."""
    with stand_in_device(kind) as device, StorageTracker(device.type) as tracker:
        run(device)
        return [event.nbytes for event in tracker.trace if event.nbytes > 0]


def autocast(run: Callable[..., object], *inputs: tuple[tuple[int, ...], torch.dtype], dtype: torch.dtype = BF16) -> list[int]:
    """Bytes that ``run`` takes under autocast beyond its inputs, of those shapes and dtypes."""

    def both(device: torch.device) -> object:
        tensors = [torch.empty(shape, dtype=each, device=device) for shape, each in inputs]
        with torch.autocast(device.type, dtype=dtype):
            return run(*tensors)

    return born(both)[len(inputs) :]


FULL, HALF = ((8, 64), torch.float32), ((8, 64), BF16)


def test_autocast_casts_what_multiplies_to_half():
    assert autocast(lambda x, w: x @ w.T, FULL, FULL) == [1024, 1024, 128]


def test_autocast_keeps_norms_and_losses_in_float32():
    assert autocast(lambda x: F.layer_norm(x, (64,)), HALF) == [2048, 2048, 32, 32]
    assert autocast(lambda x, y: F.mse_loss(x, y), HALF, HALF) == [2048, 2048, 4]


def test_sums_and_softmax_are_float32_and_copy_only_where_cuda_does():
    assert autocast(lambda x: x.sum(-1), HALF) == [32]
    assert autocast(lambda x: x.softmax(-1), HALF) == [2048, 2048]
    half = ((8, 64), torch.float16)
    assert autocast(lambda x: x.softmax(-1), half, dtype=torch.float16) == [2048]
    assert autocast(lambda x: x.sum(-1, dtype=torch.float64), HALF) == [64]


def test_concatenation_promotes_by_itself():
    assert autocast(lambda x, y: torch.cat([x, y]), FULL, HALF) == [4096]


def test_a_weight_is_cast_once_until_autocast_ends():
    def run(device: torch.device) -> None:
        layer = nn.Linear(64, 64, bias=False, device=device)
        x = torch.empty(2, 64, device=device)
        for _ in range(2):
            with torch.autocast(device.type, dtype=BF16):
                layer(layer(x))

    weight, *rest = born(run)
    assert weight == 4 * 64 * 64
    assert rest.count(2 * 64 * 64) == 2  # once in each of the two


def saved_bytes(precision: torch.dtype | None) -> int:
    """Bytes alive after the forward pass of a stack of convolutions, less its parameters and input."""
    with stand_in_device("cuda") as device, StorageTracker(device.type) as tracker:
        layers = nn.Sequential(*(nn.Conv2d(8, 8, 3, padding=1, bias=False, device=device) for _ in range(6)))
        x = torch.empty(4, 8, 32, 32, device=device)
        before = sum(event.nbytes for event in tracker.trace)
        with torch.autocast(device.type, dtype=precision or BF16, enabled=precision is not None):
            y = layers(x)
        kept = sum(event.nbytes for event in tracker.trace) - before
        del y
        return kept


def test_convolutions_keep_half_as_much_in_half_precision():
    activation, weights = 4 * 8 * 32 * 32 * 4, 6 * 8 * 8 * 9 * 4
    assert saved_bytes(None) == 6 * activation
    # Six outputs and the copy of the input that is saved, and the copies of the weights.
    assert saved_bytes(BF16) == 7 * activation // 2 + weights // 2


def attention_bytes(dtype: torch.dtype, *allowed: SDPBackend, head_dim: int = 16, mask: bool = False) -> list[int]:
    def run(device: torch.device) -> Tensor:
        q = torch.empty(2, 4, 64, head_dim, dtype=dtype, device=device)
        bias = torch.empty(4, 64, 64, dtype=dtype, device=device) if mask else None
        with sdpa_kernel(list(allowed)):
            return F.scaled_dot_product_attention(q, q, q, attn_mask=bias)

    return born(run)[2 if mask else 1 :]


def test_attention_takes_the_kernel_that_cuda_takes():
    every = (SDPBackend.FLASH_ATTENTION, SDPBackend.EFFICIENT_ATTENTION, SDPBackend.MATH)
    scores, out = 2 * 4 * 64 * 64, 2 * 4 * 64 * 16
    flash, efficient, unfused = attention_bytes(BF16, *every), attention_bytes(torch.float32, *every), attention_bytes(
        torch.float32, SDPBackend.MATH)  # fmt: skip
    assert max(flash) == 2 * out
    assert 4 * 2 * 4 * 64 in flash  # log-sum-exp of each row
    assert max(efficient) == 4 * out
    assert max(unfused) == 4 * scores
    # A mask keeps half precision from the flash kernel; the bias itself is not copied where its rows are aligned.
    assert max(attention_bytes(BF16, *every, mask=True)) == 2 * out
    # Flash takes head widths in multiples of 8: 12 is padded to 16, q, k and v each.
    assert attention_bytes(BF16, *every, head_dim=12).count(2 * out) == 4


def test_an_lstm_keeps_six_numbers_a_frame_and_unit_for_its_gradient():
    def run(device: torch.device) -> object:
        layer = nn.LSTM(16, 32, batch_first=True, bidirectional=True, device=device)
        return layer(torch.empty(2, 10, 16, device=device))

    output = 2 * 10 * 64 * 4
    assert output in born(run)
    assert 6 * output in born(run)


@pytest.mark.parametrize(("make", "kept"), [(nn.GRU, 5), (nn.RNN, 1), (nn.LSTM, 6)])
@pytest.mark.parametrize("layers", [1, 3])
def test_recurrent_layers_are_one_kernel_with_a_reserve(make, kept, layers):
    def run(device: torch.device) -> object:
        layer = make(16, 32, num_layers=layers, batch_first=True, device=device)
        return layer(torch.empty(2, 10, 16, device=device))

    output = 2 * 10 * 32 * 4
    reserve = (kept * layers + layers - 1) * output
    assert reserve in born(run)
    with torch.no_grad():
        assert reserve == output or reserve not in born(run)


def test_recurrent_cells_keep_a_workspace_for_their_gradient():
    for make, kept in ((nn.GRUCell, 5), (nn.LSTMCell, 4)):

        def run(device: torch.device, make=make) -> object:
            return make(16, 32, device=device)(torch.empty(2, 16, device=device))

        assert kept * 2 * 32 * 4 in born(run)


def test_recurrent_layers_have_gradients_of_the_shapes_of_what_they_took():
    def run(device: torch.device) -> object:
        layer = nn.GRU(16, 32, num_layers=2, batch_first=True, bidirectional=True, device=device)
        x = torch.empty(2, 10, 16, device=device, requires_grad=True)
        layer(x)[0].sum().backward()
        assert x.grad.shape == x.shape
        assert all(each.grad is not None and each.grad.shape == each.shape for each in layer.parameters())

    born(run)


def test_an_lstm_with_projections_is_refused():
    def run(device: torch.device) -> object:
        return nn.LSTM(16, 32, proj_size=8, device=device)(torch.empty(2, 10, 16, device=device))

    with pytest.raises(NotImplementedError, match="an LSTM with projections has no simulated form"):
        born(run)


def test_what_depends_on_values_is_refused():
    with pytest.raises(Exception, match=r"_local_scalar_dense|data-dependent"):
        born(lambda device: torch.empty(3, device=device).sum().item())
    with pytest.raises(ValueError, match="memory is simulated for 'cuda' or 'cpu', not for 'tpu'"):
        born(lambda device: None, kind="tpu")


def test_nothing_is_left_behind():
    born(lambda device: torch.empty(3, device=device))
    assert torch.randn(2, generator=torch.Generator().manual_seed(0)).shape == (2,)
    assert F.scaled_dot_product_attention(*(torch.randn(1, 1, 2, 4) for _ in range(3))).isfinite().all()
    assert not bool(torch.zeros(()))
