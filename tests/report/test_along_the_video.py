"""Figures along the frames of a video, and what a report makes of prediction, from made-up records."""

from __future__ import annotations

import pytest

from tests.report.synthetic import make_record
from vdmbench.records import MetricResult, PhaseReading, Prediction, PredictionScore, RecallScore, Record
from vdmbench.report import Study, draw, main_table
from vdmbench.report.claims import Verdict, judge_claims
from vdmbench.report.figures import find_style, save
from vdmbench.report.study import NotComparable
from vdmbench.suite.claims import Claim

KNOWN, AHEAD, TRAINED, SAMPLED = 4, 6, 16, 64


def drifting(variant: str, seed: int, slope: float) -> Record:
    """Sampled at four times the trained length; each window is further off by ``slope``."""
    drift = [
        {"frame": frame, "n": 32, "value": 50 + slope * frame + seed, "floor": 40.0 + frame % 3, "floor_n": 32}
        for frame in range(0, SAMPLED, TRAINED)
    ]
    plain = make_record(variant, TRAINED, seed)
    declared = {**plain.declared, "sample": {"frames": SAMPLED}}
    metric = MetricResult(name="STE-FD[n=128,f=16]", value=60, n_real=128, n_generated=128, details={"drift": drift})
    return plain.model_copy(update={"point": {"sample.frames": SAMPLED}, "declared": declared, "metrics": {"ste-fd": metric}})


def predicting(variant: str, seed: int, recall: float, *, known: int = KNOWN, point: int | None = None) -> Record:
    def score(value: float, floor: float) -> PredictionScore:
        return PredictionScore(
            value=value,
            interval=(value - 1, value + 1),
            by_frame=[value - t / 9 for t in range(AHEAD)],
            copied=floor,
            copied_by_frame=[floor] * AHEAD,
        )

    prediction = Prediction(
        known_frames=known,
        clips=32,
        rule="frame-levels",
        psnr=score(20 + seed / 9, 15),
        ssim=score(0.6, 0.3),
        recall=RecallScore(revisits=90, psnr=20 + recall, novel_psnr=20, gain=recall, interval=(recall - 1, recall + 1)),
    )
    where = {} if point is None else {"sample.known_frames": point}
    identity = f"{variant}{seed}{point}"
    return make_record(variant, seed=seed, identity=identity, point=where, metrics={}, prediction=prediction)


def test_each_window_along_the_video_is_drawn_beside_its_floor(tmp_path) -> None:
    study = Study.of([drifting(variant, seed, slope) for variant, slope in (("s4d", 0.1), ("attention", 4)) for seed in (0, 1)])
    style = find_style("default")
    figure = draw(study, "length", style)
    axes = figure.axes[0]
    drawn = {tuple(line.get_ydata()) for line in axes.lines if len(line.get_xdata()) == 4}
    assert (40, 41, 42, 40) in {tuple(round(value) for value in line) for line in drawn}  # the floor
    assert (50.5, 114.5, 178.5, 242.5) in drawn
    dotted = next(line for line in axes.lines if line.get_linestyle() == ":")
    assert list(dotted.get_xdata()) == [TRAINED, TRAINED]
    assert axes.get_ylabel() == "STE-FD of a window"
    assert "64" in axes.get_title()
    save(figure, tmp_path / "length", style, ["png"])


def test_prediction_is_drawn_beside_the_last_frame_repeated(tmp_path) -> None:
    study = Study.of([predicting(variant, seed, 1.0) for variant in ("s4d", "attention") for seed in (0, 1)])
    style = find_style("default")
    figure = draw(study, "prediction", style)
    for line in figure.axes[0].lines:
        assert list(line.get_xdata()) == list(range(KNOWN, KNOWN + AHEAD))
    assert [15.0] * AHEAD in [list(line.get_ydata()) for line in figure.axes[0].lines]
    save(figure, tmp_path / "prediction", style, ["png"])


def test_recall_is_claimed_in_decibels_also_below_zero() -> None:
    gains = {"s4d": [2.0, 2.4, 2.1, 2.2, 2.3, 2.5], "attention": [-0.3, 0.1, -0.2, 0.0, -0.1, 0.2]}
    study = Study.of([predicting(name, seed, gain) for name, series in gains.items() for seed, gain in enumerate(series)])
    columns = {column.key for column in main_table(study).columns}
    assert {"psnr", "ssim", "recall"} <= columns
    assert "lpips" not in columns  # nobody asked for it
    for says, verdict in (
        ("recall[s4d] > recall[attention]", Verdict.SUPPORTED),
        ("recall[attention] > 1 dB", Verdict.REFUTED),
        ("psnr[s4d] = psnr[attention] within 1%", Verdict.SUPPORTED),
        ("recall[s4d] = recall[attention] within 3 dB", Verdict.SUPPORTED),
        ("recall[s4d] = recall[attention] within 2 dB", Verdict.REFUTED),
    ):
        assert judge_claims(study, [Claim(says=says)])[0].verdict == verdict


def test_points_are_pooled_by_their_mean_where_values_may_be_negative() -> None:
    gains = {("s4d", 4): 3.0, ("s4d", 6): -1.0, ("attention", 4): 0.5, ("attention", 6): -0.5}
    records = [
        predicting(name, seed, gain + seed / 10, known=known, point=known)
        for (name, known), gain in gains.items()
        for seed in range(4)
    ]
    claim = Claim(says="recall[s4d] > 0.5 dB", pool=["known_frames"])
    finding = judge_claims(Study.of(records), [claim])[0].findings[0]
    assert (finding.effect, finding.unit) == (pytest.approx(0.65), "dB")  # 1.15 over 0.5, in the middle of the seeds


def test_frontiers_of_what_is_better_large_and_may_be_negative() -> None:
    """At equal recall the one takes half the memory; at equal memory it recalls more, by as many decibels."""

    def width(variant: str, base: int, memory: float, seed: int):
        point = {"data.frames": 16, "network.base_channels": base}
        record = predicting(variant, seed, 0.1 * (base - 24), known=KNOWN)
        peak = int(2**20 * base * memory * (1 + 0.001 * seed))
        return record.model_copy(
            update={
                "point": point,
                "identity": f"{variant}{base}{seed}",
                "phases": {"train": PhaseReading(seconds=1.0, allocated_peak_bytes=peak)},
            }
        )

    study = Study.of(
        [
            width(variant, base, memory, seed)
            for variant, memory in (("s4d", 1.0), ("attention", 2.0))
            for base in (16, 32, 64)
            for seed in range(6)
        ]
    )
    memory, recall = (
        judge_claims(study, [Claim(says=says)])[0]
        for says in (
            "peak_train_memory[s4d] < peak_train_memory[attention] at equal recall",
            "recall[s4d] > recall[attention] at equal peak_train_memory",
        )
    )
    assert (memory.verdict, recall.verdict) == (Verdict.SUPPORTED, Verdict.SUPPORTED)
    assert memory.findings[0].effect == pytest.approx(-0.5, abs=0.02)
    assert recall.findings[0].effect == pytest.approx(2.4, abs=0.1)


def test_different_numbers_of_known_frames_share_no_table() -> None:
    records = [predicting("s4d", 0, 1.0), predicting("attention", 0, 1.0, known=KNOWN + 1)]
    with pytest.raises(NotComparable, match=r"[45] known frames"):
        Study.of(records)
    assert Study.of(records[:1]).frame["psnr"].tolist() == [20]
