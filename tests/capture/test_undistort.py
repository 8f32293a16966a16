from dataclasses import replace

import numpy as np
import pytest
import torch

from splatpaint.capture.lens import Lens
from splatpaint.capture.undistort import NARROWEST, WIDEST, undistorted, undistortion
from tests.support.captures import photograph

BARREL = Lens("SIMPLE_RADIAL", 160, 120, 130.0, 130.0, 78.0, 61.0, (-0.12,))
TWISTED = Lens("OPENCV", 160, 120, 130.0, 128.0, 78.0, 61.0, (0.05, -0.08), (0.004, -0.003))
FISHEYE = Lens("OPENCV_FISHEYE", 160, 120, 130.0, 130.0, 80.0, 60.0, (0.03, -0.01, 0.0, 0.0), fisheye=True)
POSE = np.eye(4)


def pinhole_of(lens: Lens, K: np.ndarray) -> Lens:
    return Lens("PINHOLE", lens.width, lens.height, K[0, 0], K[1, 1], K[0, 2], K[1, 2])


@pytest.mark.parametrize("lens", [BARREL, TWISTED, FISHEYE], ids=lambda lens: lens.model)
def test_an_undistorted_photo_is_the_photo_of_a_pinhole(lens):
    via = undistortion(lens)
    expected = photograph(pinhole_of(lens, via.K), POSE)
    error = (undistorted(photograph(lens, POSE), via) - expected)[:, 2:-2, 2:-2]
    assert error.square().mean().sqrt() < 0.004


def test_a_pinhole_is_left_alone():
    lens = replace(BARREL, radial=())
    image = torch.rand(3, 120, 160)
    via = undistortion(lens)
    assert undistorted(image, via) is image
    np.testing.assert_array_equal(via.K, lens.K)


@pytest.mark.parametrize("lens", [BARREL, TWISTED, FISHEYE], ids=lambda lens: lens.model)
def test_no_borders_are_made_and_the_view_stays_nearly_as_wide(lens):
    via = undistortion(lens)
    assert via.outside is None
    assert WIDEST <= via.K[0, 0] / lens.fx <= NARROWEST
    assert via.K[0, 0] / lens.fx == pytest.approx(via.K[1, 1] / lens.fy)


def test_a_step_wider_would_have_shown_a_border():
    via = undistortion(BARREL)
    far_sides = np.array([160, 120]) - via.source[-1, -1]
    at_border = [via.source[0].min(), via.source[:, 0].min(), *far_sides]
    assert 0 <= min(at_border) < 1.5


def test_borders_that_would_cost_too_much_view_are_marked():
    via = undistortion(replace(BARREL, radial=(0.9,)))
    assert via.K[0, 0] == pytest.approx(NARROWEST * BARREL.fx)
    assert via.outside[0, 0]
    assert not via.outside[60, 80]


def test_a_lens_that_folds_over_shows_nothing_twice():
    via = undistortion(replace(BARREL, fx=60.0, fy=60.0, radial=(-0.12,)))
    assert (np.diff(via.source[61, 78:, 0]) > 0).all()


def test_masks_stay_zero_and_one():
    mask = (torch.rand(1, 120, 160) > 0.5).float()
    warped = undistorted(mask, undistortion(BARREL), smooth=False)
    assert warped.shape == mask.shape
    assert set(warped.unique().tolist()) == {0.0, 1.0}


@pytest.mark.parametrize("k1", [-0.8, -1.2])
@pytest.mark.parametrize("model", ["SIMPLE_RADIAL", "OPENCV"])
def test_what_lies_beyond_the_fold_of_a_lens_is_outside(model, k1):
    lens = Lens(model, 160, 120, 130.0, 130.0, 80.0, 60.0, (k1,))
    via = undistortion(lens)
    y, x = np.mgrid[0.5:120, 0.5:160]
    radius = np.hypot(x - 80, y - 60) / via.K[0, 0]
    folds_at = np.sqrt(-1 / (3 * k1))  # where r + k1 r^3 stops growing
    assert via.outside[radius > folds_at * 1.01].all()
    assert not via.outside[radius < folds_at * 0.99].any()


def test_a_lens_that_folds_beyond_the_photo_has_no_pixel_outside():
    assert undistortion(Lens("SIMPLE_RADIAL", 160, 120, 130.0, 130.0, 80.0, 60.0, (-0.2,))).outside is None
