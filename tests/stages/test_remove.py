from dataclasses import replace

import pytest
import torch

from splatpaint.errors import MaskError
from splatpaint.events import Measured, drain
from splatpaint.image.files import read_mask, write_mask
from splatpaint.image.region import dilate
from splatpaint.masks.holes import HolesConfig
from splatpaint.masks.lift import Region, rendered_share
from splatpaint.masks.object_layer import ObjectLayer
from splatpaint.masks.selection import RemoveConfig
from splatpaint.render.reference import rasterize
from splatpaint.scene.photos import Photos
from splatpaint.scene.splats import concatenate
from splatpaint.stages.remove import remove
from tests.support.walls import SIZE, flat, wall_with_ball

CPU = torch.device("cpu")
SHARP = RemoveConfig(mask_grow=0.0, holes=HolesConfig(min_area_px=4))
"""The masks of the wall are exact, and its pictures so small that growing them would hide what other views see."""

NEAR_THE_WALL = 0.82
"""So near that the cameras' parallax does not uncover all of the wall behind the ball."""


def test_the_ball_goes_and_the_wall_stays_bit_for_bit(tmp_path):
    scene = wall_with_ball(tmp_path)
    removal = drain(remove(scene.scene, Photos(scene.capture.views, CPU), rasterize, SHARP))
    red = removal.kept.sh[:, 0, 0] - removal.kept.sh[:, 0, 1]
    assert red.max() < 0.1, "a ball splat was kept"
    assert len(removal.kept) > 0.85 * len(scene.wall)
    kept = {tuple(row) for row in removal.kept.means.tolist()}
    assert kept <= {tuple(row) for row in scene.wall.means.tolist()}


def test_holes_lie_in_what_was_covered_and_are_smaller(tmp_path):
    scene = wall_with_ball(tmp_path, ball_z=NEAR_THE_WALL)
    removal = drain(remove(scene.scene, Photos(scene.capture.views, CPU), rasterize, SHARP))
    assert len(removal.holes) == len(scene.capture.views)
    for hole in removal.holes:
        assert (hole.unobserved & (dilate(hole.occluded.float(), 3) == 0)).sum() == 0
    hidden = sum(float(hole.unobserved.sum()) for hole in removal.holes)
    covered = sum(float(hole.occluded.sum()) for hole in removal.holes)
    assert 0 < hidden < covered


def test_where_more_went_than_the_masks_cover_the_photo_knows_what_was_there(tmp_path):
    scene = wall_with_ball(tmp_path)
    generous = RemoveConfig(mask_grow=0.05, outline_error=0.02, threshold=0.05, background_share=0.9)
    removal = drain(remove(scene.scene, Photos(scene.capture.views, CPU), rasterize, generous))
    assert sum(float(hole.support_removed.sum()) for hole in removal.holes) > 0
    for view, hole in zip(scene.capture.views, removal.holes, strict=True):
        assert view.fill_mask
        assert (hole.support_removed * read_mask(view.fill_mask)[None]).sum() == 0
        assert (hole.support_removed & hole.unobserved).sum() == 0


def test_what_shows_mostly_elsewhere_stays_against_the_vote(tmp_path):
    scene = wall_with_ball(tmp_path)
    hung = torch.lerp(scene.capture.views[0].camera.centers[0], torch.tensor([0.0, 0.0, 0.6]), 0.3)
    veil = flat(hung[None], torch.tensor([[0.2, 0.2, 0.9]]), 0.06, opacity=0.2)

    def keeps_the_veil(min_inside: float) -> bool:
        config = replace(SHARP, threshold=0.05, outline_error=0.0, background_share=1.0, min_inside=min_inside)
        removal = drain(remove(concatenate([scene.scene, veil]), Photos(scene.capture.views, CPU), rasterize, config))
        return bool(((removal.kept.means - hung).norm(dim=1) < 0.1).any())

    assert not keeps_the_veil(0.0)
    assert keeps_the_veil(0.3)


def test_what_shows_only_in_holes_goes_too(tmp_path):
    scene = wall_with_ball(tmp_path, ball_z=NEAR_THE_WALL)
    removal = drain(remove(scene.scene, Photos(scene.capture.views, CPU), rasterize, SHARP))
    regions = (
        Region(view.camera, hole.unobserved.float(), torch.ones(hole.unobserved.shape))
        for view, hole in zip(scene.capture.views, removal.holes, strict=True)
    )
    assert rendered_share(removal.kept, regions, rasterize).max() <= SHARP.max_inside_holes


def test_what_the_training_left_behind_the_object_goes(tmp_path):
    """Photos show the fringe of a large splat behind the ball, and never its center: nobody knows what color that has."""
    scene = wall_with_ball(tmp_path, ball_z=NEAR_THE_WALL)
    photos = Photos(scene.capture.views, CPU)
    occluded = {view.name: read_mask(view.fill_mask)[None] > 0 for view in scene.capture.views if view.fill_mask}
    stains = flat(torch.tensor([[0.0, 0.0, 0.95], [0.4, 0.0, 0.95]]), torch.tensor([[0.1, 0.1, 0.7]]).expand(2, 3), 0.1)
    whole = concatenate([scene.wall, stains, scene.ball])
    removal = drain(remove(whole, photos, rasterize, SHARP, located=ObjectLayer(scene.ball, occluded)))
    before_the_wall = removal.kept.means[removal.kept.means[:, 2] < 0.99]
    assert before_the_wall.tolist() == [pytest.approx([0.4, 0.0, 0.95])]
    shown = sum(float((rasterize(stains[:1], photo.camera).alpha * ~occluded[photo.name]).sum()) for photo in photos)
    assert shown > 1, "photos do show some of it"


def test_shares_and_counts_are_measured(tmp_path):
    scene = wall_with_ball(tmp_path, ball_z=NEAR_THE_WALL)
    events = list(remove(scene.scene, Photos(scene.capture.views, CPU), rasterize, SHARP))
    (measured,) = [event for event in events if isinstance(event, Measured)]
    assert measured.values["removed"] + measured.values["kept"] == len(scene.scene)
    assert 0 < measured.values["hole_share"] < measured.values["occluded_share"] < 0.5


@pytest.mark.parametrize(("value", "message"), [(0.0, "select none"), (1.0, "select every")])
def test_masks_that_mark_nothing_or_everything_are_refused(tmp_path, value, message):
    scene = wall_with_ball(tmp_path)
    for view in scene.capture.views:
        assert view.fill_mask
        write_mask(view.fill_mask, torch.full((1, SIZE[1], SIZE[0]), value))
    with pytest.raises(MaskError, match=message):
        drain(remove(scene.scene, Photos(scene.capture.views, CPU), rasterize, SHARP))
