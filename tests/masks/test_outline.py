import pytest
import torch

from splatpaint.masks.outline import outline_overrun
from splatpaint.scene.photos import Photo
from tests.support.scenes import orbit

SIDE = 96


def photo_of_disc(radius_px: float, mask_px: float, seed: int) -> Photo:
    """A bright disc on a textured ground, a mask of another radius on it."""
    y, x = torch.meshgrid(torch.arange(SIDE) - 45.0, torch.arange(SIDE) - 50.0, indexing="ij")
    distance = (x * x + y * y).sqrt()[None, None]
    ground = 0.2 + 0.2 * torch.rand(1, 3, SIDE, SIDE, generator=torch.Generator().manual_seed(seed))
    image = torch.where(distance < radius_px, torch.tensor(0.9), ground)
    fill = (distance < mask_px).float()
    return Photo(f"{seed}", orbit(1, width=SIDE, height=SIDE, focal=90.0), image, torch.ones_like(fill), fill)


@pytest.mark.parametrize(("mask_px", "overrun_px"), [(20.0, 0), (16.0, 4), (24.0, 0)])
def test_an_outline_is_found_where_the_object_ends(mask_px, overrun_px):
    photos = [photo_of_disc(20.0, mask_px, seed) for seed in range(3)]
    assert outline_overrun(photos, search=0.1) * SIDE == pytest.approx(overrun_px, abs=1)


def test_exact_and_generous_masks_are_not_grown():
    assert outline_overrun([photo_of_disc(20.0, 20.0, seed) for seed in range(3)], search=0.1) == 0
    assert outline_overrun([photo_of_disc(20.0, 25.0, seed) for seed in range(3)], search=0.1) == 0


def test_photos_without_an_outline_say_nothing():
    photo = photo_of_disc(20.0, 0.0, 0)
    assert photo.fill.sum() == 0
    assert outline_overrun([photo], search=0.1) == 0
