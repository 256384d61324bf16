"""Kind: two things are taken for the same because their names, sizes or times are.

Found: cached features of folders whose files have the same names, sizes and times (every unpacked archive), arrays replaced in
place, folders of frames, a text encoder known by samples of its large files, a user's mixer or extractor whose helper module
changed, an autoencoder's folder. Mended: vdmbench/file_digests.py hashes whole files, and remembers a hash by device, inode,
size and both times of change at most; a user's code is hashed with the modules that it imports. Left: the index of statuses
looks at the size and time of our own immutable records; a preflight adds up sizes to know whether a disk has room; a mixer of
an installed package is known by its name, and the package's version stands in the record.

Every place that hashes or looks at a file's status is listed with what its answer is made of.
"""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest

from tests.kinds.syntax import called, places
from vdmbench.file_digests import digests
from vdmbench.user_code import fingerprint

CONTENT = "content: whole bytes"
DECLARED = "canonical JSON of what is declared, hashes of content among it"
SEED = "a seed from words and numbers; not an identity"
SAME_FILE = "device and inode alone: whether two names are one file"
SIZES = "sizes, to say or to compare before content is"

SITES = {
    "data/files/arrays.py:open_npy": "the size, held to the header's",
    "data/files/arrays.py:_state": "as file_digests: whether the archive that was inflated is still there",
    "data/files/folder.py:check_apart": SIZES + "; those of equal size are hashed",
    "data/files/folder.py:_check_manifest": SIZES + "; and hashes of content",
    "data/files/formats.py:_twice": SAME_FILE,
    "data/files/lists.py:listed": SAME_FILE,
    "data/preparing/fetch.py:fetch": CONTENT,
    "data/preparing/fetch.py:_receive": CONTENT,
    "data/preparing/survey.py:survey": SIZES,
    "data/preparing/unpack.py:unpack": CONTENT,
    "data/preparing/verify.py:_frame_hashes": CONTENT,
    "data/recording/recorder.py:_recorded": CONTENT,
    "data/store/store.py:pixels_hash": CONTENT,
    "data/store/store.py:rows_hash": CONTENT,
    "data/store/writer.py:_Hashing.__init__": CONTENT,
    "diffusion/clip_noise.py:clip_seed": SEED,
    "engine/latents.py:latent_space": DECLARED,
    "engine/latents.py:_make": CONTENT,
    "engine/training.py:draw_seed": SEED,
    "file_digests.py:digest_of": DECLARED,
    "file_digests.py:_memory_of": "a file's name for a folder's digests",
    "file_digests.py:_state": "device, inode, size, both times of change: what a remembered hash stands for",
    "file_lock.py:_remove_void": "the time since a claim was touched; which claim it is says its token",
    "file_lock.py:_take": "the time by the file system's clock",
    "file_tree.py:_walk": SAME_FILE,
    "matching/cost.py:_structure": "shapes of every parameter",
    "matching/memory.py:_Answers.answer": DECLARED,
    "matching/memory.py:_source_digest": CONTENT,
    "measure/environment.py:git_state": CONTENT,
    "metrics/archive.py:PackagedFile.read": CONTENT,
    "metrics/durable.py:_seal": CONTENT,
    "metrics/durable.py:save_tensors": "who may read a file that is made",
    "metrics/i3d/checkpoint.py:digest": CONTENT,
    "metrics/protocol.py:Protocol.digest": DECLARED,
    "metrics/reference.py:reference_key": DECLARED,
    "metrics/reference.py:tensor_fingerprint": CONTENT,
    "metrics/user_extractor.py:_of_code": CONTENT,
    "networks/initial_gains.py:_gain": SEED,
    "networks/initial_draws.py:_Seeded.__torch_dispatch__": SEED,
    "ops/kernel_cache.py:kernel_folder": CONTENT,
    "process_identity.py:hidden": "a name, salted by the results folder it is told in",
    "records/events.py:beat": SIZES,
    "records/remembered.py:Remembered.record": "as file_digests: whether a record that was read before is still the one",
    "records/remembered.py:Remembered.save": "a digest of the memory, in the memory",
    "records/remembered.py:_place": "a file's name for a results folder's memory",
    "records/remembered.py:_read": "the digest of the memory, held to what was read",
    "report/write.py:_file_name": "a file's name, unique by all of a long one",
    "runner/checkpoint.py:_read": CONTENT,
    "runner/checkpoint.py:_write": CONTENT,
    "runner/disk.py:_size": SIZES,
    "runner/checkpoint.py:Checkpoints.latest": CONTENT,
    "runner/plan_cache.py:code_digest": CONTENT,
    "runner/trained_alike.py:training_key": DECLARED,
    "runner/survey.py:_read_by": CONTENT + ", of the suite and of the code that reads it",
    "suite/cells.py:CellInputs.identity": DECLARED,
    "user_cache.py:writable_by_us_alone": "whose a folder is, and who may write into it",
}


def test_every_place_that_says_what_a_thing_is_by_hash_or_status_is_known():
    found = places(lambda node: called(node) in ("sha256", "sha1", "md5", "blake2b", "stat", "fstat", "lstat", "getmtime"))
    assert set(found) == set(SITES)


@pytest.mark.parametrize("replace", [False, True], ids=["in-place", "by-another-file"])
def test_a_file_of_the_same_name_size_and_time_is_another(tmp_path: Path, replace: bool):
    file = tmp_path / "a.npy"
    np.save(file, np.zeros(64, np.uint8))
    os.utime(file, ns=(10**18, 10**18))
    before = digests(tmp_path, ["a.npy"])
    target = tmp_path / "b.npy" if replace else file
    np.save(target, np.ones(64, np.uint8))
    os.utime(target, ns=(10**18, 10**18))
    if replace:
        target.replace(file)
    assert digests(tmp_path, ["a.npy"]) != before


def test_a_helper_of_a_users_class_is_part_of_it(tmp_path: Path):
    (tmp_path / "mine.py").write_text("from helper import WIDTH\nclass Mine: ...\n")
    (tmp_path / "helper.py").write_text("WIDTH = 1\n")
    before = fingerprint(f"{tmp_path}/mine.py:Mine")
    (tmp_path / "helper.py").write_text("WIDTH = 2\n")
    assert fingerprint(f"{tmp_path}/mine.py:Mine") != before
