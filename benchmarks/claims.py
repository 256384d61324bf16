"""How often do claims say something false, and how often do they see what is there? Simulated, by shape and number of seeds.

    python benchmarks/claims.py --out benchmarks/cpu/claims.json

Two variants are drawn 2,000 times, paired by seed, in seven shapes. *Size*: the share of runs with a verdict, either way,
where the null hypothesis is true: in a new seed (of those that do not collapse) each variant is as likely to be the lower.
*Power*: the share with the right verdict where the left one is better by one or two standard deviations of the paired
difference of two normal variants. `t` is the paired t test that reports used before; `two-sided` and `one-sided` are the sign
test of vdmbench/report/statistics.py, whose functions do the counting here. Shares are in per cent; their Monte Carlo error is
beside them. About ten seconds.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from scipy import special

from vdmbench.report.statistics import LEVEL, fewest_seeds, sign_p

SEEDS = (3, 5, 8, 10, 16)
EFFECTS = (1.0, 2.0)
"""In standard deviations of the paired difference of two normal variants."""
POINTS = 4
LARGE = 400_000
"""Draws that a shape's median difference is taken from."""
Draw = Callable[[np.random.Generator, tuple[int, ...]], np.ndarray]


def normal(rng: np.random.Generator, size: tuple[int, ...]) -> np.ndarray:
    return rng.normal(size=size)


@dataclass(frozen=True)
class Shape:
    """The scatter of two variants over seeds, in standard deviations of a normal one."""

    left: Draw
    right: Draw = normal
    shared: float = 0.0
    """Scatter that both have in common in a seed."""
    collapses: float = 0.0
    """Share of the left one's runs that collapse, 20 standard deviations up."""


SHAPES = {
    "normal, normal": Shape(normal),
    "normal, normal, shared seed effect": Shape(normal, shared=3.0),
    "exponential, normal": Shape(lambda rng, size: rng.exponential(size=size)),
    "lognormal, normal": Shape(lambda rng, size: rng.lognormal(size=size)),
    "exponential, a tenth of normal": Shape(
        lambda rng, size: rng.exponential(size=size), lambda rng, size: 0.1 * rng.normal(size=size)
    ),
    "two modes (30 %, 70 %), normal": Shape(
        lambda rng, size: np.where(rng.random(size) < 0.3, 3.0, 0.0) + 0.3 * rng.normal(size=size)
    ),
    "10 % collapse, normal": Shape(normal, collapses=0.1),
}


@dataclass(frozen=True)
class Pairs:
    """Simulated runs: paired differences, left minus right, and which pairs hold a collapsed run; (runs, seeds) each."""

    gaps: np.ndarray
    collapsed: np.ndarray


def draw(shape: Shape, runs: int, seeds: int, rng: np.random.Generator, *, better: float = 0.0, null: str = "median") -> Pairs:
    """``better``: by how much the left variant is lower. ``null``: which difference is 0 without it: the median of pairs
    without collapse, or the mean of all."""
    size = (runs, seeds)
    large = (LARGE,)
    known = np.random.default_rng(0)
    gap = shape.left(known, large) - shape.right(known, large)
    centre = float(np.median(gap)) if null == "median" else float(gap.mean()) + 20 * shape.collapses
    common = shape.shared * rng.normal(size=size)
    collapsed = rng.random(size) < shape.collapses
    left = shape.left(rng, size) + common - centre - better * np.sqrt(2) + 20 * collapsed
    return Pairs(left - (shape.right(rng, size) + common), collapsed)


def t_p(pairs: Pairs) -> tuple[np.ndarray, np.ndarray]:
    """One-sided p-values of 'lower' and 'higher', by the paired t test of all runs."""
    n = pairs.gaps.shape[-1]
    t = pairs.gaps.mean(axis=-1) / (pairs.gaps.std(axis=-1, ddof=1) / np.sqrt(n))
    return special.stdtr(n - 1, t), special.stdtr(n - 1, -t)


def sign_test_p(pairs: Pairs) -> tuple[np.ndarray, np.ndarray]:
    """The same by the sign test, the larger of what it gives with and without collapsed runs."""
    kept = ~pairs.collapsed
    lower, higher = pairs.gaps < 0, pairs.gaps > 0
    n, left = pairs.gaps.shape[-1], kept.sum(axis=-1)
    return tuple(  # type: ignore[return-value]
        np.maximum(sign_p(side.sum(axis=-1), n), sign_p((side & kept).sum(axis=-1), left)) for side in (lower, higher)
    )


def verdicts(lower: np.ndarray, higher: np.ndarray, sides: int = 2) -> tuple[np.ndarray, np.ndarray]:
    """Where 'lower' is supported and where it is refuted."""
    return sides * lower < LEVEL, (2 * higher < LEVEL) & (sides == 2)


def share(said: np.ndarray) -> dict[str, float]:
    """In per cent, with its Monte Carlo error."""
    p = float(said.mean())
    return {"percent": round(100 * p, 2), "error": round(100 * float(np.sqrt(p * (1 - p) / len(said))), 2)}


