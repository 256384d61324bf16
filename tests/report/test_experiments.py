"""Cells of one name that were declared otherwise: told apart in every table, and counted against what is declared."""

from __future__ import annotations

import copy
import json
from pathlib import Path

import pytest

from tests.report.synthetic import make_record, make_records, store
from vdmbench.records import Record, ResultsFolder, merge_results
from vdmbench.report import Study, read_results, write_report
from vdmbench.report.claims import judge_claims
from vdmbench.report.declaration import declared_suite
from vdmbench.report.gate import Verdict, compare_cells
from vdmbench.report.page.summary import summary_section
from vdmbench.report.results import as_cells
from vdmbench.report.tables import main_table
from vdmbench.runner.survey import survey
from vdmbench.suite import expand, parse_suite
from vdmbench.suite.claims import Claim

PAIR = ("attention", "s4d")
CHANGES = {
    "train.steps": ("train", "steps", 800),
    "train.batch_size": ("train", "batch_size", 2),
    "data.source": ("data", "source", {"name": "folder", "path": "elsewhere"}),
    "data.size": ("data", "size", 64),
}


def changed(record: Record, path: str, **more: object) -> Record:
    """The same cell after one number of its suite was changed."""
    block, field, value = CHANGES[path]
    declared = copy.deepcopy(record.declared)
    declared[block][field] = value
    return record.model_copy(update={"declared": declared, "identity": f"9{record.identity[1:]}", **more})


def _old(**options: object) -> list[Record]:
    return make_records(variants=PAIR, frames=(16,), **options)  # type: ignore[arg-type]


@pytest.mark.parametrize("path", CHANGES)
def test_cells_before_and_after_a_change_are_never_paired(path) -> None:
    """One variant was run again after the change: what is left of the other belongs to the old experiment alone."""
    old = _old()
    new = [changed(record, path) for record in _old(distance_factor=6.0) if record.variant == "s4d"]
    study = Study.of([*old, *new], reference="attention")
    of_group: dict[object, set[bool]] = {}
    for cell, group in zip(study.cells, study.group_of, strict=True):
        of_group.setdefault(group, set()).add(cell.record.identity.startswith("9"))
    assert list(of_group.values()) == [{False}]
    assert f"{path}: " in study.notes[0]
    assert "Left out: 3 cells of synthetic" in study.notes[1]
    assert len(study.cells) == len(old)


def test_two_whole_experiments_stand_side_by_side() -> None:
    study = Study.of([*_old(), *(changed(record, "train.steps") for record in _old())], reference="attention")
    assert study.suites == ["synthetic [train.steps=100000]", "synthetic [train.steps=800]"]
    table = main_table(study)
    assert table.columns[0].header == "Suite"
    assert len(table.rows) == 4
    assert study.notes == ("Several experiments were run as synthetic; they differ in train.steps: 100000 / 800.",)
    assert "train.steps: 100000 / 800" in summary_section(study)


SUITE = """schema: 1
name: minimal
network: {name: unet3d, base_channels: 8, multipliers: [1]}
variants:
  a: {mixer: identity}
  b: {mixer: mlp, set: {train.learning_rate: 0.01}}
seeds: [0, 1, 2]
data: {source: {name: sprites}, frames: 5, size: 8}
train: {steps: STEPS, batch_size: 2}
sample: {sampler: ddim, steps: 2, clips: 4, batch_size: 4}
evaluate: {metrics: [{name: ste-fd}], real_clips: 4}
claims: [{says: "ste-fd[a] < ste-fd[b]"}]
"""


def _run(
    folder: Path, steps: int, *, only: tuple[str, ...] = ("a", "b"), seeds: tuple[int, ...] = (0, 1, 2), **options
) -> Path:
    """Leaves what running the suite at so many steps would leave."""
    suite, lines = parse_suite(SUITE.replace("STEPS", str(steps)))
    records = []
    for cell in expand(suite, lines):
        if cell.variant in only and cell.seed in seeds:
            made = make_record("attention" if cell.variant == "a" else "s4d", 16, cell.seed, metric="ste-fd")
            told = {"identity": cell.identity, "suite": "minimal", "variant": cell.variant, "point": {}}
            records.append(made.model_copy(update={**told, "declared": cell.inputs.model_dump(mode="json")}))
    store(folder, records)
    ResultsFolder(folder).keep_suite(suite.model_dump_json(by_alias=True))
    return folder


def _study(folder: Path) -> Study:
    return Study.of(read_results([folder]), reference="a", declared=declared_suite([folder]))


def test_what_was_not_run_is_counted_and_named(tmp_path) -> None:
    folder = _run(tmp_path / "r", 400, seeds=(0, 1))
    summary = summary_section(_study(folder))
    assert "4 of 6 ok; 2 not run (a seed=2, b seed=2)" in summary
    assert [row[1].text for row in main_table(_study(folder)).rows] == ["2/3: not run ×1"] * 2
    assert "2 left" in _status(folder)


def _status(folder: Path) -> str:
    found = survey(ResultsFolder(folder))
    return f"{len(found.cells)} cells, {found.count('done')} done, {found.count('left')} left; {json.dumps(found.others)}"


