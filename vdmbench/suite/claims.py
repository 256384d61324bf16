"""The grammar of claims: a hypothesis in one line, parsed here and judged by the report. Nothing is ever evaluated as code.

    claim     = side relation side [ tolerance ] [ condition ]
    side      = [ number "*" ] quantity "[" variant { "," name "=" value } "]"  |  number [ unit ]
    relation  = "<" | ">" | "="
    tolerance = "within" closeness                     with "=" alone, and needed there
    condition = "when" quantity "within" closeness     only where both variants are shown to be that close in another quantity
              | "at" "equal" quantity                  at equal values of it, interpolated along each variant's widths
    closeness = number "%"  |  number [ unit ]         a share of the right side, or an amount for what may be 0 or negative

    fvd[bi-mamba] < fvd[uni-mamba]
    peak_train_memory[bi-mamba] < 0.8 * peak_train_memory[attention] when fvd within 5%
    peak_train_memory[bi-mamba] < peak_train_memory[attention] at equal fvd
    peak_train_memory[attention, backend=sdpa] < 16 GiB
    step_time[s4d] = step_time[uni-mamba] within 10%
    recall[s4d] = recall[attention] within 0.5 dB

A variant alone has no brackets around its name in a suite; coordinates behind a comma pick one of several cells that only this
variant has (its kernel, for example).
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Any, Literal

from pydantic import Field, field_validator

from vdmbench.quantities import BUILT_IN, Quantity, metric_quantity
from vdmbench.suite.model import Declared
from vdmbench.suite.quantities import Fraction

UNITS: dict[str, tuple[str, float]] = {
    "B": ("bytes", 1),
    "KiB": ("bytes", 2**10),
    "MiB": ("bytes", 2**20),
    "GiB": ("bytes", 2**30),
    "TiB": ("bytes", 2**40),
    "s": ("seconds", 1),
    "ms": ("seconds", 1e-3),
    "us": ("seconds", 1e-6),
    "min": ("seconds", 60),
    "k": ("count", 1e3),
    "M": ("count", 1e6),
    "G": ("count", 1e9),
    "T": ("count", 1e12),
    "dB": ("decibels", 1),
}
"""Unit to its dimension and its size in base units."""

QUANTITIES: dict[str, str] = {quantity.name: quantity.dimension for quantity in BUILT_IN}
"""What a claim may speak of, besides the suite's metrics, with the dimension that an amount must have."""


class InvalidClaim(ValueError):
    """A line that is no claim; the message says what was expected where."""


@dataclass(frozen=True)
class Term:
    """A quantity of a variant, times a factor."""

    quantity: str
    variant: str
    where: tuple[tuple[str, str], ...] = ()
    """Coordinates that only this variant has."""
    factor: float = 1.0

    @property
    def label(self) -> str:
        """The variant as reports name it."""
        extra = ", ".join(f"{name}={value}" for name, value in self.where)
        return f"{self.variant} [{extra}]" if extra else self.variant


@dataclass(frozen=True)
class Amount:
    """A fixed number in base units."""

    value: float
    dimension: str
    text: str


@dataclass(frozen=True)
class ParsedClaim:
    """A claim taken apart."""

    left: Term
    relation: str
    right: Term | Amount
    tolerance: float | Amount | None = None
    """For ``=``: a share of the right side, or an amount."""
    alike: tuple[str, float | Amount] | None = None
    """Quantity, and share or amount, of ``when ... within``."""
    equal: str | None = None
    """Quantity of ``at equal``."""

    @property
    def terms(self) -> list[Term]:
        return [side for side in (self.left, self.right) if isinstance(side, Term)]

    @property
    def quantities(self) -> list[str]:
        """All that are named."""
        extra = [self.alike[0]] if self.alike else [self.equal] if self.equal else []
        return list(dict.fromkeys([*(term.quantity for term in self.terms), *extra]))


