import pytest
import torch

from splatpaint.fill import practice_holes
from splatpaint.fill.practice_holes import MARGIN_PX, practice_hole
from splatpaint.fill.views import ObservedView
from splatpaint.image.region import dilate
from splatpaint.scene.camera import Cameras

SIZE = (60, 90)


def view_of(hole: torch.Tensor, *, observed=None, depth=None, image=None) -> ObservedView:
    """A flat surface at depth 1 with a hole."""
    height, width = SIZE
    camera = Cameras(K=torch.eye(3)[None], cam_from_world=torch.eye(4)[None], width=width, height=height)
    one = torch.ones(1, 1, height, width)
    return ObservedView.of(
        camera,
        torch.full((1, 3, height, width), 0.5) if image is None else image,
        depth=one if depth is None else depth,
        alpha=one,
        observed=one if observed is None else observed,
        unobserved=hole,
        support_removed=torch.zeros_like(one),
    )


def triangle(top: int = 20, left: int = 30, side: int = 15) -> torch.Tensor:
    hole = torch.zeros(1, 1, *SIZE)
    hole[0, 0, top : top + side, left : left + side] = torch.ones(side, side).tril()
    return hole


def in_view(view: ObservedView) -> torch.Tensor | None:
    """The practice hole in the whole view, 1 = painted."""
    practice = practice_hole(view)
    if practice is None:
        return None
    whole, box = torch.zeros(1, 1, *SIZE), practice.box
    whole[..., box.top : box.bottom, box.left : box.right] = practice.hole.float()
    return whole


def test_a_practice_hole_has_the_shape_of_the_hole_and_lies_beside_it():
    hole = triangle()
    found = in_view(view_of(hole))
    assert found.sum() == hole.sum()
    assert not (dilate(found, MARGIN_PX) * hole).any()
    rows, columns = (torch.nonzero(found[0, 0])).float().mean(dim=0) - torch.nonzero(hole[0, 0]).float().mean(dim=0)
    assert torch.hypot(rows, columns) < 2.5 * 15, "near to it"


def test_no_practice_hole_overlaps_another_hole_or_what_the_photo_does_not_show():
    hole, observed = triangle(), torch.ones(1, 1, *SIZE)
    hole[..., 45:50, 10:80] = 1  # another, smaller hole
    observed[..., :25, 60:] = 0
    found = in_view(view_of(hole, observed=observed))
    margin = dilate(found, MARGIN_PX)
    assert found.any()
    assert not (margin * hole).any()
    assert not (margin * (1 - observed)).any()


def test_practice_is_on_the_surface_that_surrounds_the_hole():
    depth = torch.ones(1, 1, *SIZE)
    depth[..., :, :25] = 4.0  # a wall far behind, nearer in the picture than the free floor on the right
    depth[..., :, 25:30] = 1.0
    found = in_view(view_of(triangle(left=48), depth=depth))
    assert found.any()
    assert not found[..., :25].any()


def test_of_two_places_the_one_that_looks_like_what_surrounds_the_hole_is_taken():
    image = torch.full((1, 3, *SIZE), 0.5)
    image[..., :26] = torch.rand(1, 3, SIZE[0], 26)  # noise on the left
    observed = torch.ones(1, 1, *SIZE)
    observed[..., :16, 26:] = observed[..., 42:, 26:] = 0
    found = in_view(view_of(triangle(left=30), image=image, observed=observed))
    assert found.any()
    assert not found[..., :26].any()


def test_a_hole_without_room_of_its_size_is_practiced_smaller():
    observed = torch.zeros(1, 1, *SIZE)
    observed[..., 20:36, 60:90] = 1  # too low for a hole of its size with a margin
    observed[..., 18:40, 20:52] = 1
    hole = triangle(left=30)
    found = in_view(view_of(hole, observed=observed))
    assert 0 < found.sum() < 0.7 * hole.sum()


def test_a_hole_that_fits_only_mirrored_is_mirrored():
    hole = triangle()
    other = hole[..., 20:35, 30:45].flip(3)
    observed = torch.zeros(1, 1, *SIZE)
    observed[..., 15:40, 25:50] = 1
    room = torch.zeros(1, 1, *SIZE)
    room[..., 20:35, 65:80] = other
    observed = torch.maximum(observed, dilate(room, MARGIN_PX))
    found = in_view(view_of(hole, observed=observed))
    assert torch.equal(found, room)


def test_no_room_is_no_practice():
    observed = torch.zeros(1, 1, *SIZE)
    observed[..., 18:40, 27:48] = 1
    assert practice_hole(view_of(triangle(), observed=observed)) is None


@pytest.mark.parametrize("limit", [1, 2])
def test_views_with_the_largest_holes_practice_first_and_only_so_many(monkeypatch, limit):
    monkeypatch.setattr(practice_holes, "MAX_HOLES", limit)
    views = [view_of(triangle(side=side)) for side in (8, 12, 10)] + [view_of(torch.zeros(1, 1, *SIZE))]
    found = list(practice_holes.practice_holes(views))
    assert [each.view for each in found] == [views[1], views[2]][:limit]


def test_a_hole_that_would_overlap_another_thing_is_practiced_smaller():
    """Around the hole all is gray. Beside it there is room for the whole hole only across the edge of something red."""
    image = torch.full((1, 3, *SIZE), 0.5)
    image[:, :, :, 60:] = torch.tensor([0.9, 0.1, 0.1])[:, None, None]
    hole, observed = torch.zeros(1, 1, *SIZE), torch.zeros(1, 1, *SIZE)
    hole[..., 20:35, 30:45] = observed[..., 15:40, 28:88] = 1
    found = in_view(view_of(hole, image=image, observed=observed))
    assert 0 < found.sum() < hole.sum()
    assert not found[..., 60:].any()
