"""A user's class: what its fingerprint is of, and that nothing else runs."""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from vdmbench.user_code import CodeNotAllowed, InvalidUserCode, allow, code_in, fingerprint, load_class


def write(folder: Path, **texts: str) -> str:
    """Files by their names, one of them mine.py; returns the class's name."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, text in texts.items():
        path = folder / f"{name.replace('__in__', '/')}.py"
        path.parent.mkdir(exist_ok=True)
        path.write_text(text)
    return f"{folder}/mine.py:Mine"


def test_a_file_that_imports_nothing_of_the_users_is_its_own_hash(tmp_path: Path) -> None:
    name = write(tmp_path, mine="import math\nimport torch\nfrom vdmbench.mixers import Mixer\nclass Mine: ...\n")
    assert fingerprint(name) == hashlib.sha256((tmp_path / "mine.py").read_bytes()).hexdigest()


@pytest.mark.parametrize(
    ("statement", "changed"),
    [
        ("import helper", "helper"),
        ("from helper import VALUE", "helper"),
        ("def late():\n    import helper", "helper"),
        ("import pack.part", "pack__in__part"),
        ("import pack.part", "pack__in____init__"),
        ("from pack import part", "pack__in__part"),
        ("import indirect", "helper"),
        ("import pack.near", "pack__in__part"),
    ],
)
def test_a_change_of_any_module_that_it_imports_is_another_identity(tmp_path: Path, statement: str, changed: str) -> None:
    texts = {"helper": "VALUE = 1\n", "indirect": "import helper\n", "pack__in__near": "from . import part\n"}
    texts |= {"pack__in____init__": "", "pack__in__part": "VALUE = 1\n", "mine": f"{statement}\nclass Mine: ...\n"}
    name = write(tmp_path, **texts)
    before = fingerprint(name)
    write(tmp_path, unrelated="VALUE = 1\n")
    assert fingerprint(name) == before
    write(tmp_path, **{changed: texts[changed] + "# changed\n"})
    assert fingerprint(name) != before
    with pytest.raises(InvalidUserCode, match="has changed since it was declared"):
        load_class(name, sha256=before)


def run(name: str) -> Any:
    allow([fingerprint(name)])
    return load_class(name)


def test_what_nobody_allowed_is_not_run_here_or_in_a_child(tmp_path: Path) -> None:
    name = write(tmp_path, mine="open('ran', 'w').close()\nclass Mine: ...\n")
    load = f"import os; os.chdir({str(tmp_path)!r}); from vdmbench.user_code import load_class; load_class({name!r})"
    with pytest.raises(CodeNotAllowed, match=r"mine\.py would run: read the code, then add --allow-code"):
        load_class(name)
    assert subprocess.run([sys.executable, "-c", load], capture_output=True, check=False).returncode == 1
    assert not (tmp_path / "ran").exists()
    allow([fingerprint(name)])
    subprocess.run([sys.executable, "-c", load], check=True)
    assert (tmp_path / "ran").exists()
    write(tmp_path, mine="class Mine:\n    other = True\n")
    with pytest.raises(CodeNotAllowed):  # what was allowed is the text, not the name
        load_class(name)


def test_code_is_found_wherever_a_declaration_names_it(tmp_path: Path) -> None:
    name = write(tmp_path, mine="class Mine: ...\n")
    sha = fingerprint(name)
    assert code_in({"a": [{"b": {"some_field_of_tomorrow": name}}], "title": "no code: mamba"}) == {name: sha}
    assert code_in({"a": ({"name": name, "sha256": "as declared"},)}) == {name: "as declared"}
    with pytest.raises(InvalidUserCode, match="cannot be read"):
        code_in(["absent.py:Mine"])


def test_the_text_runs_and_no_compiled_copy_of_the_same_size_and_time(tmp_path: Path) -> None:
    name = write(tmp_path, helper="VALUE = 1\n", mine="from helper import VALUE\nclass Mine:\n    value, own = VALUE, 1\n")
    for file in tmp_path.glob("*.py"):
        os.utime(file, (1.7e9, 1.7e9))
    assert (run(name).value, run(name).own) == (1, 1)
    write(tmp_path, helper="VALUE = 2\n", mine="from helper import VALUE\nclass Mine:\n    value, own = VALUE, 2\n")
    for file in tmp_path.glob("*.py"):
        os.utime(file, (1.7e9, 1.7e9))
    assert (run(name).value, run(name).own) == (2, 2)


def test_two_files_have_helpers_of_their_own(tmp_path: Path) -> None:
    text = "from helper import VALUE\nclass Mine:\n    value = VALUE\n"
    one = write(tmp_path / "one", helper="VALUE = 1\n", mine=text)
    two = write(tmp_path / "two", helper="VALUE = 2\n", mine=text)
    assert [run(name).value for name in (one, two, one)] == [1, 2, 1]


def test_code_that_the_text_does_not_name_is_refused(tmp_path: Path) -> None:
    text = "import importlib\nhidden = importlib.import_module('helper_unnamed')\nclass Mine: ...\n"
    name = write(tmp_path, helper_unnamed="VALUE = 1\n", mine=text)
    with pytest.raises(InvalidUserCode, match=r"imports helper_unnamed from .*name it in an import statement"):
        run(name)
