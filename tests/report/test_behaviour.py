from __future__ import annotations

from tests.report.synthetic import make_record
from vdmbench.records import TemporalProfile, TemporalProfiles
from vdmbench.report.behaviour import behaviour_table
from vdmbench.report.study import Study


def profiled(variant: str, seed: int, flicker: float, *, cut_rate: float | None = None, colour_flicker: float | None = None):
    def profile(flicker: float) -> TemporalProfile:
        return TemporalProfile(
            clips=4,
            flicker=flicker,
            colour_flicker=colour_flicker,
            dynamic_degree=0.5,
            similarity={1: 0.9, 2: 0.8, 8: 0.3},
            cut_rate=cut_rate,
        )

    profiles = TemporalProfiles(generated=profile(flicker), real=profile(0.02))
    return make_record(variant, seed=seed).model_copy(update={"temporal_profiles": profiles})


def test_real_clips_stand_above_the_variants_means_over_seeds():
    table = behaviour_table(Study.of([profiled("s4d", 0, 0.1), profiled("s4d", 1, 0.3), profiled("attention", 0, 0.04)]))
    named = {row[1].text: row for row in table.rows}
    assert list(named) == ["real", "s4d", "attention"]
    assert [column.key for column in table.columns][-1] == "far"  # nobody counted cuts
    assert named["real"][2].text == "2.00"
    assert (named["s4d"][2].text, named["s4d"][2].n) == ("20.0", 2)
    assert [entry.text for entry in named["attention"][3:]] == ["50.0", "0.900", "0.300"]


def test_cuts_have_a_column_where_they_were_counted_and_records_without_profiles_no_rows():
    table = behaviour_table(Study.of([profiled("s4d", 0, 0.1, cut_rate=1.5)]))
    assert table.columns[-1].key == "cut_rate"
    assert table.rows[-1][-1].text == "1.50"
    assert behaviour_table(Study.of([make_record("s4d")])).rows == []


def test_colour_flicker_has_a_column_where_it_was_measured():
    table = behaviour_table(Study.of([profiled("s4d", 0, 0.1, colour_flicker=0.02), profiled("s4d", 1, 0.1)]))
    place = [column.key for column in table.columns].index("colour_flicker")
    assert [(row[place].text, row[place].n) for row in table.rows] == [("2.00", 1), ("2.00", 1)]  # not of the earlier record
