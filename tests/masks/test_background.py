import torch

from splatpaint.masks.background import extrapolate_depth, on_background
from splatpaint.masks.lift import MaskedView
from tests.support.scenes import one_camera, splat_at


def wall_behind_a_box():
    """A wall at depth 3 and a box at depth 2 under the mask."""
    camera = one_camera()
    depth = torch.full((1, 1, camera.height, camera.width), 3.0)
    mask = torch.zeros_like(depth)
    mask[..., 8:17, 10:23] = 1
    depth[..., 10:15, 12:21] = 2.0
    return MaskedView(camera, mask.bool(), mask.bool(), torch.ones_like(mask).bool()), depth


def test_splats_on_or_behind_the_surrounding_surface_are_background():
    splats = splat_at((0.0, 0.0, 2.0), (0.0, 0.0, 3.0), (0.0, 0.0, 2.95), (0.0, 0.0, 4.0))
    assert on_background(splats, [wall_behind_a_box()]).tolist() == [False, True, True, True]


def test_splats_outside_every_mask_are_not_called_background():
    splats = splat_at((1.0, 0.0, 3.0), (0.0, 0.0, -3.0))
    assert not on_background(splats, [wall_behind_a_box()]).any()


def test_an_object_that_the_mask_misses_a_strip_of_is_no_background():
    masked, depth = wall_behind_a_box()
    short = masked.mask.clone()
    short[..., :12, :] = False
    top_of_the_box = splat_at((0.0, 0.1, 2.0))
    missed = MaskedView(masked.camera, short, short, masked.usable)
    assert on_background(top_of_the_box, [(missed, depth)], tolerance=0.2).all(), "the strip passes for the surface around"
    allowed_for = MaskedView(masked.camera, short, masked.mask, masked.usable)
    assert not on_background(top_of_the_box, [(allowed_for, depth)], tolerance=0.2).any()


def test_depth_is_continued_over_planes_and_unknown_pixels():
    masked, _ = wall_behind_a_box()
    mask = masked.mask.float()
    rays = masked.camera.rays()[0]
    truth = (3 / (1 - 0.4 * rays[..., 1]))[None, None]
    holed = truth * (1 - mask) + 9 * mask
    holed[..., 20:22, 4:6] = 0
    torch.testing.assert_close(extrapolate_depth(holed, mask), truth, rtol=2e-3, atol=0)
    assert extrapolate_depth(truth, torch.ones_like(mask)).abs().max() == 0


def test_a_hint_shapes_the_hole_and_makes_no_step_at_its_boundary():
    rows = torch.linspace(0.5, 1.0, 32).view(1, 1, 1, 32).expand(1, 1, 32, 32)
    bump = torch.zeros(1, 1, 32, 32)
    bump[..., 12:20, 12:20] = 0.5
    truth, mask = 1 / (rows + bump), torch.zeros(1, 1, 32, 32)
    mask[..., 8:24, 8:24] = 1
    hint = rows + bump + 0.2  # right up to what varies slowly
    torch.testing.assert_close(extrapolate_depth(truth * (1 - mask), mask, hint), truth, rtol=2e-3, atol=0)
    assert (extrapolate_depth(truth * (1 - mask), mask) - truth).abs().max() > 0.2
