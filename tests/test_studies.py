"""Every suite of a study is valid, and its cells are those that its protocol names."""

from __future__ import annotations

from pathlib import Path

import pytest

from vdmbench.suite import expand, load_suite

STUDIES = Path(__file__).resolve().parents[1] / "studies"
SUITES = sorted(STUDIES.rglob("*.yaml"))


@pytest.mark.parametrize("file", SUITES, ids=lambda file: file.stem)
def test_a_suite_of_a_study_is_valid_and_its_protocol_names_it(file: Path) -> None:
    suite, lines = load_suite(file)
    cells = expand(suite, lines)
    assert {cell.seed for cell in cells} == set(suite.seeds)
    assert len({cell.identity for cell in cells}) == len(cells)
    assert f"({file.name})" in (file.parent / "README.md").read_text()


def test_the_layers_of_the_question_are_all_asked() -> None:
    suite, lines = load_suite(STUDIES / "laptop" / "equal_memory.yaml")
    variants = {cell.variant for cell in expand(suite, lines)}
    assert variants >= {"identity", "mlp", "attention", "linear-attention", "s4d", "uni-ssm", "bi-ssm", "mamba2", "hydra"}
