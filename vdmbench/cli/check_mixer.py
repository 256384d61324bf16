"""``vdmbench check-mixer``: hold one mixer to what every mixer keeps to."""

from __future__ import annotations

from typing import Annotated

import typer

from vdmbench.cli.options import AsJson
from vdmbench.cli.terminal import print_table, say_json, simple_table

EXIT_FAILED = 1


def check_mixer(
    mixer: Annotated[
        str, typer.Argument(metavar="NAME|PATH.py:CLASS", help="A registered mixer, or your own: the file is run.")
    ],
    options: Annotated[list[str] | None, typer.Argument(metavar="[OPTION=VALUE]...", help="Options of the mixer.")] = None,
    channels: Annotated[int, typer.Option(min=1, help="Channels to check it at; it is also built at twice as many.")] = 16,
    as_json: AsJson = False,
) -> None:
    """Check a mixer's shapes, dtypes, determinism, gradients, causality, steps, cost and simulation; exit code 1 if one fails.

    Examples: vdmbench check-mixer mamba direction=both | vdmbench check-mixer my_mixer.py:MyMixer expand=2.0
    """
    from vdmbench import registry
    from vdmbench.matching.simulable import check_simulation
    from vdmbench.mixers.conformance import check_mixer as check
    from vdmbench.mixers.making import mixer_maker
    from vdmbench.suite.overrides import parse_options
    from vdmbench.user_code import allow, fingerprint, is_code

    given = parse_options(options or [])
    if is_code(mixer):
        allow([fingerprint(mixer)])  # whoever names a file here asks for it to be run
    else:
        try:
            given = registry.mixers[mixer].load_options()(**given).model_dump()
        except registry.UnknownName as error:
            raise ValueError(error.message) from None
    choice = {"name": mixer, **given}
    checks = check(mixer_maker(choice), channels)
    if checks[0].passed:
        checks.append(check_simulation(choice))
    if as_json:
        say_json([{"check": each.name, "passed": each.passed, "reason": each.reason} for each in checks])
    else:
        table = simple_table(mixer, ["check", "result", "why"])
        for each in checks:
            table.add_row(each.name, "passes" if each.passed else "FAILS", each.reason)
        print_table(table)
    if not all(each.passed for each in checks):
        raise typer.Exit(EXIT_FAILED)
