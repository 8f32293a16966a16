import pytest
import torch

from splatpaint.fill.references import ReferenceView, nearest_first, reference_for, warped_for
from splatpaint.scene.camera import Cameras

SIZE = 48
DEPTH = 4.0


def camera_at(x: float, z: float = 0.0) -> Cameras:
    K = torch.tensor([[[40.0, 0.0, SIZE / 2], [0.0, 40.0, SIZE / 2], [0.0, 0.0, 1.0]]])
    pose = torch.eye(4)[None].clone()
    pose[0, 0, 3], pose[0, 2, 3] = -x, -z
    return Cameras(K=K, cam_from_world=pose, width=SIZE, height=SIZE)


def wall_from(x: float, z: float = 0.0) -> ReferenceView:
    """The plane z = 4, whose color is where one looks."""
    camera = camera_at(x, z)
    depth = torch.full((1, 1, SIZE, SIZE), DEPTH - z)
    points = camera.unproject(depth)[0]
    image = torch.stack([points[..., 0], points[..., 1], torch.zeros_like(points[..., 0])])[None] / 8 + 0.5
    return ReferenceView(camera, image, depth, torch.ones_like(depth))


def middle() -> torch.Tensor:
    hole = torch.zeros(1, 1, SIZE, SIZE)
    hole[..., 18:30, 18:30] = 1
    return hole


def test_the_reference_shows_the_same_place_at_the_same_pixels():
    target = wall_from(0.0)
    found = reference_for(target, middle(), [wall_from(0.5, 1.0)])
    assert found is not None
    around = (found.unknown == 0) & (torch.nn.functional.max_pool2d(middle(), 9, 1, 4) > 0)
    assert around.sum() > 300
    assert (found.images - target.image).abs().max(dim=1, keepdim=True).values[around].max() < 0.02


def test_the_view_that_shows_most_of_the_hole_is_chosen_though_another_is_nearer():
    near, far = wall_from(0.1), wall_from(1.0)
    near.known[middle() > 0] = 0  # it lacks the same place
    found = reference_for(wall_from(0.0), middle(), [near, far])
    alone = reference_for(wall_from(0.0), middle(), [far])
    assert found is not None
    assert alone is not None
    assert torch.equal(found.images, alone.images)


def test_a_view_that_sees_something_else_before_the_hole_is_no_reference():
    hidden = wall_from(0.3)
    hidden.depth[:] = 2.0
    assert reference_for(wall_from(0.0), middle(), [hidden]) is None
    assert reference_for(wall_from(0.0), middle(), []) is None


def test_what_the_reference_does_not_show_is_unknown():
    found = reference_for(wall_from(0.0), middle(), [wall_from(1.2)])
    assert found is not None
    assert found.unknown[..., :4].all(), "left of the other view's frame"
    assert not found.unknown[..., 18:30, 18:30].any()


def test_views_take_their_turn_from_the_largest_hole_outward():
    cameras = [camera_at(x) for x in (0.0, 1.0, 2.0, 3.0, 10.0)]
    assert nearest_first(cameras, [1.0, 1.0, 5.0, 1.0, 1.0]) in ([2, 1, 0, 3, 4], [2, 1, 3, 0, 4], [2, 3, 1, 0, 4])


@pytest.mark.gpu
def test_references_are_found_on_a_gpu():
    def on_gpu(shown: ReferenceView) -> ReferenceView:
        return ReferenceView(shown.camera.to("cuda"), *(each.cuda() for each in (shown.image, shown.depth, shown.known)))

    found = reference_for(on_gpu(wall_from(0.0)), middle().cuda(), [on_gpu(wall_from(0.5, 1.0))])
    expected = reference_for(wall_from(0.0), middle(), [wall_from(0.5, 1.0)])
    assert found is not None
    assert expected is not None
    torch.testing.assert_close(found.images.cpu(), expected.images, atol=1e-3, rtol=0)


def test_a_warped_view_shows_every_point_at_its_own_pixel():
    """A wall that leans: no affine map would do."""
    target, other = leaning_from(0.0), leaning_from(0.3, 1.2)
    found = warped_for(target, middle(), [other])
    assert found is not None
    told = (found.unknown == 0).expand_as(found.images)
    assert told[..., 18:30, 18:30].all()
    assert (found.images - target.image).abs()[told].max() < 0.01
    flat = reference_for(target, middle(), [other])
    assert flat is not None
    assert (flat.images - target.image).abs()[told].max() > 0.03


def test_what_a_warped_view_does_not_see_or_know_is_unknown():
    other = wall_from(1.2)
    other.known[..., :8] = 0
    other.depth[..., 16:] = 1.0
    found = warped_for(wall_from(0.0), middle(), [other])
    assert found is not None
    seen = torch.zeros(SIZE, dtype=torch.bool)
    seen[8 + 12 : 16 + 12] = True  # what is at x there is 12 pixels to the right here
    assert torch.equal(found.unknown[0, 0, 24] == 0, seen)


def test_of_views_that_show_as_much_the_first_is_taken():
    first, second = wall_from(0.2), wall_from(-0.2)
    first.image[:] = 0.25
    found = reference_for(wall_from(0.0), middle(), [first, second])
    assert found is not None
    torch.testing.assert_close(found.images, torch.full_like(found.images, 0.25))


def leaning_from(x: float, z: float = 0.0) -> ReferenceView:
    """The plane z = 4 + 0.8 x, seen from a place; its color says where one looks."""
    camera = camera_at(x, z)
    rows, columns = torch.meshgrid(*(torch.arange(SIZE) + 0.5 - SIZE / 2,) * 2, indexing="ij")
    depth = ((DEPTH + 0.8 * x - z) / (1 - 0.8 * columns / 40))[None, None]
    points = camera.unproject(depth)[0]
    image = torch.stack([points[..., 0], points[..., 1], torch.zeros_like(rows)])[None] / 16 + 0.5
    return ReferenceView(camera, image, depth, torch.ones_like(depth))
