from __future__ import annotations

import pytest

from tests.report.synthetic import make_record, make_records, moving_squares, store


@pytest.fixture(scope="module")
def results(tmp_path_factory: pytest.TempPathFactory):
    records = make_records(variants=("attention", "s4d"), frames=(16, 32))
    return store(tmp_path_factory.mktemp("results") / "r", records, clips=lambda record: moving_squares(1, 4, record.seed))


def test_one_figure_in_a_papers_style_and_nothing_else(vdmbench, results, tmp_path) -> None:
    ended = vdmbench("report", results, "--figure", "frontier", "--style", "neurips", "--out", tmp_path / "out")
    assert ended.code == 0
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == ["frontier.pdf", "frontier.png", "frontier.svg"]


def test_walls_as_mp4_when_asked_for(vdmbench, results, tmp_path) -> None:
    assert vdmbench("report", results, "--out", tmp_path / "out", "--mp4").code == 0
    assert {path.suffix for path in (tmp_path / "out" / "samples").iterdir()} == {".gif", ".mp4"}


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--figure", "frontiers"], "unknown figure 'frontiers'; known: frontier"),
        (["--figure", "frontier", "--style", "nips"], "unknown style 'nips'; known: default"),
        (["--reference", "atention"], "variants: attention, s4d"),
    ],
)
def test_what_is_not_there_is_named_with_what_is(vdmbench, results, tmp_path, options, said) -> None:
    ended = vdmbench("report", results, "--out", tmp_path / "out", *options)
    assert ended.code == 2
    assert said in " ".join(ended.err.split())


def test_mixed_protocols_are_refused_naming_both(vdmbench, tmp_path) -> None:
    mixed = [make_record("attention", metric="fvd"), make_record("s4d", metric="fvd")]
    metric = mixed[1].metrics["fvd"].model_copy(update={"name": "FVD[i3d,n=16,f=16]"})
    mixed[1] = mixed[1].model_copy(update={"metrics": {"fvd": metric}})
    ended = vdmbench("report", store(tmp_path / "mixed", mixed), "--out", tmp_path / "out")
    assert ended.code == 2
    said = " ".join(ended.err.split())
    assert "FVD[i3d,n=16,f=16] (s4d)" in said
    assert "FVD[i3d,n=2048,f=16] (attention)" in said


def test_the_gates_exit_codes(vdmbench, results, tmp_path) -> None:
    assert vdmbench("compare", results, results).code == 0
    worse = store(tmp_path / "worse", make_records(variants=("attention", "s4d"), frames=(16, 32), distance_factor=1.2))
    ended = vdmbench("compare", results, worse)
    assert ended.code == 1
    assert ended.out.startswith("**vdmbench compare: regression**")
    assert vdmbench("compare", tmp_path / "nowhere", worse).code == 4
    assert vdmbench("compare", results, worse, "--thresholds", tmp_path / "absent.toml").code == 2
    ended = vdmbench("compare", results, worse, "--update")
    assert ended.code == 2
    assert "a new baseline needs a reason" in ended.err