_IN_BRACKETS = re.compile(r"\s*(?:(?P<name>[^\[\],=\s](?:[^\[\],=]*[^\[\],=\s])?)|(?P<symbol>[\[\],=]))")
"""Between brackets stand names of variants and coordinates, and values: whatever they begin with, ``0.5-mamba`` too."""
_TOKEN = re.compile(r"\s*(?:(?P<number>\d+(?:\.\d+)?(?:[eE][+-]?\d+)?)|(?P<name>[A-Za-z][\w./-]*)|(?P<symbol>[\[\]*<>=%,]))")


class _Reader:
    """The tokens of one line, read from left to right."""

    def __init__(self, text: str) -> None:
        self.text, self.tokens, self.next = text, [], 0
        place, inside = 0, False
        while place < len(text.rstrip()):
            match = (_IN_BRACKETS if inside else _TOKEN).match(text, place)
            if match is None:
                raise InvalidClaim(f"'{text}': cannot read from '{text[place:].strip()}' on")
            self.tokens.append((str(match.lastgroup), match[match.lastgroup or 0]))
            inside = match["symbol"] == "[" or (inside and match["symbol"] != "]")
            place = match.end()

    def peek(self) -> tuple[str, str]:
        return self.tokens[self.next] if self.next < len(self.tokens) else ("end", "")

    def take(self, kind: str, *texts: str, wanted: str) -> str:
        """The next token, if it is of this kind (and one of these texts)."""
        found = self.peek()
        if found[0] != kind or (texts and found[1] not in texts):
            got = f"'{found[1]}'" if found[1] else "the end"
            raise InvalidClaim(f"'{self.text}': expected {wanted}, got {got}")
        self.next += 1
        return found[1]

    def accept(self, kind: str, text: str | None = None) -> str | None:
        """The same, or None where it is another token."""
        if self.peek()[0] != kind or (text is not None and self.peek()[1] != text):
            return None
        self.next += 1
        return self.tokens[self.next - 1][1]


def parse_claim(text: str) -> ParsedClaim:
    """Take a claim apart; raises :class:`InvalidClaim` with what was expected."""
    reader = _Reader(text)
    left = _side(reader)
    if isinstance(left, Amount):
        raise InvalidClaim(f"'{text}': the left side must be a quantity of a variant, such as fvd[attention]")
    relation = reader.take("symbol", "<", ">", "=", wanted="'<', '>' or '='")
    claim = ParsedClaim(left, relation, _side(reader))
    if reader.accept("name", "within"):
        claim = replace(claim, tolerance=_closeness(reader))
    if reader.accept("name", "when"):
        quantity = reader.take("name", wanted="a quantity after 'when'")
        reader.take("name", "within", wanted="'within'")
        claim = replace(claim, alike=(quantity, _closeness(reader)))
    elif reader.accept("name", "at"):
        reader.take("name", "equal", wanted="'equal'")
        claim = replace(claim, equal=reader.take("name", wanted="a quantity after 'at equal'"))
    if reader.peek()[0] != "end":
        raise InvalidClaim(
            f"'{text}': nothing may follow before '{reader.peek()[1]}'; conditions are 'when ... within ...%' "
            "and 'at equal ...'"
        )
    if (relation == "=") != (claim.tolerance is not None):
        raise InvalidClaim(
            f"'{text}': '=' needs a tolerance ('within 5%'), and '<' and '>' take none (use a factor: 0.95 * ...)"
        )
    if isinstance(claim.right, Amount) and (claim.alike or claim.equal):
        raise InvalidClaim(f"'{text}': 'when' and 'at equal' compare two variants; the right side is an amount")
    return claim


