from dataclasses import replace

import torch

from splatpaint.fill.targets import fits, worth_of_anchor
from splatpaint.fill.views import ObservedView
from splatpaint.priors.protocol import PriorQuery, Reference
from splatpaint.scene.camera import Cameras


def holed() -> PriorQuery:
    holes = torch.zeros(1, 1, 40, 50)
    holes[..., 12:28, 15:35] = 1
    return PriorQuery(images=torch.full((1, 3, 40, 50), 0.5), holes=holes)


def test_a_view_lends_if_it_shows_what_is_around_the_hole_as_the_picture_does():
    query = holed()
    warped = Reference(torch.full((1, 3, 40, 50), 0.55), torch.zeros(1, 1, 40, 50))
    assert fits(query, warped)
    warped.images[..., 12:28, 15:35] = 0.9
    assert fits(query, warped), "what it shows in the hole is what is wanted of it"


def test_a_view_of_another_surface_does_not_lend():
    assert not fits(holed(), Reference(torch.full((1, 3, 40, 50), 0.9), torch.zeros(1, 1, 40, 50)))


def test_a_view_that_shows_the_hole_alone_does_not_lend():
    query = holed()
    assert not fits(query, Reference(query.images, 1 - query.holes))


def test_a_quarter_of_what_is_around_is_enough():
    query = holed()
    unknown = torch.zeros(1, 1, 40, 50)
    unknown[..., 20:, :] = 1
    assert fits(query, Reference(query.images, unknown))
    unknown[..., 6:, :] = 1
    assert not fits(query, Reference(query.images, unknown))


def square(side: int, top: int = 10, covered: int = 0) -> ObservedView:
    """A view with a square hole in a square object, which is by so much larger on each side."""
    hole, seen = torch.zeros(1, 1, 100, 100), torch.ones(1, 1, 100, 100)
    hole[..., top : top + side, 10 : 10 + side] = 1
    seen[..., max(top - covered, 0) : top + side + covered, 10 - covered : 10 + side + covered] = 0
    camera = Cameras(K=torch.eye(3)[None], cam_from_world=torch.eye(4)[None], width=100, height=100)
    nothing = torch.zeros_like(hole)
    return ObservedView(camera, torch.zeros(1, 3, 100, 100), seen, hole, nothing, nothing, nothing)


def test_the_anchor_has_a_large_hole_with_more_around_it():
    assert worth_of_anchor(square(40)) > worth_of_anchor(square(30)), "the larger of small ones"
    assert worth_of_anchor(square(55)) > worth_of_anchor(square(75)), "not one that leaves little to copy"
    assert worth_of_anchor(square(40)) > worth_of_anchor(square(40, top=0)), "not one that the frame cuts"
    assert worth_of_anchor(square(40)) > worth_of_anchor(square(45, covered=8)), "not one where the object hides what is around"


def test_among_views_that_are_no_photos_the_anchor_is_the_one_with_the_larger_hole():
    drawn = [replace(square(side), seen=torch.zeros(1, 1, 100, 100)) for side in (30, 40)]
    assert 0 < worth_of_anchor(drawn[0]) < worth_of_anchor(drawn[1]) < worth_of_anchor(square(30))
