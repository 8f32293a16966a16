import cv2
import numpy as np
import pycolmap
import pytest

from splatpaint.capture.lens import Lens
from tests.support.captures import colmap_camera

LENSES = [
    Lens("SIMPLE_PINHOLE", 64, 48, 50.0, 50.0, 31.0, 25.0),
    Lens("PINHOLE", 64, 48, 50.0, 52.0, 31.0, 25.0),
    Lens("SIMPLE_RADIAL", 64, 48, 50.0, 50.0, 31.0, 25.0, (-0.1,)),
    Lens("RADIAL", 64, 48, 50.0, 50.0, 31.0, 25.0, (-0.1, 0.02)),
    Lens("OPENCV", 64, 48, 50.0, 52.0, 31.0, 25.0, (-0.1, 0.02), (0.01, -0.02)),
    Lens("FULL_OPENCV", 64, 48, 50.0, 52.0, 31.0, 25.0, (-0.1, 0.02, 0.01), (0.01, -0.02), (0.02, 0.01, 0.005)),
    Lens("SIMPLE_RADIAL_FISHEYE", 64, 48, 50.0, 50.0, 31.0, 25.0, (-0.1,), fisheye=True),
    Lens("RADIAL_FISHEYE", 64, 48, 50.0, 50.0, 31.0, 25.0, (-0.1, 0.02), fisheye=True),
    Lens("OPENCV_FISHEYE", 64, 48, 50.0, 52.0, 31.0, 25.0, (-0.1, 0.02, 0.01, -0.005), fisheye=True),
]


def rays(n: int = 50) -> np.ndarray:
    return np.random.default_rng(0).uniform(-0.7, 0.7, size=(n, 2))


@pytest.mark.parametrize("lens", LENSES, ids=lambda lens: lens.model)
def test_images_like_colmap(lens):
    _, width, height, *params = colmap_camera(lens).split()
    camera = pycolmap.Camera(model=lens.model, width=int(width), height=int(height), params=[float(p) for p in params])
    in_cam = np.concatenate([rays(), np.ones((50, 1))], axis=1)
    np.testing.assert_allclose(lens.image(rays()), camera.img_from_cam(in_cam), atol=1e-9)


def test_images_like_opencv():
    lens = LENSES[5]
    k1, k2, k3 = lens.radial
    in_cam = np.concatenate([rays(), np.ones((50, 1))], axis=1)
    theirs, _ = cv2.projectPoints(
        in_cam, np.zeros(3), np.zeros(3), lens.K, np.array([k1, k2, *lens.tangential, k3, *lens.divisor])
    )
    np.testing.assert_allclose(lens.image(rays()), theirs[:, 0], atol=1e-9)


@pytest.mark.parametrize("lens", LENSES, ids=lambda lens: lens.model)
def test_a_resized_photo_shows_the_same_directions(lens):
    np.testing.assert_allclose(lens.rescaled(32, 96).image(rays()), lens.image(rays()) * (0.5, 2.0))


def test_only_zero_coefficients_make_a_pinhole():
    assert Lens("OPENCV", 64, 48, 50.0, 50.0, 32.0, 24.0, (0.0, 0.0)).is_pinhole
    assert [lens.is_pinhole for lens in LENSES] == [True, True] + [False] * 7


def test_the_optical_axis_of_a_fisheye_meets_the_principal_point():
    np.testing.assert_allclose(LENSES[-1].image(np.zeros((1, 2))), [[31.0, 25.0]])
