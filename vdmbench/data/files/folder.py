"""A folder of videos: ``train/`` and ``test/``, or two lists of what belongs to which."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from pathlib import Path

from vdmbench.data.files.arrays import read_array
from vdmbench.data.files.formats import files_of, find_videos, open_video, videos_by_name
from vdmbench.data.files.lists import LISTS, listed
from vdmbench.data.files.source import FileSource, StoredVideo
from vdmbench.data.manifest import MANIFEST, Manifest
from vdmbench.data.source import SPLITS, DataError, Split
from vdmbench.file_digests import digests


class Folder(FileSource):
    """The videos of ``path/train`` or ``path/test``, at any depth, in the order of their relative paths.

    A video is ``.npy`` or ``.pt`` (uint8 (frames, height, width, 3)), ``.npz`` (that array named ``video``), a movie (mp4,
    webm, avi, mkv, mov), a GIF, or a folder of images. Where neither folder is there, ``train.txt`` and ``test.txt`` list the
    videos of each split (:func:`vdmbench.data.files.lists.listed`). The sub-folder that a video stands in is its class.
    Annotations are the other arrays of an ``.npz``, or an ``.npz`` beside a movie of the same name.

    Where the folder has a ``manifest.json`` (a recorded data set), the files must be those it lists, with the content it lists.
    """

    @staticmethod
    def find(root: Path, split: Split) -> list[StoredVideo]:
        """Those of ``split/``, or that the split's list names."""
        if _is_listed(root, split):
            names = listed(root, split)
            if split == "test":
                check_apart(root, [root / name for name in listed(root, "train")], [root / name for name in names])
            return [StoredVideo(name, open_video(root / name), _class_of(root / name, root)) for name in names]
        paths = find_videos(_split_folder(root, split)).videos
        videos = [
            StoredVideo(path.relative_to(root).as_posix(), open_video(path), _class_of(path, root / split)) for path in paths
        ]
        manifest = Manifest.read(root)
        if manifest is None:
            if split == "test" and (root / "train").is_dir():
                check_apart(root, find_videos(root / "train").videos, paths)
            return videos
        _check_manifest(root, split, manifest, [video.name for video in videos])
        return [_with_manifest(video, manifest, root) for video in videos]

    @staticmethod
    def left_out(root: Path, split: Split) -> tuple[str, ...]:
        """What of the folder is in neither split, and what within the split is no video."""
        if _is_listed(root, split):
            named = {(root / name) for each in SPLITS for name in listed(root, each)}
            of_lists = [file for file in videos_by_name(root) if file not in named]
            return (f"{root}: left out {len(of_lists)} videos that no list names",) if of_lists else ()
        return (*_beside_splits(root), *find_videos(root / split).notes)


def check_apart(root: Path, train: list[Path], test: list[Path]) -> None:
    """Hold that no video of the test split has the content of a training video, under whatever name; only videos whose files
    have the sizes of another one's are hashed.

    Raises:
        DataError: naming both.
    """
    files = {video: files_of(video) for video in [*train, *test]}
    sizes = {video: tuple(file.stat().st_size for file in of_video) for video, of_video in files.items()}
    alike = {sizes[video] for video in train} & {sizes[video] for video in test}
    names = {
        video: [file.relative_to(root).as_posix() for file in of_video]
        for video, of_video in files.items()
        if sizes[video] in alike
    }
    found = digests(root, dict.fromkeys(name for of_video in names.values() for name in of_video))
    content = {video: tuple(found[name] for name in of_video) for video, of_video in names.items()}
    of_train = {content[video]: video for video in train if video in content}
    for video in test:
        if video in content and content[video] in of_train:
            raise DataError(
                f"{video} has the same content as {of_train[content[video]].relative_to(root).as_posix()}; test videos are "
                "never trained on, so take one away"
            )


def _is_listed(root: Path, split: Split) -> bool:
    return not (root / split).is_dir() and (root / LISTS[split]).is_file()


def _beside_splits(root: Path) -> list[str]:
    """Videos in other folders than those of the splits, and lists that folders of the same name make void."""
    manifest = Manifest.read(root)
    known = {*SPLITS, *(name.split("/")[0] for name in (manifest.annotations if manifest else ()))}
    tops = Counter(video.relative_to(root).parts[0] for video in videos_by_name(root) if video != root)
    notes = [
        f"{root}: left out {count} videos in {top}, which is neither train/ nor test/"
        for top, count in sorted(tops.items())
        if top not in known
    ]
    void = [file for split, file in LISTS.items() if (root / split).is_dir() and (root / file).is_file()]
    return notes + [f"{root}: left out {file}, for the folder of that name says what belongs to the split" for file in void]


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
    file = replace(
        video.file,
        annotate=lambda: {name: read_array(path) for name, path in files.items()},
        annotation_files=tuple(files.values()),
    )
    return StoredVideo(video.name, file, video.label or manifest.label)
