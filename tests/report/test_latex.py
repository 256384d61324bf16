"""The LaTeX of a whole report goes through LaTeX itself."""

from __future__ import annotations

import shutil
import subprocess

import pytest

pytestmark = pytest.mark.skipif(
    shutil.which("pdflatex") is None, reason="no pdflatex here (Debian: apt-get install texlive-latex-recommended)"
)


def _compile(folder, body: str) -> subprocess.CompletedProcess[str]:
    (folder / "paper.tex").write_text(
        "\\documentclass{article}\n\\usepackage[T1]{fontenc}\n\\usepackage{booktabs,textcomp}\n"
        f"\\input{{tables/numbers}}\n\\begin{{document}}\n\\tiny\n{body}\n\\end{{document}}\n"
    )
    return subprocess.run(
        ["pdflatex", "-interaction=nonstopmode", "-halt-on-error", "paper.tex"],
        cwd=folder,
        check=False,
        capture_output=True,
        text=True,
        errors="replace",
        timeout=120,
    )


@pytest.fixture
def paper(report, tmp_path):
    shutil.copytree(report / "tables", tmp_path / "tables")
    return tmp_path


def test_every_table_and_number_compiles(paper) -> None:
    tables = sorted(path.stem for path in (paper / "tables").glob("*.tex") if path.stem != "numbers")
    assert {"main", "comparison", "frontier", "scaling", "failures"} <= set(tables)
    body = "\n\n".join(rf"\input{{tables/{name}}}" for name in tables)
    body += "\n\n" + r"\vdm{bi-mamba/frames=16/fvd}, \vdm{bi-mamba/frames=16/peak_train_memory/relative}"
    ended = _compile(paper, body)
    assert ended.returncode == 0, ended.stdout[-1500:]
    assert (paper / "paper.pdf").stat().st_size > 10_000


def test_a_number_that_is_not_there_stops_the_paper(paper) -> None:
    ended = _compile(paper, r"\vdm{bi-mamba/frames=16/fid}")
    assert ended.returncode != 0
    assert "no number 'bi-mamba/frames=16/fid' in this report" in ended.stdout.replace("\n", "")
