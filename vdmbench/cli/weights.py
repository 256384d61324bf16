"""``vdmbench weights``: the I3D weights that FVD is defined on."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from vdmbench.cli.options import AsJson
from vdmbench.cli.terminal import say, say_json

app = typer.Typer(no_args_is_help=True, rich_markup_mode=None, help="Download, import and verify the network weights of FVD.")


@app.command()
def fetch() -> None:
    """Download the weights into the user's cache, by name and hash, and test them."""
    from vdmbench.metrics.i3d.weights import fetch_weights

    say(fetch_weights())


@app.command("import")
def import_file(
    path: Annotated[
        Path,
        typer.Argument(
            help="The published archive, its checkpoint, or the weights as a torch state dict, TorchScript or safetensors."
        ),
    ],
) -> None:
    """Test a weight file that was brought by hand, and keep it in the user's cache."""
    from vdmbench.metrics.i3d.weights import import_weights

    say(import_weights(path))


@app.command()
def verify(
    path: Annotated[Path | None, typer.Argument(help="Weight file; by default the file in use.")] = None,
    as_json: AsJson = False,
) -> None:
    """Run every known value against the weights; exit code 1 where one is off."""
    from vdmbench.metrics.i3d.weights import verify_weights

    found = verify_weights(path)
    if as_json:
        say_json(found)
    else:
        for frames, pair in found["goldens"].items():
            say(f"{frames} frames, black against white: {pair['got']:.3f}, known {pair['expected']:.3f}")
        which = "the published weights" if found["published"] else "other weights than the published ones"
        say(f"sha256 {found['digest']}, {which}")
    raise typer.Exit(0 if found["ok"] else 1)