def tests_of(pairs: Pairs) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """Verdicts of the three tests."""
    sign = sign_test_p(pairs)
    return {"t": verdicts(*t_p(pairs)), "two-sided": verdicts(*sign), "one-sided": verdicts(*sign, sides=1)}


def size_rows(runs: int, null: str = "median") -> list[dict[str, Any]]:
    """False alarms, a row a shape and number of seeds."""
    rng = np.random.default_rng(1)
    rows = []
    for name, shape in SHAPES.items():
        for seeds in SEEDS:
            said = tests_of(draw(shape, runs, seeds, rng, null=null))
            rows.append({"shape": name, "seeds": seeds} | {test: share(yes | no) for test, (yes, no) in said.items()})
    return rows


def power_rows(runs: int) -> list[dict[str, Any]]:
    """Right verdicts, a row a shape, number of seeds and effect."""
    rng = np.random.default_rng(2)
    rows = []
    for name, shape in SHAPES.items():
        for effect in EFFECTS:
            for seeds in SEEDS:
                said = tests_of(draw(shape, runs, seeds, rng, better=effect))
                rows.append(
                    {"shape": name, "effect": effect, "seeds": seeds} | {test: share(yes) for test, (yes, _) in said.items()}
                )
    return rows


def points_rows(runs: int) -> list[dict[str, Any]]:
    """A claim over four sweep points of normal variants: Holm's correction over points against one test whose p is the
    largest."""
    rng = np.random.default_rng(3)
    rows = []
    for effect in (0.0, *EFFECTS):
        for seeds in SEEDS:
            said = {}
            points = [draw(SHAPES["normal, normal"], runs, seeds, rng, better=effect) for _ in range(POINTS)]
            for test, of in (("t", t_p), ("sign", sign_test_p)):
                lower, higher = (np.array(side) for side in zip(*map(of, points), strict=True))
                least = np.sort(2 * np.minimum(lower, higher), axis=0) * np.arange(POINTS, 0, -1)[:, None]
                all_lower = (lower < higher).all(axis=0)
                said[f"{test}, Holm over points"] = all_lower & (least < LEVEL).all(axis=0)
                said[f"{test}, one test"] = 2 * lower.max(axis=0) < LEVEL
            rows.append({"effect": effect, "seeds": seeds} | {name: share(yes) for name, yes in said.items()})
    return rows


def measure(runs: int) -> dict[str, Any]:
    """Everything."""
    return {
        "runs": runs,
        "fewest seeds": {
            sided: {f"{tests} claims": fewest_seeds(tests, sides) for tests in (1, 2, 3, 5)}
            for sided, sides in (("two-sided", 2), ("one-sided", 1))
        },
        "size": size_rows(runs),
        "power": power_rows(runs),
        "claim over four points": points_rows(runs),
        "size if means were equal instead": size_rows(runs, null="mean"),
    }


def size_table(measured: dict[str, Any]) -> str:
    """Markdown: false alarms before and after, in per cent; a dash where the test cannot decide."""
    return _table(measured["size"], lambda row: row["shape"], "Shape (left, right)")


def power_table(measured: dict[str, Any]) -> str:
    """Markdown: right verdicts before and after, in per cent."""
    return _table(measured["power"], lambda row: f"{row['shape']}: {row['effect']:g} sd", "Shape, and effect")


def _table(rows: list[dict[str, Any]], title: Callable[[dict[str, Any]], str], head: str) -> str:
    least = {"t": 3, "two-sided": fewest_seeds(), "one-sided": fewest_seeds(sides=1)}
    lines = [
        f"| {head} | " + " | ".join(f"{seeds} seeds" for seeds in SEEDS) + " |",
        "|---" * (len(SEEDS) + 1) + "|",
    ]
    for name in dict.fromkeys(map(title, rows)):
        fields = []
        for row in (row for row in rows if title(row) == name):
            shown = (f"{row[test]['percent']:.1f}" if row["seeds"] >= fewest else "–" for test, fewest in least.items())
            fields.append(" / ".join(shown))
        lines.append(f"| {name} | " + " | ".join(fields) + " |")
    return "\n".join(lines)


def points_table(measured: dict[str, Any]) -> str:
    """Markdown: claims over four points supported, in per cent."""
    rows = measured["claim over four points"]
    tests = [name for name in rows[0] if name not in ("effect", "seeds")]
    lines = ["| Effect (sd), test | " + " | ".join(f"{seeds} seeds" for seeds in SEEDS) + " |", "|---" * (len(SEEDS) + 1) + "|"]
    for effect in dict.fromkeys(row["effect"] for row in rows):
        for test in tests:
            shown = [f"{row[test]['percent']:.1f}" for row in rows if row["effect"] == effect]
            lines.append(f"| {effect:g}, {test} | " + " | ".join(shown) + " |")
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=2000)
    parser.add_argument("--out", type=Path)
    arguments = parser.parse_args()
    measured = measure(arguments.runs)
    print("Size, in per cent: t / two-sided / one-sided\n\n" + size_table(measured))
    print("\nPower, in per cent\n\n" + power_table(measured))
    print("\nClaims over four sweep points\n\n" + points_table(measured))
    if arguments.out:
        arguments.out.write_text(json.dumps(measured, indent=1) + "\n")


if __name__ == "__main__":
    main()
