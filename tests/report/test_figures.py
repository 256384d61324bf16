from __future__ import annotations

import io
import math
import re
import sys

import av
import numpy as np
import pytest
from matplotlib.image import imread
from PIL import Image

from tests.report.synthetic import VARIANTS, make_record, make_records, moving_squares, store
from vdmbench.figure_style import DASHES, MARKERS, PALETTE, STYLES, UnknownStyle, log_ticks, looks
from vdmbench.records import ResultsError
from vdmbench.report import Study, draw, read_results
from vdmbench.report.figures import FIGURES, NothingToDraw, UnknownFigure, find_style, save
from vdmbench.report.figures.samples import Clips, all_clips
from vdmbench.report.figures.walls import MovieUnavailable, wall_frames, wall_gif, wall_mp4
from vdmbench.report.study import Group


@pytest.mark.parametrize(
    "name", [name for name in FIGURES if name not in ("profiles", "length", "prediction", "streaming", "tuning", "progress")]
)
def test_every_figure_in_every_format_with_its_fonts(report, name) -> None:
    pdf = (report / "figures" / f"{name}.pdf").read_bytes()
    assert b"/FontFile2" in pdf
    assert b"/Type3" not in pdf
    svg = (report / "figures" / f"{name}.svg").read_text()
    assert "<svg" in svg
    picture = imread(report / "figures" / f"{name}.png")
    assert picture.shape[1] in (1050, 2100)  # single or double column at 300 dpi
    assert np.ptp(picture[..., :3]) > 0.5


def test_equal_studies_give_equal_bytes(study, tmp_path) -> None:
    style = find_style("default")
    first, second = (
        save(draw(study, "memory", style), tmp_path / name / "memory", style)
        for name in ("a", "b")
        if (tmp_path / name).mkdir() is None
    )
    assert [path.read_bytes() for path in first] == [path.read_bytes() for path in second]


def test_a_variant_looks_the_same_in_every_figure(study) -> None:
    expected = looks(study.labels)
    for name in ("memory", "throughput", "distance"):
        for line in draw(study, name).axes[0].lines:
            gid = line.get_gid()
            look = next(look for look in expected.values() if gid.startswith(look.key))
            assert line.get_color() == look.colour
            if line.get_linestyle() != "None":
                assert line.get_marker() == look.marker


def test_no_two_looks_are_equal() -> None:
    assert math.lcm(len(PALETTE), len(MARKERS), len(DASHES)) == 264
    many = looks([str(index) for index in range(264)]).values()
    assert len({(look.colour, look.marker, look.dashes) for look in many}) == 264


def test_failed_cells_are_crosses(study) -> None:
    figure = draw(study, "memory")
    tips = [tip for texts in figure.tips.values() for tip in texts]
    assert "attention at 32: oom" in tips
    assert "linear-attention at 16: infeasible" in tips
    legend = [text.get_text() for text in figure.legends[0].get_texts()]
    assert legend == [*VARIANTS, "infeasible", "out of memory"]


def test_length_is_shown_at_the_lengths_that_were_run(study) -> None:
    axes = draw(study, "memory").axes[0]
    assert axes.get_xscale() == axes.get_yscale() == "log"
    assert list(axes.get_xticks()) == [16, 32]
    assert axes.get_ylabel() == "Training memory, CUDA allocated (GiB)"


@pytest.mark.parametrize(
    ("low", "high"), [(0.028, 0.09), (1.3, 2.3), (3, 9.4), (4.4, 11), (270, 1100), (0.001, 900), (99, 101), (16, 16.4)]
)
def test_logarithmic_ticks_are_few_round_and_apart(low, high) -> None:
    ticks = log_ticks(low, high, gap=0.1)
    assert 3 <= len(ticks) <= 11
    assert all(low <= tick <= high for tick in ticks)
    assert np.diff(np.log(ticks)).min() >= 0.0999 * np.log(high / low)
    assert all(len(f"{tick:.10g}".lstrip("0.").rstrip("0")) <= 5 for tick in ticks)


def test_a_figure_without_data_says_what_is_wanting() -> None:
    one_length = Study.of([make_record("s4d", seed=seed, metrics={}) for seed in range(2)])
    for name, reason in (("memory", "one clip length"), ("frontier", "no metric"), ("samples", r"no samples\.npz")):
        with pytest.raises(NothingToDraw, match=reason):
            draw(one_length, name)
    with pytest.raises(NothingToDraw):
        draw(Study.of([make_record("s4d", status="oom")]), "training")
    with pytest.raises(UnknownFigure, match="known: frontier"):
        draw(one_length, "frontiers")
    with pytest.raises(UnknownStyle, match="known: default"):
        draw(one_length, "memory", "nips")


def test_more_panels_than_fit_are_named_as_left_out() -> None:
    study = Study.of(make_records(variants=("s4d",), frames=tuple(range(8, 38)), seeds=(0,)))
    figure = draw(study, "training")
    assert len(figure.axes) == 24
    assert "the first 24 of 30" in figure.get_suptitle() or "the first 24 of 29" in figure.get_suptitle()