def test_a_part_run_again_after_a_change_is_counted_against_the_suite(tmp_path) -> None:
    folder = _run(_run(tmp_path / "r", 400), 800, only=("a",))
    study = _study(folder)
    assert study.suites == ["minimal", "minimal [train.steps=400]"]
    assert (
        "minimal: 3 of 6 ok; 3 not run (b seed=0, b seed=1, b seed=2); minimal [train.steps=400]: 6 of 6 ok"
        in summary_section(study)
    )
    assert _status(folder).startswith("6 cells, 3 done, 3 left; ")
    others = survey(ResultsFolder(folder)).others
    assert list(others) == ["train.steps: 400 / 800"]
    assert len(others["train.steps: 400 / 800"]) == 6
    (judged,) = judge_claims(study, declared_suite([folder]).suite.claims)
    assert judged.verdict == "undecided"
    assert all("not run" in finding.reason for finding in judged.findings)


def test_a_variants_own_setting_stays_its_own(tmp_path) -> None:
    """`b` sets its learning rate: that is no other experiment."""
    study = _study(_run(tmp_path / "r", 400))
    assert study.suites == ["minimal"]
    assert study.notes == ()
    assert len(study.cells) == 6


def test_a_seed_that_the_suite_dropped_is_the_same_experiment(tmp_path) -> None:
    folder = _run(tmp_path / "r", 400)
    text = SUITE.replace("STEPS", "400").replace("[0, 1, 2]", "[0, 1]")
    ResultsFolder(folder).keep_suite(parse_suite(text)[0].model_dump_json(by_alias=True))
    assert _study(folder).suites == ["minimal"]
    assert survey(ResultsFolder(folder)).others == {"another variant, point or seed": ["a seed=2", "b seed=2"]}


def test_a_report_of_a_part_says_what_is_wanting(tmp_path) -> None:
    made = write_report([_run(tmp_path / "r", 400, only=("b",))], tmp_path / "out", reference="a")
    assert made.missing == {}
    page = (tmp_path / "out" / "index.html").read_text()
    assert "3 of 6 ok; 3 not run (a seed=0, a seed=1, a seed=2)" in page
    assert "left: not run" in (tmp_path / "out" / "tables" / "claims.md").read_text()
    assert "a: not run" in (tmp_path / "out" / "tables" / "comparison.md").read_text()


def test_merged_folders_that_were_declared_otherwise_are_named(tmp_path) -> None:
    folders = [ResultsFolder(_run(tmp_path / str(steps), steps)) for steps in (400, 800)]
    merged = merge_results(folders, ResultsFolder(tmp_path / "both"))
    assert merged.otherwise == ["train.steps: 400 / 800"]
    assert merge_results(folders[:1], ResultsFolder(tmp_path / "one")).otherwise == []


def test_the_gate_says_what_was_declared_otherwise(tmp_path) -> None:
    old, new = _old(), [changed(record, "train.steps") for record in _old()]
    rows = compare_cells(as_cells(old), as_cells([*new, *old[:1]])).rows
    notes = {row.note for row in rows if row.verdict == Verdict.MISSING}
    assert notes == {"in the baseline only: declared otherwise now (train.steps: 100000 / 800)"}
    fresh = {row.note for row in rows if row.verdict == Verdict.NEW}
    assert fresh == {"here and in the baseline: train.steps: 800 / 100000"}


def test_the_gate_takes_no_other_experiments_seeds_for_its_own() -> None:
    """Five seeds of one experiment regress; five of another, by the same names, scatter. The first stays a regression."""
    seeds = tuple(range(5))
    first = make_records(variants=("s4d",), frames=(16,), seeds=seeds)
    other = [changed(record, "train.steps") for record in first]
    worse = make_records(variants=("s4d",), frames=(16,), seeds=seeds, distance_factor=1.5)
    better = [
        changed(r, "train.steps") for r in make_records(variants=("s4d",), frames=(16,), seeds=seeds, distance_factor=0.4)
    ]
    rows = compare_cells(as_cells([*first, *other]), as_cells([*worse, *better])).rows
    found = [row.verdict for row in rows if row.quantity == "fvd"]
    assert found.count(Verdict.REGRESSION) == 5
    assert found.count(Verdict.IMPROVED) == 5


def test_the_gate_compares_on_the_hardware_that_both_sides_have() -> None:
    here = make_records(variants=PAIR, frames=(16,), cohort="here")
    there = make_records(variants=PAIR, frames=(16,), cohort="there")
    rows = compare_cells(as_cells([*here, *there]), as_cells(here)).rows
    assert Verdict.HARDWARE not in {row.verdict for row in rows}


def test_a_claim_speaks_of_what_is_declared_now() -> None:
    claim = Claim(says="fvd[s4d] < fvd[attention]")
    study = Study.of([*_old(), *(changed(record, "train.steps") for record in _old())])
    assert len(judge_claims(study, [claim])[0].findings) == 2  # no declaration is known: both, by name
    assert all("train.steps" in finding.where for finding in judge_claims(study, [claim])[0].findings)
