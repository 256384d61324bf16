"""``vdmbench bench``: what mixers and ops cost by themselves, and whether the mixers keep to the rules."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from vdmbench.cli.options import AsJson
from vdmbench.cli.terminal import print_table, say, say_json, simple_table, styled

if TYPE_CHECKING:
    from vdmbench.bench import Contest, Findings
    from vdmbench.bench.tables import Grid

EXIT_FAILED, EXIT_INTERRUPTED = 1, 130

app = typer.Typer(
    no_args_is_help=True, rich_markup_mode=None, help="Time and weigh mixers and ops across clip lengths, without training."
)

Frames = Annotated[str, typer.Option(metavar="RANGE", help="16..4096 (doubling), 16,64,100, or one number.")]
Sites = Annotated[int, typer.Option(min=1, help="Sequences in a batch: places of a frame times clips.")]
Channels = Annotated[int, typer.Option(min=1, help="Channels of the sequences.")]
Dtypes = Annotated[str, typer.Option("--dtype", metavar="LIST", help="float32, bfloat16, float16, float64; several by commas.")]
Backends = Annotated[str, typer.Option(metavar="LIST", help="all, auto, or names by commas.")]
Device = Annotated[Literal["cpu", "cuda"], typer.Option(help="Where to measure.")]
Direction = Annotated[
    Literal["forward", "training"], typer.Option(help="Forward pass without gradients, or forward and backward.")
]
Rounds = Annotated[int, typer.Option(min=1, help="Measurements of each case; contenders take turns in each round.")]
Threads = Annotated[int, typer.Option(min=1, help="Threads of PyTorch and of the CPU kernels.")]
MaxSeconds = Annotated[
    float, typer.Option(help="Time limit of a case in seconds; a case that takes longer is skipped and reported as such.")
]
Out = Annotated[
    Path | None,
    typer.Option(
        "--out", "-o", help="Folder for CSV, JSON, Markdown and figures; one sub-folder per dtype if there are several."
    ),
]


@app.command("mixers")
def bench_mixers(
    names: Annotated[
        list[str] | None,
        typer.Argument(metavar="[NAME[,OPTION=VALUE]...]...", help="Mixers, or your own path.py:Class; by default all."),
    ] = None,
    frames: Frames = "16..1024",
    sites: Sites = 64,
    channels: Channels = 64,
    dtypes: Dtypes = "float32",
    backends: Backends = "auto",
    device: Device = "cpu",
    direction: Direction = "training",
    rounds: Rounds = 9,
    threads: Threads = 1,
    max_seconds: MaxSeconds = 20.0,
    out: Out = None,
    as_json: AsJson = False,
) -> None:
    """Measure time, peak memory and roofline share of mixers against clip length.

    Examples: vdmbench bench mixers --frames 16..4096 --sites 1024 --channels 128 |
    vdmbench bench mixers mamba mamba,direction=both attention --backends all --out bench
    """
    from vdmbench.bench import mixer_contest

    contests = [mixer_contest(names or (), backends.split(","))]
    _bench(contests, frames, sites, channels, dtypes, device, direction, rounds, threads, max_seconds, out, as_json)


@app.command("ops")
def bench_ops(
    names: Annotated[list[str] | None, typer.Argument(metavar="[NAME]...", help="Ops; by default all.")] = None,
    frames: Frames = "16..1024",
    sites: Sites = 64,
    channels: Channels = 64,
    dtypes: Dtypes = "float32",
    backends: Backends = "all",
    device: Device = "cpu",
    direction: Direction = "training",
    rounds: Rounds = 9,
    threads: Threads = 1,
    max_seconds: MaxSeconds = 20.0,
    out: Out = None,
    as_json: AsJson = False,
) -> None:
    """Measure every backend of each op, after a check against its float64 reference.

    Examples: vdmbench bench ops attention --frames 16..4096 |
    vdmbench bench ops --device cuda --dtype bfloat16,float32 --out h200
    """
    from vdmbench.bench import op_contests

    contests = op_contests(names or (), backends.split(","))
    _bench(contests, frames, sites, channels, dtypes, device, direction, rounds, threads, max_seconds, out, as_json)


def _bench(
    contests: list[Contest],
    frames: str,
    sites: int,
    channels: int,
    dtypes: str,
    device: str,
    direction: str,
    rounds: int,
    threads: int,
    max_seconds: float,
    out: Path | None,
    as_json: bool,
) -> None:
    from rich.console import Console

    from vdmbench.bench import Settings, Workload, parse_frames, run, write
    from vdmbench.bench import as_json as findings_as_json

    lengths = parse_frames(frames)
    settings = [
        Settings(
            Workload(lengths[0], sites, channels, dtype, device, direction),  # type: ignore[arg-type]  # checked there
            tuple(lengths),
            rounds,
            threads,
            max_seconds,
        )
        for dtype in dtypes.split(",")
    ]
    found: dict[str, Findings] = {}
    console = Console(stderr=True)
    with console.status(styled("starting")) as status:
        for each in settings:
            dtype = each.workload.dtype
            findings = found[dtype] = run(contests, each, lambda text: status.update(styled(text)))
            if out is not None:
                write(findings, out if len(settings) == 1 else out / dtype)
            if findings.interrupted:
                break
    if as_json:
        say_json({dtype: findings_as_json(findings) for dtype, findings in found.items()})
    else:
        for findings in found.values():
            _show(findings)
    if any(findings.interrupted for findings in found.values()):
        say("interrupted: what was finished is shown" + (" and written" if out else ""), err=True)
        raise typer.Exit(EXIT_INTERRUPTED)
    if any(findings.failed for findings in found.values()):
        raise typer.Exit(EXIT_FAILED)


def _show(findings: Findings) -> None:
    from vdmbench.bench import pivots, reasons

    for grid in pivots(findings):
        _print(grid)
    for line in reasons(findings):
        say(line, err=True)


def _print(grid: Grid) -> None:

    table = simple_table(grid.title, grid.headers)
    for line in grid.lines:
        table.add_row(*line)
    print_table(table)


@app.command("conformance")
def conformance(
    names: Annotated[
        list[str] | None,
        typer.Argument(metavar="[NAME[,OPTION=VALUE]...]...", help="Mixers; by default all, in one direction and both."),
    ] = None,
    channels: Annotated[int, typer.Option(min=1, help="Width to check them at.")] = 16,
    out: Annotated[Path | None, typer.Option("--out", "-o", help="Markdown file to write the table to.")] = None,
    as_json: AsJson = False,
) -> None:
    """Run every check of check-mixer on every mixer and print one table; exit code 1 if one fails."""
    from vdmbench.bench.conformance import conformance_grid, conformances, failures
    from vdmbench.whole_file import write_atomically

    found = conformances(names or (), channels)
    grid, failed = conformance_grid(found), failures(found)
    if out is not None:
        write_atomically(out, (grid.markdown() + "".join(f"\n- {line}" for line in failed)).encode())
    if as_json:
        say_json([asdict(each) for each in found])
    else:
        _print(grid)
    for line in failed:
        say(line, err=True)
    if failed:
        raise typer.Exit(EXIT_FAILED)
