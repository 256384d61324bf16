"""The autoencoders whose latents were diffused: what they cost in quality before any network has erred."""

from __future__ import annotations

from vdmbench.records import Encoding
from vdmbench.report.study import Group, Study
from vdmbench.report.tables import ABSENT, Column, Entry, Table, identifying, mean_entry, metric_header, where


def encodings_table(study: Study) -> Table:
    """A row for every variant and sweep point that diffused latents, means over seeds; no rows where none did."""
    found = {
        (group, label): encodings
        for group in study.groups
        for label in study.labels
        if (encodings := _encodings(study, group, label))
    }
    metrics = [name for name in study.metrics if any(name in each.reconstructions for made in found.values() for each in made)]
    columns = [
        *identifying(study),
        Column("variant", "Variant"),
        Column("autoencoder", "Autoencoder"),
        Column("latents", "Latents"),
        Column("reconstructed", "Clips", True),
        Column("psnr", "PSNR (dB)", True),
        *(Column(name, f"{metric_header(study, name)}, reconstructed", True) for name in metrics),
        Column("parameters", "Parameters (k)", True),
        Column("train_seconds", "Training (s)", True),
        Column("encode_seconds", "Encoding (s)", True),
        Column("decode_seconds", "Decoding (s)", True),
        Column("latent_bytes", "On disk (MiB)", True),
    ]
    rows = []
    for (group, label), made in found.items():
        one = made[0]
        rows.append(
            [
                *where(study, group),
                Entry(label),
                Entry(", ".join(sorted({each.autoencoder[:8] for each in made}))),
                Entry(f"{one.channels} channels, 1/{one.factor} of each side"),
                Entry(ABSENT) if one.reconstructed is None else Entry(str(one.reconstructed), one.reconstructed),
                mean_entry([each.psnr for each in made]),
                *(mean_entry([each.reconstructions.get(name) for each in made]) for name in metrics),
                mean_entry([each.parameters / 1e3 for each in made]),
                mean_entry([each.train_seconds for each in made]),
                mean_entry([each.encode_seconds for each in made]),
                mean_entry([each.decode_seconds for each in made]),
                mean_entry([each.latent_bytes / 2**20 for each in made]),
            ]
        )
    notes = [
        "Of held-out real clips, encoded and decoded, against real ones: where a network would stand that has learned the "
        "latents perfectly, beside which the distances of the results are read. Training and encoding are done once for all "
        "cells that share an autoencoder, named by its weights, and are in no phase of theirs; decoding is part of their "
        "evaluation."
    ]
    return Table("autoencoders", "What the latents cost", columns, rows, notes if rows else [])


def _encodings(study: Study, group: Group, label: str) -> list[Encoding]:
    return [cell.record.encoding for cell in study.cells_in(group, label) if cell.record.encoding is not None]