@pytest.mark.parametrize("style", STYLES)
def test_styles_keep_their_column_widths(study, style) -> None:
    assert draw(study, "memory", style).get_figwidth() == STYLES[style].single
    assert draw(study, "frontier", style).get_figwidth() == STYLES[style].double


def test_samples_stand_side_by_side_from_one_seed(study) -> None:
    clips = all_clips(study)
    assert [list(item.rows) for item in clips] == [
        ["real", "identity", "attention", "s4d", "uni-mamba", "bi-mamba"],
        ["real", "identity", "linear-attention", "s4d", "uni-mamba", "bi-mamba"],
    ]
    assert {item.seed for item in clips} == {0}
    assert clips[0].lost == {"linear-attention": "infeasible ×3"}


def test_a_wall_plays_as_gif_and_as_mp4(study) -> None:
    frames = wall_frames(all_clips(study)[0], named=True)
    assert len(frames) == 8
    assert frames[0].size == (6 * 3 * 32 + 5 * 6, 22 + 3 * 3 * 32 + 2 * 6)  # six columns of three clips, threefold, named
    gif = Image.open(io.BytesIO(wall_gif(frames)))
    assert (gif.n_frames, gif.size, gif.info["loop"]) == (8, frames[0].size, 0)
    movie = wall_mp4(frames)
    assert movie == wall_mp4(frames)
    with av.open(io.BytesIO(movie)) as container:
        decoded = [frame.to_ndarray(format="rgb24") for frame in container.decode(video=0)]
    assert len(decoded) == 8
    shown = np.asarray(frames[3], dtype=float)
    found = decoded[3][: shown.shape[0], : shown.shape[1]]
    assert np.abs(found - shown).mean() < 12  # noise, whose colour H.264 halves
    assert np.abs(found - np.asarray(frames[4], dtype=float)).mean() > np.abs(found - shown).mean()


def test_a_gif_needs_no_av_and_an_mp4_says_what_to_install(study, monkeypatch) -> None:
    monkeypatch.setitem(sys.modules, "av", None)
    frames = wall_frames(all_clips(study)[0])
    assert wall_gif(frames).startswith(b"GIF89a")
    with pytest.raises(MovieUnavailable, match=r"pip install 'vdmbench\[data\]'"):
        wall_mp4(frames)


def test_long_names_stay_above_their_columns() -> None:
    clips = Clips(Group("s", None, ()), {name: moving_squares(1, 2, 0) for name in ("a" * 60, "b")}, 0)
    head = np.asarray(wall_frames(clips, named=True)[0])[:22]
    assert head[:, :96].min() < 100
    assert head[:, 96:].min() < 100
    assert head[:, 96:102].min() > 200  # the seam between them is free


def test_an_artifact_outside_its_folder_is_refused(tmp_path) -> None:
    (tmp_path / "samples.npz").write_bytes(b"secret")
    store(tmp_path / "r", [make_record("s4d", artifacts={"samples": "../../../../../samples.npz"})])
    with pytest.raises(ResultsError, match="points outside its folder"):
        all_clips(Study.of(read_results([tmp_path / "r"])))


def test_samples_of_another_form_are_refused_with_what_they_are(tmp_path) -> None:
    folder = store(tmp_path / "r", [make_record("s4d")], clips=lambda record: np.zeros((2, 8, 4, 4), dtype=np.float32))
    with pytest.raises(ResultsError, match=r"must be uint8 .* got float32"):
        all_clips(Study.of(read_results([folder])))


def test_svg_ids_do_not_come_from_names_in_records(study) -> None:
    hostile = Study.of([make_record('"><script>x</script>', frames=frames, identity=str(frames)) for frames in (16, 32)])
    for texts in draw(hostile, "memory").tips:
        assert re.fullmatch(r"variant-\d+-\d+", texts)


def test_long_names_lose_their_middle_and_titles_keep_their_size() -> None:
    records = [record.model_copy(update={"variant": record.variant + "-long" * 20}) for record in make_records(frames=(16, 32))]
    for style in ("default", "talk"):
        figure = draw(Study.of(records), "memory", style)
        legend = [text.get_text() for text in figure.legends[0].get_texts()]
        assert all(len(text) <= 41 for text in legend)
        assert any("…" in text for text in legend)
        assert figure.axes[0].title.get_fontsize() == find_style(style).size


def test_axes_are_linear_where_a_value_has_no_logarithm() -> None:
    records = make_records(variants=("s4d",), frames=(16, 24), seeds=(0, 1))
    zero = [
        record.model_copy(update={"metrics": {"fvd": record.metrics["fvd"].model_copy(update={"value": value})}})
        for record, value in zip(records, (0.0, -1.0, 3.0, 4.0), strict=True)
    ]
    axes = draw(Study.of(zero), "distance").axes[0]
    assert axes.get_yscale() == "linear"
    low, high = axes.get_ylim()
    assert low < -1.0
    assert high > 4.0
    assert draw(Study.of(records), "distance").axes[0].get_yscale() == "log"
