"""A folder of videos: ``train/`` and ``test/``, or two lists of what belongs to which."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from vdmbench.data.content import digests
from vdmbench.data.files.arrays import read_array
from vdmbench.data.files.formats import list_videos, open_video
from vdmbench.data.files.source import FileSource, StoredVideo
from vdmbench.data.manifest import MANIFEST, Manifest
from vdmbench.data.source import SPLITS, DataError, Split

LISTS = {split: f"{split}.txt" for split in SPLITS}


class Folder(FileSource):
    """The videos of ``path/train`` or ``path/test``, at any depth, in the order of their relative paths.

    A video is ``.npy`` or ``.pt`` (uint8 (frames, height, width, 3)), ``.npz`` (that array named ``video``), a movie (mp4,
    webm, avi, mkv, mov), a GIF, or a folder of images. Where neither folder is there, ``train.txt`` and ``test.txt`` list the
    videos of each split, a relative path a line (what follows a space is left alone). The sub-folder that a video stands in
    is its class. Annotations are the other arrays of an ``.npz``, or an ``.npz`` beside a movie of the same name.

    Where the folder has a ``manifest.json`` (a recorded data set), the files must be those it lists, with the content it lists.
    """

    @staticmethod
    def find(root: Path, split: Split) -> list[StoredVideo]:
        """Those of ``split/``, or that the split's list names."""
        if not (root / split).is_dir() and (root / LISTS[split]).is_file():
            return _listed(root, split)
        paths = list_videos(_split_folder(root, split))
        videos = [
            StoredVideo(path.relative_to(root).as_posix(), open_video(path), _class_of(path, root / split)) for path in paths
        ]
        manifest = Manifest.read(root)
        if manifest is None:
            if split == "test" and (root / "train").is_dir():
                _check_apart(root, list_videos(root / "train"), paths)
            return videos
        _check_manifest(root, split, manifest, [video.name for video in videos])
        return [_with_manifest(video, manifest, root) for video in videos]


def _check_apart(root: Path, train: list[Path], test: list[Path]) -> None:
    """Hold that no file of the test split has the content of a training file; only files of one size are hashed."""
    files = {"train": [path for path in train if path.is_file()], "test": [path for path in test if path.is_file()]}
    sizes = {split: {file.stat().st_size for file in of_split} for split, of_split in files.items()}
    alike = sizes["train"] & sizes["test"]
    names = {
        split: [file.relative_to(root).as_posix() for file in of_split if file.stat().st_size in alike]
        for split, of_split in files.items()
    }
    found = digests(root, [*names["train"], *names["test"]])
    of_train = {found[name]: name for name in names["train"]}
    for name in names["test"]:
        if found[name] in of_train:
            raise DataError(
                f"{root / name} has the same content as {of_train[found[name]]}; test videos are never trained on, "
                "so take one away"
            )


def _split_folder(root: Path, split: Split) -> Path:
    if not root.exists():
        raise DataError(
            f"{root}: no such folder; record one ('vdmbench data record --help'), prepare a published set ('vdmbench data "
            "prepare --help'), or set data.source.path"
        )
    if not (root / split).is_dir():
        raise DataError(
            f"{root} has no folder {split}/ and no {LISTS[split]}; a data set holds train/ and test/, a video a file"
        )
    return root / split


def _class_of(path: Path, above: Path) -> str | None:
    """The sub-folders between the split and the video, where there are any."""
    between = path.relative_to(above).parent.as_posix()
    return None if between == "." else between


def _listed(root: Path, split: Split) -> list[StoredVideo]:
    """The videos that ``train.txt`` or ``test.txt`` lists; both lists are read, so that they cannot overlap."""
    seen: dict[str, str] = {}
    names: dict[str, list[str]] = {}
    for which, file in LISTS.items():
        if not (root / file).is_file():
            raise DataError(f"{root} has no {file}; list the videos of both splits, or put them into train/ and test/")
        names[which] = []
        for number, line in enumerate((root / file).read_text().splitlines(), start=1):
            name = line.split(" ")[0].strip()
            if not name:
                continue
            here = f"{file}:{number}"
            if name in seen:
                raise DataError(
                    f"{root / file}:{number} lists {name}, which {seen[name]} lists already; a video belongs to one split, once"
                )
            if not (root / name).resolve().is_relative_to(root.resolve()) or not (root / name).exists():
                raise DataError(f"{root / file}:{number} lists {name}, which is not in {root}")
            seen[name] = here
            names[which].append(name)
    if not names[split]:
        raise DataError(f"{root / LISTS[split]} lists no video")
    return [StoredVideo(name, open_video(root / name), _class_of(root / name, root)) for name in names[split]]


def _check_manifest(root: Path, split: Split, manifest: Manifest, names: list[str]) -> None:
    listed = [name for name in manifest.videos if name.startswith(f"{split}/")]
    for name, fault in [
        *((name, "lists, is missing") for name in sorted(set(listed) - set(names))),
        *((name, "does not list, is there") for name in names if name not in manifest.videos),
    ]:
        raise DataError(f"{root / name}, which {MANIFEST} {fault}; record the data set again, or delete {MANIFEST}")
    for name in names:
        size = (root / name).stat().st_size
        if size != manifest.videos[name].bytes:
            raise DataError(
                f"{root / name} has {size} bytes, and {MANIFEST} lists {manifest.videos[name].bytes}; record it again"
            )
    for name, digest in digests(root, names).items():
        if digest != manifest.videos[name].sha256:
            raise DataError(f"{root / name} is not the file that {MANIFEST} lists (its hash differs); record it again")


def _with_manifest(video: StoredVideo, manifest: Manifest, root: Path) -> StoredVideo:
    """With the class and the annotations that the recorder knew."""
    files = {name.split("/")[0]: root / name for name in manifest.annotations if name.split("/", 1)[1] == video.name}
    for path in files.values():
        if not path.is_file():
            raise DataError(f"{path}, which {MANIFEST} lists, is missing; record the data set again")
    file = replace(video.file, annotate=lambda: {name: read_array(path) for name, path in files.items()})
    return StoredVideo(video.name, file, video.label or manifest.label)
