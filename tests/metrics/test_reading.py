from __future__ import annotations

import numpy as np
import pytest
import torch
from PIL import Image

from vdmbench.metrics.reading import fingerprint, list_videos, read_video
from vdmbench.metrics.video import InvalidVideo


@pytest.fixture
def clip(discs):
    return discs(1, seed=0, frames=12)[0].permute(0, 2, 3, 1).numpy()


def test_every_format_gives_the_same_frames(tmp_path, clip):
    np.save(tmp_path / "a.npy", clip)
    np.savez(tmp_path / "b.npz", videos=np.stack([clip, clip[::-1]]), labels=np.arange(2))
    frames = tmp_path / "c"
    frames.mkdir()
    for index, frame in enumerate(clip):
        Image.fromarray(frame).save(frames / f"frame{index}.png")  # frame10 must come after frame9
    videos = list_videos(tmp_path)
    assert [str(video).removeprefix(str(tmp_path)) for video in videos] == ["/a.npy", "/b.npz[0]", "/b.npz[1]", "/c"]
    whole = torch.from_numpy(clip).permute(0, 3, 1, 2)
    for video, expected in zip(videos, (whole, whole, whole.flip(0), whole), strict=True):
        assert torch.equal(read_video(video), expected)


def test_movies_and_gifs_are_close(tmp_path, clip):
    av = pytest.importorskip("av")
    with av.open(str(tmp_path / "m.mp4"), "w") as container:
        stream = container.add_stream("mpeg4", rate=10)
        stream.width, stream.height, stream.pix_fmt, stream.bit_rate = 32, 32, "yuv420p", 4_000_000
        for frame in clip:
            container.mux(stream.encode(av.VideoFrame.from_ndarray(np.ascontiguousarray(frame), format="rgb24")))
        container.mux(stream.encode())
    Image.fromarray(clip[0]).save(tmp_path / "n.gif", save_all=True, append_images=[Image.fromarray(f) for f in clip[1:]])
    for video in list_videos(tmp_path):
        frames = read_video(video)
        assert frames.shape == (12, 3, 32, 32)
        assert (frames.float() - torch.from_numpy(clip).permute(0, 3, 1, 2).float()).abs().mean() < 12


def test_float_arrays_need_their_range_declared(tmp_path, clip):
    np.save(tmp_path / "a.npy", clip.astype(np.float32) / 255)
    (video,) = list_videos(tmp_path)
    assert torch.equal(read_video(video, "unit"), torch.from_numpy(clip).permute(0, 3, 1, 2))
    with pytest.raises(InvalidVideo, match=r"a\.npy: videos are float32 but declared uint8"):
        read_video(video)


def test_the_fingerprint_follows_the_files(tmp_path, clip):
    np.save(tmp_path / "a.npy", clip)
    first, again, other = (fingerprint(list_videos(tmp_path), tmp_path, value) for value in ("uint8", "uint8", "unit"))
    assert first == again != other
    np.save(tmp_path / "b.npy", clip)
    assert first != fingerprint(list_videos(tmp_path), tmp_path, "uint8")


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("a.npy", b"\x93NUMPY\x01", "cannot be read as an array"),
        ("a.mp4", b"no movie", "cannot be read"),
        ("a.gif", b"no picture", "cannot be read"),
        ("a.txt", b"text", "holds no video"),
    ],
)
def test_what_cannot_be_read_is_named(tmp_path, name, content, message):
    (tmp_path / name).write_bytes(content)
    with pytest.raises(InvalidVideo, match=message) as caught:
        read_video(list_videos(tmp_path)[0])
    assert str(tmp_path) in str(caught.value)


def test_arrays_of_other_shapes_are_refused(tmp_path):
    np.save(tmp_path / "a.npy", np.zeros((4, 3, 8, 8), np.uint8))
    with pytest.raises(InvalidVideo, match="expected"):
        list_videos(tmp_path)
    with pytest.raises(InvalidVideo, match="no such folder"):
        list_videos(tmp_path / "absent")
    np.savez(tmp_path / "a.npz", x=np.zeros(1), y=np.zeros(1))
    (tmp_path / "a.npy").unlink()
    with pytest.raises(InvalidVideo, match="name the array of videos 'videos'"):
        list_videos(tmp_path)
