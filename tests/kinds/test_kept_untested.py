"""Kind: **what is kept is not tested**: a NaN that is written once is read, shared and judged for ever.

A training state was kept where the loss was finite, though the step had spoiled the weights: it was resumed, taken over by
other cells, and no retry got past it. Found by name, every call that writes arrays or tensors to a disk. Mended: checkpoints
(`Trainer.state` tests network, optimiser and average; `Checkpoints.latest` passes over spoiled ones), the autoencoder and its
latents, features of real and generated clips (`save_tensors`), sampled clips before they are quantised. Left: writers of
uint8 video and of integers, which hold no NaN, and annotations of recorded worlds, which are what the game said.
"""

from __future__ import annotations

import ast

import pytest
import torch

from tests.kinds.syntax import called, places
from vdmbench.engine import NonFinite
from vdmbench.engine.finite import not_finite, require_finite
from vdmbench.engine.latents import decoded, encoded
from vdmbench.metrics.durable import save_tensors

WRITERS = {
    "save_file",
    "savez",
    "savez_compressed",
    "tofile",
    "write_array_header_1_0",
    "save_tensors",
    "save_sealed",
    "memmap",
    "open_memmap",
}
KNOWN = {
    "data/recording/recorder.py:_record_one": "frames are uint8; annotations are what the world said",
    "data/store/writer.py:_write_rows": "frames are uint8; annotations are the user's own",
    "engine/clips_file.py:ClipsFile.__init__": "uint8, of frames that require_finite has passed",
    "engine/latents.py:_make": "require_finite of each video's latents, not_finite and save_tensors of the weights",
    "metrics/durable.py:save_sealed": "by save_tensors",
    "metrics/durable.py:save_tensors": "tests every tensor before it writes",
    "folders/feature_store.py:FeatureStore.append": "by save_sealed",
    "metrics/i3d/weights.py:_keep": "by save_tensors, after two videos of known distance",
    "metrics/lpips.py:_fetched": "by save_sealed, after its hash",
    "metrics/reference.py:_save": "by save_sealed",
    "runner/artifacts.py:write_samples": "uint8, of clips that require_finite has passed; and what clips were told",
    "runner/checkpoint.py:_write": "of a state that Trainer.state has tested; tested again where it is read",
}


def _writes(node: ast.AST) -> bool:
    """``torch.save``, ``np.save``, or a call by one of the names."""
    if called(node) == "save" and isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
        return isinstance(node.func.value, ast.Name) and node.func.value.id in ("torch", "np", "numpy")
    return called(node) in WRITERS


def test_every_writer_of_tensors_is_known_and_says_what_is_tested():
    assert places(_writes).keys() == KNOWN.keys()


def test_quantised_video_was_finite_before():
    """``to_uint8`` refuses too, as an error of data; where a network made the clip, NaN is the outcome."""
    quantised = places(lambda node: called(node) == "to_uint8", "engine")
    tested = places(lambda node: called(node) == "require_finite", "engine")
    assert quantised.keys() <= tested.keys(), "a sampled clip is quantised before it is tested"


@pytest.mark.parametrize("value", [torch.nan, torch.inf, -torch.inf])
def test_features_that_are_not_finite_are_not_kept(tmp_path, value):
    features = torch.zeros(4, 3)
    features[2, 1] = value
    with pytest.raises(ValueError, match="'features' holds NaN or infinite values and is not kept"):
        save_tensors({"videos": torch.arange(4), "features": features}, tmp_path / "a.safetensors")
    assert not list(tmp_path.iterdir())


def test_a_broken_autoencoder_makes_no_clips():
    class Broken:
        def decode(self, latents):
            return latents / 0

        def encode(self, clips):
            return clips * torch.inf

    with pytest.raises(NonFinite, match="decoded frames hold NaN"):
        decoded(Broken(), torch.zeros(1, 2, 3, 4, 4), torch.device("cpu"))
    codes = encoded(Broken(), torch.zeros(1, 2, 3, 4, 4, dtype=torch.uint8), torch.device("cpu"))
    with pytest.raises(NonFinite):
        require_finite(codes.half(), "latents")


def test_the_test_is_of_magnitudes_and_does_not_overflow():
    large = {"a": torch.full((8,), 3e38), "b": torch.zeros(0), "c": torch.ones(2, dtype=torch.int64)}
    assert not_finite(large) == []
    assert not_finite({**large, "d": torch.tensor(torch.nan)}) == ["d"]
