import torch

from splatpaint.image.region import dilate, erode
from splatpaint.masks.lift import MaskedView
from splatpaint.masks.object_layer import object_layer
from splatpaint.masks.selection import RemoveConfig
from splatpaint.render.reference import rasterize
from splatpaint.scene.photos import Photos
from tests.support.walls import wall_with_ball

CPU = torch.device("cpu")
CONFIG = RemoveConfig(outline_error=0.3)


def masks_of(photos: Photos, missing: int | None = None) -> list[MaskedView]:
    """The ball's silhouettes; of one view only the left half."""
    result = []
    for place, photo in enumerate(photos):
        mask = photo.fill.clone()
        if place == missing:
            columns = torch.nonzero(mask[0, 0].any(dim=0))[:, 0]
            mask[..., int(columns.float().median()) :] = 0
        margin = dilate(mask, 12)
        result.append(MaskedView(photo.camera, mask.bool(), margin.bool(), photo.usable.bool()))
    return result


def test_exact_masks_stay_as_they_are(tmp_path):
    wall = wall_with_ball(tmp_path, ball_z=0.3)
    photos = Photos(wall.capture.views, CPU)
    found = object_layer(wall.scene, [view.name for view in photos.views], masks_of(photos), rasterize, CONFIG)
    red = found.splats.sh[:, 0, 0] - found.splats.sh[:, 0, 1]
    assert (red > 1).sum() > 0.9 * len(wall.ball)
    for photo in photos:
        assert torch.equal(found.occluded[photo.name], photo.fill.bool())


def test_a_part_that_one_mask_misses_is_found_by_the_others(tmp_path):
    wall = wall_with_ball(tmp_path, ball_z=0.3)
    photos = Photos(wall.capture.views, CPU)
    names = [view.name for view in photos.views]
    found = object_layer(wall.scene, names, masks_of(photos, missing=2), rasterize, CONFIG)
    whole = photos[2].fill
    inner = erode(whole, 2)
    assert (found.occluded[names[2]] * inner).sum() > 0.95 * inner.sum()
    assert (found.occluded[names[2]] * (1 - dilate(whole, 2))).sum() == 0
