from __future__ import annotations

import numpy as np
import pytest
import torch

from vdmbench.metrics.frechet import Gaussian, frechet_distance
from vdmbench.metrics.i3d.network import I3D, same_padding
from vdmbench.metrics.i3d.weights import GOLDENS, TOLERANCE, black_against_white


@pytest.mark.parametrize(
    ("size", "kernel", "stride", "sides"),
    [
        (224, 7, 2, (2, 3)),
        (15, 7, 2, (3, 3)),
        (16, 7, 2, (2, 3)),
        (112, 3, 2, (0, 1)),
        (7, 3, 1, (1, 1)),
        (4, 2, 2, (0, 0)),
        (5, 2, 2, (0, 1)),
        (1, 2, 2, (0, 1)),
    ],
)
def test_padding_is_tensorflows(size, kernel, stride, sides):
    assert same_padding(size, kernel, stride) == sides


def test_has_the_published_shape():
    network = I3D()
    assert len(network.units()) == 57
    assert sum(p.numel() for p in network.parameters()) == 12_697_264


def test_folding_changes_nothing():
    torch.manual_seed(0)
    network = I3D().eval()
    for unit in network.units():
        unit.norm.running_mean.normal_()
        unit.norm.running_var.uniform_(0.5, 2)
        torch.nn.init.normal_(unit.norm.bias)
    clip = torch.rand(1, 3, 9, 40, 40)
    with torch.no_grad():
        plain, folded = network.trunk(clip), network.fold().trunk(clip)
    assert torch.allclose(plain, folded, rtol=1e-4, atol=1e-4 * float(plain.abs().max()))


@pytest.mark.parametrize("frames", [9, 17, *(pytest.param(n, marks=pytest.mark.slow) for n in sorted(set(GOLDENS) - {9, 17}))])
def test_black_against_white(network, frames):
    assert black_against_white(network, frames) == pytest.approx(GOLDENS[frames], abs=2e-3)
    assert TOLERANCE < 0.1


def test_logits_of_noise(network):
    noise = np.random.RandomState(1).rand(1, 16, 224, 224, 3)
    logits = network(torch.from_numpy(noise).float().permute(0, 4, 1, 2, 3))[0]
    assert logits[:5].tolist() == pytest.approx([2.675427, 2.518260, 0.112932, 1.681242, -1.822581], abs=1e-4)
    assert float(logits.norm()) == pytest.approx(43.31878, abs=1e-3)


@pytest.mark.slow
def test_distance_of_two_sets_of_noise(network):
    sides = []
    for seed in (1, 2):
        videos = np.random.RandomState(seed).rand(128, 16, 224, 224, 3)
        with torch.no_grad():
            sides.append(
                torch.cat(
                    [network(torch.from_numpy(videos[i : i + 2]).float().permute(0, 4, 1, 2, 3)) for i in range(0, 128, 2)]
                )
            )
    assert float(frechet_distance(Gaussian.fit(sides[0]), Gaussian.fit(sides[1]))) == pytest.approx(10.138085, abs=1e-3)
