import torch

from splatpaint.fill.targets import matches_at_boundary, worth_as_first
from splatpaint.fill.views import ObservedView
from splatpaint.priors.protocol import PriorQuery, Reference
from splatpaint.scene.camera import Cameras


def holed() -> PriorQuery:
    holes = torch.zeros(1, 1, 40, 50)
    holes[..., 12:28, 15:35] = 1
    return PriorQuery(images=torch.full((1, 3, 40, 50), 0.5), holes=holes)


def matches(query: PriorQuery, warped: Reference) -> bool:
    return matches_at_boundary(query, warped, 8)


def test_a_view_matches_if_it_shows_what_is_around_the_hole_as_the_picture_does():
    query = holed()
    warped = Reference(torch.full((1, 3, 40, 50), 0.55), torch.zeros(1, 1, 40, 50))
    assert matches(query, warped)
    warped.images[..., 12:28, 15:35] = 0.9
    assert matches(query, warped), "what it shows in the hole is what is wanted of it"


def test_a_view_of_another_surface_does_not_match():
    assert not matches(holed(), Reference(torch.full((1, 3, 40, 50), 0.9), torch.zeros(1, 1, 40, 50)))


def test_a_view_that_shows_the_hole_alone_does_not_match():
    query = holed()
    assert not matches(query, Reference(query.images, 1 - query.holes))


def test_a_quarter_of_what_is_around_is_enough():
    query = holed()
    unknown = torch.zeros(1, 1, 40, 50)
    unknown[..., 20:, :] = 1
    assert matches(query, Reference(query.images, unknown))
    unknown[..., 6:, :] = 1
    assert not matches(query, Reference(query.images, unknown))


def square(side: int, top: int = 10, covered: int = 0) -> ObservedView:
    """A view with a square hole in a square object, which is by so much larger on each side."""
    hole, seen = torch.zeros(1, 1, 100, 100), torch.ones(1, 1, 100, 100)
    hole[..., top : top + side, 10 : 10 + side] = 1
    seen[..., max(top - covered, 0) : top + side + covered, 10 - covered : 10 + side + covered] = 0
    camera = Cameras(K=torch.eye(3)[None], cam_from_world=torch.eye(4)[None], width=100, height=100)
    nothing = torch.zeros_like(hole)
    image = torch.zeros(1, 3, 100, 100)
    return ObservedView.of(camera, image, depth=nothing, alpha=nothing, observed=seen, unobserved=hole, support_removed=nothing)


def test_the_first_has_a_large_hole_with_more_around_it():
    assert worth_as_first(square(40)) > worth_as_first(square(30)), "the larger of small ones"
    assert worth_as_first(square(55)) > worth_as_first(square(75)), "not one that leaves little to copy"
    assert worth_as_first(square(40)) > worth_as_first(square(40, top=0)), "not one that the frame cuts"
    assert worth_as_first(square(40)) > worth_as_first(square(45, covered=8)), "not one where the object hides what is around"


def test_among_views_that_are_no_photos_the_first_is_the_one_with_the_larger_hole():
    drawn = [square(side).with_maps(observed=torch.zeros(1, 1, 100, 100)) for side in (30, 40)]
    assert 0 < worth_as_first(drawn[0]) < worth_as_first(drawn[1]) < worth_as_first(square(30))
