from __future__ import annotations

from tests.report.synthetic import make_record
from vdmbench.records import Memorisation
from vdmbench.report.copies import copies_table
from vdmbench.report.page.summary import warnings_of
from vdmbench.report.study import Study


def judged(variant: str, seed: int, *, p: float, nearer: int):
    record = make_record(variant, seed=seed)
    (name, result) = next(iter(record.metrics.items()))
    found = Memorisation(
        among="training",
        training_clips=100,
        training_videos=50,
        clips=64,
        held_out_clips=128,
        nearest=2.0,
        nearest_held_out=4.0,
        ratio=0.5,
        ratio_held_out=0.9,
        nearer=nearer,
        p=p,
        alarm=p <= 0.01,
    )
    return record.model_copy(update={"metrics": {name: result.model_copy(update={"memorisation": found})}})


def test_alarms_stand_beside_the_held_out_clips_and_on_the_page():
    records = [
        judged("s4d", 0, p=0.0005, nearer=32),
        judged("s4d", 1, p=0.2, nearer=0),
        judged("attention", 0, p=0.5, nearer=1),
    ]
    study = Study.of(records)
    table = copies_table(study)
    keys = [column.key for column in table.columns]
    row = {found[keys.index("variant")].text: dict(zip(keys, found, strict=True)) for found in table.rows}
    assert row["s4d"]["alarms"].text == "1 of 2"
    assert row["attention"]["alarms"].text == "0 of 1"
    assert (row["s4d"]["p"].value, row["s4d"]["nearer"].value, row["s4d"]["nearer"].n) == (0.0005, 25.0, 2)
    (warning,) = (text for text in warnings_of(study) if "copies" in text)
    assert "generated clips of s4d nearer to training clips" in warning
    assert "attention" not in warning


def test_records_from_before_have_no_rows_and_no_warning():
    study = Study.of([make_record("s4d")])
    assert copies_table(study).rows == []
    assert not any("copies" in text for text in warnings_of(study))
