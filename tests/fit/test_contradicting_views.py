import math
from dataclasses import replace

import pytest
import torch

from splatpaint.events import drain
from splatpaint.fit.contradicting_views import contradicting, explained_db, view_fits
from splatpaint.fit.exposures import ABOUT_BLACK
from splatpaint.fit.photos import ReconstructConfig
from splatpaint.masks.selection import RemoveConfig
from splatpaint.render.native import rasterize
from splatpaint.scene.photos import Photo, Photos
from splatpaint.scene.splats import concatenate
from splatpaint.scene.views import Capture
from splatpaint.stages.locate import locate
from splatpaint.stages.reconstruct import Reconstruction, reconstruct
from tests.support.scenes import one_camera, splat_at
from tests.support.symmetric import capture_of_can, merged

CPU = torch.device("cpu")
WHOLE = torch.ones(1, 1, 24, 32)


def named(*fits: float) -> tuple[int, ...]:
    """The places of the views that are named."""
    return tuple(int(name) for name in contradicting({f"{place}": float(fit) for place, fit in enumerate(fits)}))


def picture(seed: int = 0) -> torch.Tensor:
    return 0.2 + 0.6 * torch.rand(1, 3, 24, 32, generator=torch.Generator().manual_seed(seed))


def test_a_fit_is_the_variance_of_the_photo_over_the_error():
    columns = torch.arange(32) % 2
    photo = (0.5 + 0.2 * (2.0 * columns - 1)).expand(1, 3, 24, 32)
    rows = 2.0 * (torch.arange(24) % 2) - 1
    # the error is uncorrelated with the photo; the gain that fits best is below 1, by less for a mean of 0.5 than of 0
    rendered = photo + 0.1 * rows[:, None]
    prior = ABOUT_BLACK * 0.5**2
    gain = (0.2**2 + prior) / (0.2**2 + 0.1**2 + prior)
    error = (1 - gain) ** 2 * 0.2**2 + gain**2 * 0.1**2
    assert explained_db(rendered, photo, WHOLE) == pytest.approx(10 * math.log10(0.2**2 / error), abs=1e-3)


def test_exposure_and_contrast_and_noise_of_the_pixels_do_not_matter():
    photo = picture()
    exposed = photo * torch.tensor([0.5, 0.7, 0.9])[:, None, None]
    assert explained_db(exposed, photo, WHOLE) > 60
    large = torch.nn.functional.interpolate(photo, scale_factor=8)
    checkered = (torch.arange(192)[:, None] + torch.arange(256)) % 2 - 0.5
    assert explained_db(large + 0.4 * checkered, large, torch.ones(1, 1, 192, 256)) > 40


def test_another_picture_and_a_blank_and_a_negative_explain_nothing():
    photo = picture()
    assert explained_db(picture(seed=1), photo, WHOLE) < 0
    assert explained_db(torch.full_like(photo, 0.5), photo, WHOLE) == pytest.approx(0, abs=1e-3)
    assert explained_db(1 - photo, photo, WHOLE) < 0


def test_a_bare_wall_is_explained_by_a_blank():
    wall = 0.5 + 0.01 * picture()
    assert explained_db(torch.full_like(wall, 0.5), wall, WHOLE) > 15


def test_only_weighted_pixels_count():
    photo, rendered = picture(), picture(seed=1)
    left = WHOLE.clone()
    left[..., 16:] = 0
    rendered[..., :16] = photo[..., :16]
    assert explained_db(rendered, photo, left) > 60
    assert explained_db(rendered, photo, 1 - left) < 0


def test_views_far_below_the_others_are_named_and_ordinary_spreads_are_not():
    assert named(20, 21, 1, 2, 22, 23, 24) == (2, 3)
    assert named(20, 21, 14, 7, 22, 23, 24) == (), "a badly modeled view still shows the scene"
    assert named(5, 4, 2, 5, 6, 5) == (), "where all fit badly nobody is to blame"
    assert named(20, 24, 2.5, 12, 26, 8, 22) == (2,)
    assert named(9, 25, 2.5, 9, 33, 8, 38) == (), "where fits differ that much, one more is no surprise"
    assert named() == ()


def test_a_run_of_named_views_takes_its_neighbors_along():
    assert named(20, 20, 5, 1, 5.5, 20, 5, 20, 20) == (2, 3, 4)


def test_a_majority_decides():
    assert named(*[20] * 5, *[1] * 4) == (5, 6, 7, 8)
    assert named(*[20] * 4, *[1] * 5) == ()


def test_a_floater_before_a_camera_is_no_contradiction():
    camera = one_camera(32, 24)
    black, white = (
        concatenate([splat_at((side, 0.2 * row, 1.0), scale=0.1, opacity=0.98, color=(gray, gray, gray)) for row in (-1, 0, 1)])
        for side, gray in ((-0.2, 0.1), (0.2, 0.9))
    )
    wall = concatenate([black, white])
    floater = splat_at((0.0, 0.0, 0.1), scale=0.2, opacity=0.999)
    image = rasterize(wall, camera).color.clamp(0, 1)

    photo = Photo("0", camera, image, WHOLE, torch.zeros_like(WHOLE))
    blocked = concatenate([wall, floater])
    assert explained_db(rasterize(blocked, camera).color, image, WHOLE) < 3
    assert view_fits(blocked, [photo], wall.means, rasterize)["0"] > 20


@pytest.fixture(scope="module")
def can(tmp_path_factory: pytest.TempPathFactory) -> Capture:
    return capture_of_can(tmp_path_factory.mktemp("can"))


def fitted(capture: Capture) -> Reconstruction:
    config = ReconstructConfig(steps=150, sh_degree=0)
    photos = Photos(capture.views, CPU)
    located = drain(locate(capture, photos, rasterize, replace(config, locate_share=1.0), RemoveConfig(), seed=0))
    return drain(reconstruct(capture, photos, rasterize, config, seed=0, located=located))


@pytest.mark.parametrize("wrong", [(), (5, 6, 7, 8, 9)])
def test_views_that_were_merged_into_the_other_side_of_a_symmetric_thing_are_found(can: Capture, wrong: tuple[int, ...]):
    names = tuple(f"{number:04d}" for number in wrong)
    capture = merged(can, set(names))
    assert capture.points is not None
    fits = view_fits(fitted(capture).splats, Photos(capture.views, CPU), capture.points.positions, rasterize)
    assert contradicting(fits) == names
