"""A page, its tables and its data tell nothing of the person, the host and the disk that the records come from."""

from __future__ import annotations

import base64
import json
import re
from pathlib import Path

import pandas as pd
import pytest

from tests.cli.commands import vdmbench  # noqa: F401
from tests.report.synthetic import identity_of, make_record, moving_squares, store
from vdmbench.records import Exit, Record, ResultsFolder
from vdmbench.report import write_report
from vdmbench.report.items import Items

SECRETS = ("zelda", "hyrule", "8c1b4f", "swordfish", "GPU-12345678")
"""A user, a host, a boot, a password, a device; every absolute path below holds the user's name."""
LOG = """Traceback (most recent call last):
  File "/home/zelda/.venv/lib/python3.12/site-packages/torch/nn/module.py", line 1
hyrule: zelda@hyrule.example: https://zelda:swordfish@example.org/zelda/code.git /scratch/zelda/x/y.npz
"""


def telling(variant: str, seed: int, status: str = "ok") -> Record:
    """As an earlier version left it, by name in every field that can hold one."""
    record = make_record(variant, 16, seed, status=status)
    attempt = record.attempt.model_copy(update={"host": "hyrule.example", "boot_id": "8c1b4f"})
    source = {"name": "folder", "path": f"/home/zelda/{variant} videos/train"}
    gpu = {"name": "NVIDIA A100-SXM4-40GB", "uuid": "GPU-12345678-1234-1234-1234-1234567890ab"}
    environment = {"hostname": "hyrule.example", "boot_id": "8c1b4f", "gpus": [gpu], "place": {"gpus": [gpu["uuid"]]}}
    return record.model_copy(
        update={
            "attempt": attempt,
            "point": {**record.point, "data.source.path": source["path"]},
            "declared": {**record.declared, "data": {**record.declared["data"], "source": source}},
            "environment": {**record.environment, **environment},
            "warnings": ["/home/zelda/notes/a.txt says so"],
            "message": None if status == "ok" else f"no such file: '{source['path']}/a b.mp4' on hyrule",
            "exit": Exit(code=1, stderr_tail=LOG),
        }
    )


def written(folder: Path) -> dict[str, str]:
    """Every file as the text that is in it, tables of parquet and what pages carry inside them included."""
    texts = {}
    for path in sorted(path for path in folder.rglob("*") if path.is_file()):
        text = path.read_bytes().decode("utf-8", "replace")
        if path.suffix == ".parquet":
            text += pd.read_parquet(path).to_csv()
        for inside in re.findall(r"base64,([A-Za-z0-9+/=]+)", text):
            text += base64.b64decode(inside).decode("utf-8", "replace")
        texts[str(path.relative_to(folder))] = text
    return texts


@pytest.fixture(scope="module")
def pages(tmp_path_factory) -> tuple[Path, dict[str, str]]:
    folder = tmp_path_factory.mktemp("zelda")
    records = [telling(variant, seed) for variant in ("attention", "s4d") for seed in (0, 1)]
    results = store(
        folder / "zelda" / "r", [*records, telling("s4d", 2, "error")], clips=lambda record: moving_squares(4, 16, record.seed)
    )
    broken = ResultsFolder(results).attempt_folders(identity_of("attention", 16, 1))[0]
    broken.record.write_bytes(b"{")
    next(results.glob(f"cells/{identity_of('s4d', 16, 1)}/attempts/*/samples.npz")).write_bytes(b"no archive")
    write_report([results], folder / "out")
    return results, written(folder / "out")


@pytest.mark.parametrize("secret", SECRETS)
def test_nobody_is_named_in_any_file_of_a_report(pages, secret):
    assert {name for name, text in pages[1].items() if secret in text} == set()


def test_no_path_of_the_disk_is_told(pages):
    told = {name: re.findall(r"(?:/home|/scratch|/tmp)/[^\s\"'<&]*", text) for name, text in pages[1].items()}
    assert {name: paths for name, paths in told.items() if paths} == {}


def test_what_may_be_told_is(pages):
    page = pages[1]["index.html"]
    for part in (
        "r/cells/",  # of the record that is damaged, from the results folder on
        "…/torch/nn/module.py",
        "&lt;git repository&gt;",
        "…/train (2)",  # the other variant's videos are other videos
        "…/y.npz",
        "…/a.txt says so",
    ):
        assert part in page, part


def test_cells_that_declare_different_places_are_not_averaged(pages):
    cells = pages[1]["data/cells.csv"]
    assert {"…/train", "…/train (2)"} <= set(re.findall(r"…/train(?: \(2\))?", cells))


def test_a_card_and_a_comparison_name_nobody_either(pages, vdmbench):  # noqa: F811
    results, _ = pages
    card = vdmbench("show", identity_of("s4d", 16, 0), "--results", results, "--card")
    compared = vdmbench("compare", results, results)
    as_json = vdmbench("compare", results, results, "--json")
    for outcome in (card, compared, as_json):
        assert [secret for secret in SECRETS if secret in outcome.out] == []
    assert "--results r\n" in card.out
    assert json.loads(as_json.out)["cells"]


def test_the_reason_why_something_is_missing_names_nobody():
    items = Items(lambda text: text.replace("/home/zelda/x", "…"))

    def fail() -> None:
        raise FileNotFoundError(2, "No such file", "/home/zelda/x")

    items.make("card of /home/zelda/x", fail)
    assert items.missing == {"card of …": "FileNotFoundError: [Errno 2] No such file: '…'"}
