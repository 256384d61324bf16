"""Ways to spoil a document: at the level of its tree, and at the level of its text."""

from __future__ import annotations

import copy
import math
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from hypothesis import strategies as st


class Verdicts(list[str]):
    """What became of each example, in the words of a test; a failure is not to print thousands of them."""

    def __repr__(self) -> str:
        return f"<{len(self)} verdicts>"


SCALARS: list[Any] = [
    None,
    True,
    False,
    0,
    -1,
    1,
    2**31,
    2**63,
    10**40,
    -(10**40),
    0.0,
    -0.5,
    1e-320,
    1e308,
    math.nan,
    math.inf,
    -math.inf,
    "",
    " ",
    "null",
    "NaN",
    ".inf",
    "1e999",
    "0x10",
    "1_000",
    "~",
    "../../etc/passwd",
    "..",
    "/",
    "/dev/full",
    "C:\\",
    "a\nb",
    "a\x00b",
    "\ud800",
    "ﷺ" * 40,
    "𝕄𝔸𝕄𝔹𝔸",
    "\u202eabmam",
    "mamba ",
    "MAMBA",
    "x" * 5000,
    "{}",
    "[]",
    "${HOME}",
    "$(id)",
    "__import__('os')",
    "../x.py:Y",
    "/dev/stdin.py:X",
    "nowhere.py:Mixer",
    ":",
    "py:",
    ".py:",
    "%s%n",
    "16GiB",
    "-1GiB",
    "1e400GiB",
    "frames[0]",
    "data.frames",
    "data.source.name",
    "variants.uni.mixer",
    "a.b.c",
    [],
    {},
    [[]],
    [None],
    {"": None},
    {"name": None},
    {"name": "mamba"},
    {"name": []},
    [1, 1],
    [1, "a", None],
    {"1": 2},
    list(range(40)),
    {str(n): n for n in range(40)},
]
TREE = ["drop", "duplicate", "rename", "replace", "nest", "swap", "wrap", "extend", "graft"]
TEXT: list[Callable[[str, int, int], str]] = [
    lambda text, a, b: text[: a % (len(text) + 1)],
    lambda text, a, b: text[: a % (len(text) + 1)] + chr(1 + b % 0x2FFF) + text[a % (len(text) + 1) :],
    lambda text, a, b: text.replace(": ", ":", 1 + a % 3),
    lambda text, a, b: text.replace("\n", "\r\n" if a % 2 else "\n\t", 1 + b % 4),
    lambda text, a, b: text.replace("{", "[", 1 + a % 3),
    lambda text, a, b: text + "\n" + text,
    lambda text, a, b: text + "\n---\n" + text,
    lambda text, a, b: "%YAML 9.9\n---\n" + text,
    lambda text, a, b: text.replace(": ", ": !!python/object/apply:os.system ", 1),
    lambda text, a, b: text.replace(
        ": ", ": !!" + ("binary", "set", "timestamp", "float", "int", "null", "omap")[a % 7] + " ", 1 + b % 5
    ),
    lambda text, a, b: text.replace(": ", ": &a ", 1) + "\ntitle: *a\n",
    lambda text, a, b: (
        "a: &a [x,x,x,x,x,x,x,x,x]\n"
        + "".join(f"{chr(97 + n)}{n}: &b{n} [{','.join([f'*b{n - 1}' if n else '*a'] * 9)}]\n" for n in range(9))
        + text
    ),
    lambda text, a, b: text + "\ntitle: " + "[" * (1 + a % 3000),
    lambda text, a, b: text + "\nsweep: " + "{a: " * (1 + a % 600) + "1" + "}" * (1 + a % 600),
    lambda text, a, b: text + "\n? [complex, key]\n: value\n",
    lambda text, a, b: text + "\n<<: {name: merged}\n",
    lambda text, a, b: "\ufeff" + text,
    lambda text, a, b: text.replace("2", ("1e999", ".nan", "9" * 5000, "0b1", "1:30", "-.inf", "0o7")[a % 7], 1 + b % 3),
]


def places(tree: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """Every path of a tree but the root."""
    items = tree.items() if isinstance(tree, dict) else enumerate(tree) if isinstance(tree, list) else ()
    for key, value in items:
        yield (*path, key)
        yield from places(value, (*path, key))


def _inside(tree: Any, path: tuple[Any, ...]) -> Any:
    for part in path:
        tree = tree[part]
    return tree


def mutated(tree: Any, steps: list[tuple[str, int, int, Any]]) -> Any:
    """``tree`` after some mutations; each is an operation, two numbers that choose places, and a value."""
    tree = copy.deepcopy(tree)
    for operation, one, other, value in steps:
        known = list(places(tree))
        if not known:
            return value
        path, elsewhere = known[one % len(known)], known[other % len(known)]
        parent, key = _inside(tree, path[:-1]), path[-1]
        found = copy.deepcopy(parent[key])
        match operation:
            case "drop":
                del parent[key]
            case "duplicate" if isinstance(parent, list):
                parent.insert(key, found)
            case "duplicate" | "rename" if isinstance(parent, dict):
                parent[f"{key}{value if isinstance(value, str) else 's'}"] = found
                if operation == "rename":
                    del parent[key]
            case "replace":
                parent[key] = copy.deepcopy(value)
            case "nest":
                for _ in range(1 + other % 60):
                    found = {str(key): found} if other % 2 else [found]
                parent[key] = found
            case "swap":
                parent[key] = str(found) if not isinstance(found, str) else len(found)
            case "wrap":
                parent[key] = [found]
            case "extend" if isinstance(found, dict):
                parent[key] = {**found, "surplus": copy.deepcopy(value)}
            case "extend" if isinstance(found, list):
                parent[key] = [*found, copy.deepcopy(value)]
            case _:
                parent[key] = copy.deepcopy(_inside(tree, elsewhere))
    return tree


tree_steps = st.lists(
    st.tuples(st.sampled_from(TREE), st.integers(0, 2000), st.integers(0, 2000), st.sampled_from(SCALARS)),
    min_size=1,
    max_size=4,
)
# Text that is spoilt is refused nearly always, so most are spoilt in their tree alone.
text_steps = st.one_of(
    st.just([]),
    st.just([]),
    st.lists(st.tuples(st.sampled_from(range(len(TEXT))), st.integers(0, 4000), st.integers(0, 4000)), max_size=2),
)


def spoilt(text: str, steps: list[tuple[int, int, int]]) -> str:
    for which, a, b in steps:
        text = TEXT[which](text, a, b)
    return text


_watched = threading.local()
_DEEDS = {"os.mkdir", "os.rename", "os.remove", "os.link", "os.symlink", "os.system", "subprocess.Popen", "socket.connect"}


def _audit(event: str, arguments: tuple[Any, ...]) -> None:
    if getattr(_watched, "writes", None) is None:
        return
    opened = event == "open" and isinstance(arguments[1], str) and any(letter in arguments[1] for letter in "wax+")
    if (opened or event in _DEEDS) and "__pycache__" not in str(arguments[0]):
        _watched.writes.append((event, arguments))


sys.addaudithook(_audit)


@contextmanager
def nothing_written() -> Iterator[None]:
    """Within, no file may be opened for writing, made, moved or removed, and no process started."""
    _watched.writes = []
    try:
        yield
        assert _watched.writes == []
    finally:
        _watched.writes = None
