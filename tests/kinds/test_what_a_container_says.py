"""Kind: what a container says beyond width x height x 8 bits is dropped.

Found: 16-bit pictures lost all but two levels, floating-point ones became 0 and 1; orientation, display matrices and
oblong pixels were dropped; transparency showed what lies under it; animations in a folder were one frame; frames that a
GIF holds were one; HDR was shown as if it were not, two fields as one frame, uneven frames as even ones, the first of
several streams or a cover as the video; the second array of an npy was not seen. All are honoured or refused by name,
and the table in docs/data.md is held to the files that say so. Left: a crop that mp4 (clap) or Matroska (PixelCrop) ask
of the player, which PyAV does not tell, and fields of an image that decoders drop unseen (PNG's cICP).
"""

from __future__ import annotations

import ast
from pathlib import Path

import numpy as np
import pytest

from tests.data_room.container_features import FEATURES, Feature
from tests.kinds.syntax import called, places
from vdmbench.data.files.formats import MOVIES, READERS, open_video
from vdmbench.data.files.images import IMAGES
from vdmbench.data.source import DataError

CASES = [(feature, name) for feature in FEATURES for name in feature.files]


@pytest.mark.parametrize(("feature", "name"), CASES, ids=[f"{feature.name}: {name}" for feature, name in CASES])
def test_it_is_honoured_or_refused(feature: Feature, name: str, tmp_path: Path) -> None:
    path = feature.files[name](tmp_path)
    if feature.shown is None:
        with pytest.raises(DataError, match=str(path)):
            open_video(path)
        return
    expected, found = feature.shown(name), open_video(path)
    assert (found.frames, found.height, found.width) == expected.shape[:3]
    for start, frames in ((0, len(expected)), (1, 2), (len(expected) - 1, 1)):
        read = found.read(start, frames)
        assert read.dtype == np.uint8
        assert np.abs(read.astype(float) - expected[start : start + frames]).mean() <= feature.tolerance


def test_the_page_has_the_table() -> None:
    page = (Path(__file__).parents[2] / "docs" / "data.md").read_text()
    rows = [f"| {feature.name} | {feature.becomes} |" for feature in FEATURES]
    assert "\n".join(["| what a file says | what becomes of it |", "|---|---|", *rows]) in page


DECODERS = {
    "data/files/arrays.py:read_annotations": "arrays beside a video",
    "data/files/arrays.py:_whole": "several videos in an npz",
    "data/files/arrays.py:_mapped": "npy",
    "data/files/arrays.py:open_npz": "the header of an npz",
    "data/files/arrays.py:open_npz.read": "a clip of an npz",
    "data/files/arrays.py:holds_video": "names in an npz",
    "data/files/arrays.py:open_pt.load": "tensors",
    "data/files/images.py:_opened": "pictures and GIFs",
    "data/files/movies.py:_opened": "movies",
    "data/files/published.py:_moving_mnist": "the one file of Moving MNIST, held to its dtype and shape",
    "data/files/published.py:_grey_frames": "the same",
    "data/recording/recorder.py:_is_whole": "what a recorder has just written",
    "data/store/store.py:_mapped": "shards, held to the index",
    "engine/clips_file.py:ClipsFile.clips": "clips that vdmbench has just written",
    "engine/latents.py:LatentBatches.__init__": "latents, not video",
    "report/figures/samples.py:_loaded": "clips that vdmbench has written, of a record",
    "report/figures/walls.py:wall_mp4": "writes one",
    "unpacked.py:refuse_larger_than_memory": "sizes of members alone",
}


def test_no_other_place_reads_video() -> None:
    def reads(node: ast.AST) -> bool:
        if not isinstance(node, ast.Call) or not isinstance(node.func, ast.Attribute):
            return False
        of = ast.unparse(node.func)
        return of in ("np.load", "Image.open", "av.open", "torch.load", "zipfile.ZipFile", "torchvision.io.read_video")

    no_video = ("runner", "networks", "autoencoders", "metrics", "data/preparing/unpack.py", "data/preparing/prepare.py")
    found = {place for place in places(reads) if not place.startswith(no_video)}
    assert found == set(DECODERS)
    assert not {place for place in places(lambda node: called(node) == "importlib.import_module" and "av" in ast.unparse(node))}


def test_every_suffix_is_in_a_feature() -> None:
    """A new format brings what it can say."""
    assert frozenset({".mp4", ".webm", ".avi", ".mkv", ".mov", ".m4v"}) == MOVIES
    assert set(READERS) - MOVIES == {".npy", ".npz", ".pt", ".gif"}
    assert frozenset({".png", ".jpg", ".jpeg", ".bmp", ".webp", ".tif", ".tiff"}) == IMAGES
