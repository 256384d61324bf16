from __future__ import annotations

import numpy as np
import pytest
from jaxtyping import TypeCheckError

from vdmbench.data.resize import fit_square, squeeze_square
from vdmbench.data.source import DataError


def noise(*shape: int) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, shape, dtype=np.uint8)


@pytest.mark.parametrize("factor", [2, 3, 4])
def test_integer_factors_are_exact_box_averages(factor: int) -> None:
    video = noise(3, 12 * factor, 12 * factor, 3)
    boxes = video.reshape(3, 12, factor, 12, factor, 3).astype(np.float64).mean(axis=(2, 4))
    assert np.abs(fit_square(video, 12) - boxes).max() <= 0.5001


@pytest.mark.parametrize(("side", "size"), [(120, 64), (10, 7), (64, 63)])
def test_other_factors_are_area_averages(side: int, size: int) -> None:
    """Against a box average of the video repeated ``size`` times along each axis, whose pixels divide evenly."""
    video = noise(1, side, side, 3)
    repeated = video[0].repeat(size, axis=0).astype(np.float64).reshape(size, side, side, 3).mean(axis=1)
    exact = repeated.repeat(size, axis=1).reshape(size, size, side, 3).mean(axis=2)
    assert np.abs(fit_square(video, size)[0] - exact).max() <= 0.501


def test_fine_stripes_become_grey_and_not_other_stripes() -> None:
    stripes = np.zeros((1, 128, 128, 3), np.uint8)
    stripes[:, :, ::2] = 255
    shrunk = fit_square(stripes, 50)
    assert shrunk.astype(int).std() < 0.2 * stripes.std()


def test_longer_side_is_cropped_about_the_centre() -> None:
    video = np.zeros((2, 20, 60, 3), np.uint8)
    video[:, :, 20:40] = 200
    assert (fit_square(video, 10) == 200).all()
    assert (fit_square(video.swapaxes(1, 2), 10) == 200).all()


def test_identity_where_the_size_fits() -> None:
    video = noise(4, 16, 16, 3)
    np.testing.assert_array_equal(fit_square(video, 16), video)


def test_enlarging_interpolates_and_keeps_constants() -> None:
    ramp = np.broadcast_to(np.array([0, 100, 200], np.uint8)[None, None, :, None], (1, 3, 3, 3))
    row = fit_square(ramp, 6)[0, 2, :, 0].tolist()
    assert row == [0, 25, 75, 125, 175, 200]
    assert (fit_square(np.full((1, 5, 5, 3), 77, np.uint8), 13) == 77).all()


def test_wrong_input_is_refused() -> None:
    with pytest.raises((DataError, TypeCheckError), match=r"float64|f64"):
        fit_square(np.zeros((1, 4, 4, 3)), 2)
    with pytest.raises(DataError, match="size must be at least 1"):
        fit_square(noise(1, 4, 4, 3), 0)


def test_squeezing_averages_over_boxes_of_both_sides() -> None:
    video = np.random.default_rng(0).integers(0, 256, (2, 24, 16, 3), dtype=np.uint8)
    boxes = video.reshape(2, 8, 3, 8, 2, 3).astype(np.float64).mean(axis=(2, 4))
    assert np.abs(squeeze_square(video, 8) - boxes).max() <= 0.5001
    square = video[:, :16]
    np.testing.assert_array_equal(squeeze_square(square, 8), fit_square(square, 8))
