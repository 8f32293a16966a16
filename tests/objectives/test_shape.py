import torch

from splatpaint.objectives.shape import Shape, ShapeConfig, bending
from tests.support.scenes import one_camera, splat_at
from tests.support.steps import step_of


def plane_depth(slope: float) -> torch.Tensor:
    """z-depth of the plane z = 2 + slope * x."""
    rays = one_camera().rays()[0]
    return (2 / (1 - slope * rays[..., 0]))[None, None]


def test_planes_do_not_bend_however_they_are_seen():
    everywhere = torch.ones(1, 1, 25, 33)
    for slope in (0.0, 0.5, -1.0):
        assert bending(plane_depth(slope), everywhere) < 1e-5


def test_an_edge_bends():
    depth = torch.minimum(plane_depth(0.8), plane_depth(-0.8))
    assert bending(depth, torch.ones_like(depth)) > 1e-3


def test_unknown_depth_and_known_pixels_do_not_count():
    depth = plane_depth(0.0)
    depth[..., 10, 10] = 0
    depth[..., 0:3, 0:3] = 9.0
    holes = torch.ones_like(depth)
    holes[..., 0:5, 0:5] = 0
    assert bending(depth, holes) < 1e-5


def test_coverage_is_the_missing_opacity_in_the_hole():
    picture = torch.rand(1, 3, 25, 33)
    holes = torch.zeros(1, 1, 25, 33)
    holes[..., :10, :] = 1
    given = step_of(picture, picture, holes=holes, alpha=torch.full_like(holes, 0.25))
    losses = Shape(ShapeConfig(coverage=2.0))(given)
    torch.testing.assert_close(losses["coverage"], torch.tensor(1.5))


def test_needles_cost_and_discs_do_not():
    picture = torch.rand(1, 3, 25, 33)
    disc, needle = splat_at((0.0, 0.0, 1.0)), splat_at((0.0, 0.0, 1.0))
    disc.log_scales[:] = torch.tensor([[0.1, 0.1, 0.001]]).log()
    needle.log_scales[:] = torch.tensor([[0.1, 0.01, 0.01]]).log()
    shape = Shape(ShapeConfig(anisotropy=1.0, max_anisotropy=4.0))
    assert shape(step_of(picture, picture, splats=disc))["anisotropy"] == 0
    torch.testing.assert_close(shape(step_of(picture, picture, splats=needle))["anisotropy"], torch.tensor(6.0))