def _side(reader: _Reader) -> Term | Amount:
    number = reader.accept("number")
    if number is not None and not reader.accept("symbol", "*"):
        return _amount(reader, number)
    quantity = reader.take(
        "name", wanted="a quantity of a variant, such as fvd[attention]" + ("" if number else ", or an amount")
    )
    reader.take("symbol", "[", wanted=f"'[' and a variant after '{quantity}'")
    variant = reader.take("name", wanted="a variant's name")
    where = []
    while reader.accept("symbol", ","):
        coordinate = reader.take("name", wanted="a coordinate's name")
        reader.take("symbol", "=", wanted=f"'=' after '{coordinate}'")
        where.append((coordinate, reader.take("name", wanted="a coordinate's value")))
    reader.take("symbol", "]", wanted="']'")
    return Term(quantity, variant, tuple(where), float(number) if number else 1.0)


def _amount(reader: _Reader, number: str) -> Amount:
    """A number that was read, with the unit that may follow it."""
    unit = reader.accept("name") if reader.peek()[1] in UNITS else None
    dimension, size = UNITS[unit] if unit else ("plain", 1.0)
    return Amount(float(number) * size, dimension, f"{number} {unit}" if unit else number)


def _closeness(reader: _Reader) -> float | Amount:
    number = reader.take("number", wanted="a percentage or an amount, such as 5% or 0.5 dB")
    return float(number) / 100 if reader.accept("symbol", "%") else _amount(reader, number)


def check_claim(claim: ParsedClaim, variants: Iterable[str], metrics: Iterable[str | Quantity]) -> None:
    """Raise :class:`InvalidClaim` for a variant, quantity or unit that a suite with these variants and metrics has not.

    :param metrics: names, or quantities where metrics give more than their value.
    """
    variants = list(variants)
    for term in claim.terms:
        _known("variant", term.variant, variants)
    named = [metric_quantity(metric) if isinstance(metric, str) else metric for metric in metrics]
    known = {quantity.name: quantity for quantity in (*named, *BUILT_IN)}
    for name in claim.quantities:
        _known("quantity", name, list(known))
    amounts = [(claim.left.quantity, claim.right), (claim.left.quantity, claim.tolerance), claim.alike or ("", None)]
    for name, amount in amounts:
        if isinstance(amount, Amount):
            _same_dimension(known[name], amount)


def _same_dimension(quantity: Quantity, amount: Amount) -> None:
    dimension = quantity.dimension
    if amount.dimension != dimension and (amount.dimension, dimension) != ("plain", "count"):
        wanted = ", ".join(unit for unit, (of, _) in UNITS.items() if of == dimension) or "no unit"
        raise InvalidClaim(f"{quantity.name} cannot be compared with {amount.text}; units there: {wanted}")


def _known(kind: str, name: str, names: list[str]) -> None:
    if name not in names:
        close = difflib.get_close_matches(name, names, n=1, cutoff=0.5)
        hint = f"did you mean '{close[0]}'?" if close else f"known: {', '.join(names)}"
        raise InvalidClaim(f"unknown {kind} '{name}', {hint}")


class Claim(Declared):
    """A hypothesis that the report supports, refutes or leaves undecided."""

    says: str
    """The hypothesis, such as `fvd[bi-mamba] < fvd[uni-mamba]`."""
    name: str = ""
    """What the report calls it; empty takes the hypothesis itself."""
    at: dict[str, Any] = Field(default_factory=dict)
    """Sweep coordinates where it is made, by field path or last part; empty means at every sweep point."""
    pool: list[str] = Field(default_factory=list)
    """Coordinates to average over first (geometric mean, seed by seed); others are judged one by one."""
    sided: Literal["one", "two"] = "two"
    """`one` for a claim that was fixed before any result was seen: it can be supported with fewer seeds, and never refuted."""

    spread: Fraction | None = Field(default=None, gt=0)
    """How much its quantity is expected to scatter over seeds, as 5 %; a plan says from it how small an effect is decided."""

    @field_validator("says")
    @classmethod
    def _parses(cls, says: str) -> str:
        parse_claim(says)
        return says

    def parsed(self) -> ParsedClaim:
        return parse_claim(self.says)
