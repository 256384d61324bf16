"""One made-up study, stored as a results folder and reported once for the whole room."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.report.synthetic import VARIANTS, make_records, moving_squares, store
from vdmbench.report import Study, read_results, write_report


@pytest.fixture(scope="session")
def results(tmp_path_factory: pytest.TempPathFactory) -> Path:
    records = make_records(frames=(16, 32))
    noise = {variant: 10.0 * (index + 1) for index, variant in enumerate(VARIANTS)}
    return store(
        tmp_path_factory.mktemp("results") / "synthetic",
        records,
        clips=lambda record: moving_squares(3, 8, seed=record.seed, noise=noise[record.variant]),
    )


@pytest.fixture(scope="session")
def study(results: Path) -> Study:
    return Study.of(read_results([results]), reference="attention")


@pytest.fixture(scope="session")
def report(results: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a whole report."""
    out = tmp_path_factory.mktemp("report")
    write_report([results], out, reference="attention", title="Temporal layers <at> the same memory")
    return out
