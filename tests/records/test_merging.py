"""Merging results: the union by attempt, whole or not at all, and never two truths about one attempt."""

from __future__ import annotations

import pytest

from tests.records.attempts import record, results_with
from vdmbench.records import ResultsError, ResultsFolder, merge_results
from vdmbench.report.results import read_results


def files(folder):
    return {path.relative_to(folder): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_the_union_is_whole_and_merging_again_changes_nothing(tmp_path):
    a = results_with(tmp_path / "a", record("x", status="error"), record("x", 2), record("only-a"))
    b = results_with(tmp_path / "b", record("x", 2, cohort="other"), record("y", 1, status="started"))
    a.keep_suite('{"name": "s"}')
    a.checkpoint_folder(record("x").identity).mkdir()
    target = ResultsFolder(tmp_path / "c")
    merged = merge_results([a, b], target)
    assert (len(merged.copied), merged.present, len(merged.unfinished)) == (4, 0, 1)
    assert [each.status for each in target.history(record("x").identity).attempts].count("ok") == 2
    assert target.suite() == a.suite()
    assert not target.checkpoint_folder(record("x").identity).exists()
    for name in merged.copied:
        source = a if (a.path / name).exists() else b
        assert files(target.path / name) == files(source.path / name)

    before = files(target.path)
    again = merge_results([a, b, target], target)
    assert (again.copied, again.present) == ([], 4)
    assert files(target.path) == before


def test_hardware_cohorts_of_one_cell_stay_apart(tmp_path):
    a = results_with(tmp_path / "a", record(cohort="card-a"), record(ordinal=2, cohort="card-a", status="oom"))
    b = results_with(tmp_path / "b", record(ordinal=3, cohort="card-b"), record(ordinal=4, status="interrupted"))
    merge_results([a, b], target := ResultsFolder(tmp_path / "c"))
    apart = read_results([a.path, b.path])
    together = read_results([target.path])
    assert sorted((cell.record.cohort, cell.record.status) for cell in apart) == [("card-a", "ok"), ("card-b", "ok")]
    assert {cell.record.attempt.id for cell in together} == {cell.record.attempt.id for cell in apart}


@pytest.mark.parametrize("where", ["sources", "target"])
def test_two_versions_of_one_attempt_are_a_conflict_that_names_both(tmp_path, where):
    a, b = (results_with(tmp_path / name, record("x"), record(f"only-{name}")) for name in "ab")
    (attempt,) = b.attempt_folders(record("x").identity)
    (attempt.path / "samples.npz").write_bytes(b"flipped!")
    target = ResultsFolder(tmp_path / "c")
    sources = [a, b] if where == "sources" else [a]
    if where == "target":
        target = b
    before = files(target.path) if target.path.exists() else {}
    with pytest.raises(ResultsError, match=r"are the same attempt and differ in samples\.npz") as refused:
        merge_results(sources, target)
    assert str(tmp_path / "a") in str(refused.value)
    assert str(tmp_path / "b") in str(refused.value)
    assert (files(target.path) if target.path.exists() else {}) == before


def test_what_is_no_part_of_an_attempt_is_not_followed(tmp_path):
    a = results_with(tmp_path / "a", record())
    (attempt,) = a.attempt_folders(record().identity)
    (attempt.path / "link").symlink_to("/etc/hostname")
    with pytest.raises(ResultsError, match="link: neither file nor folder"):
        merge_results([a], ResultsFolder(tmp_path / "c"))
    assert not list((tmp_path / "c").glob("cells/*/attempts/*"))
    assert not list((tmp_path / "c").glob(".merging-*"))


def test_a_source_without_results_is_refused_and_a_misplaced_record_left_out(tmp_path):
    with pytest.raises(ResultsError, match="no results there"):
        merge_results([ResultsFolder(tmp_path / "nothing")], ResultsFolder(tmp_path / "c"))
    a = results_with(tmp_path / "a", record("x"))
    a.cell_folder(record("x").identity).rename(a.cell_folder("elsewhere"))
    b = results_with(tmp_path / "b", record("y"))
    merged = merge_results([a, b], ResultsFolder(tmp_path / "c"))
    assert len(merged.copied) == 1
    assert "in the folder of another" in merged.unusable[0]
