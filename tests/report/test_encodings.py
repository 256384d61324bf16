"""What an autoencoder alone costs stands beside what was made of its latents."""

from __future__ import annotations

from tests.report.synthetic import make_record
from vdmbench.records import Encoding
from vdmbench.report.encodings import encodings_table
from vdmbench.report.study import Study
from vdmbench.report.write import report_tables


def of_latents(variant: str, seed: int, *, psnr: float, trained: float | None = 12.0):
    encoding = Encoding(
        autoencoder="ab" * 32, parameters=48_000, channels=4, factor=8, train_steps=None if trained is None else 100,
        train_seconds=trained, final_loss=None, encode_seconds=3.0, latent_bytes=2**21, decode_seconds=0.5, psnr=psnr,
        reconstructions={"fvd": 41.0 + seed}, reconstructed=64,
    )  # fmt: skip
    return make_record(variant, seed=seed).model_copy(update={"encoding": encoding})


def test_a_variant_of_latents_has_a_row_and_one_of_pixels_none():
    study = Study.of([of_latents("s4d", 0, psnr=24.0), of_latents("s4d", 1, psnr=26.0), make_record("attention")])
    table = encodings_table(study)
    (row,) = table.rows
    shown = {column.key: entry for column, entry in zip(table.columns, row, strict=True)}
    assert (shown["variant"].text, shown["autoencoder"].text) == ("s4d", "abababab")
    assert shown["latents"].text == "4 channels, 1/8 of each side"
    assert (shown["psnr"].value, shown["psnr"].n) == (25.0, 2)
    assert shown["fvd"].value == 41.5
    assert [shown[key].value for key in ("parameters", "train_seconds", "latent_bytes")] == [48.0, 12.0, 2.0]
    assert "autoencoders" in [table.name for table in report_tables(study)]


def test_a_pretrained_one_was_not_trained_here_and_without_latents_there_is_no_table():
    table = encodings_table(Study.of([of_latents("s4d", 0, psnr=24.0, trained=None)]))
    assert dict(zip([column.key for column in table.columns], table.rows[0], strict=True))["train_seconds"].text == "–"
    assert "autoencoders" not in [table.name for table in report_tables(Study.of([make_record("s4d")]))]
