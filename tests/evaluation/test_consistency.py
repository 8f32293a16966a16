import math
from dataclasses import replace

import pytest
import torch
from torch import Tensor

from splatpaint.evaluation.consistency import RenderedHole, consistency, warp_view
from splatpaint.scene.camera import Cameras

SIDE = 48
PLANE_Z = 2.0


def view_of_plane(x: float) -> RenderedHole:
    """A smoothly textured plane at z = 2 seen from (x, 0, 0), with a hole in the middle."""
    K = torch.tensor([[[SIDE, 0.0, SIDE / 2], [0.0, SIDE, SIDE / 2], [0.0, 0.0, 1.0]]])
    pose = torch.eye(4)[None].clone()
    pose[0, 0, 3] = -x
    camera = Cameras(K=K, cam_from_world=pose, width=SIDE, height=SIDE)
    depth = torch.full((1, 1, SIDE, SIDE), PLANE_Z)
    points = camera.unproject(depth)[0]
    color = torch.stack([points[..., 0].sin(), points[..., 1].cos(), (points[..., 0] + points[..., 1]).cos()])
    hole = torch.zeros(1, 1, SIDE, SIDE)
    hole[..., 12:36, 12:36] = 1
    return RenderedHole(camera, (0.5 + 0.4 * color)[None], depth, hole)


def views() -> list[RenderedHole]:
    return [view_of_plane(0.1 * index) for index in range(4)]


def with_noise(view: RenderedHole, strength: float) -> RenderedHole:
    noise = torch.randn(1, 3, SIDE, SIDE, generator=torch.Generator().manual_seed(0)) * view.hole
    return replace(view, color=view.color + strength * noise)


def psnr(seen: list[RenderedHole]) -> float:
    return consistency(seen)["psnr/consistency"]


def test_one_plane_seen_from_everywhere_is_consistent():
    assert psnr(views()) > 50


def test_a_fill_that_differs_in_one_view_is_less_consistent_the_more_it_differs():
    plain = views()
    mild = [with_noise(plain[0], 0.05), *plain[1:]]
    strong = [with_noise(plain[0], 0.2), *plain[1:]]
    assert psnr(plain) > psnr(mild) > psnr(strong)


def test_only_the_hole_counts():
    """Except for the mean brightness around it."""
    checks = 0.2 * (-1.0) ** (torch.arange(SIDE)[:, None] + torch.arange(SIDE))
    plain = views()[0]
    spoiled = replace(views()[1], color=torch.where(plain.hole > 0, views()[1].color, views()[1].color + checks))
    inner = torch.zeros_like(plain.hole)
    inner[..., 20:28, 20:28] = 1
    assert psnr([replace(plain, hole=inner), replace(spoiled, hole=inner)]) > 45


def test_another_exposure_is_no_disagreement():
    one, other = views()[:2]
    assert psnr([one, replace(other, color=0.7 * other.color)]) > 50


def test_another_brightness_of_the_fill_alone_is_one():
    one, other = views()[:2]
    dimmed = replace(other, color=torch.where(other.hole > 0, 0.7 * other.color, other.color))
    assert psnr([one, dimmed]) < 30


def test_a_fill_of_chaotic_depth_is_judged_by_all_its_points():
    """Its colors agree only where its depths happen to."""
    plain = views()[:2]
    noise = torch.rand(1, 1, SIDE, SIDE, generator=torch.Generator().manual_seed(0))
    chaotic = [replace(view, depth=torch.where(view.hole > 0, PLANE_Z * (0.5 + noise), view.depth)) for view in plain]
    assert consistency(plain)["depth/consistency"] == 1
    measured = consistency(chaotic)
    assert measured["depth/consistency"] < 0.2
    assert measured["psnr/consistency"] < psnr(plain) - 10


def test_what_the_neighbor_does_not_see_is_not_compared():
    one, other = views()[:2]
    elsewhere = torch.zeros_like(other.hole)
    occluded = replace(other, depth=torch.full_like(other.depth, 1.0), hole=elsewhere)
    assert warp_view(occluded, one).depth_agrees.sum() == 0
    assert consistency([one, occluded]) == {}
    assert warp_view(view_of_plane(3.0), one).depth_agrees.sum() == 0, "out of the frame"
    empty = replace(one, depth=torch.zeros_like(one.depth))
    assert warp_view(other, empty).depth_agrees.sum() == 0


def test_views_without_a_common_hole_have_no_consistency():
    assert consistency([replace(view, hole=torch.zeros_like(view.hole)) for view in views()]) == {}


def test_pictures_are_carried_by_parallax():
    one, other = views()[:2]
    warped = warp_view(other, one)
    inner = warped.depth_agrees * one.hole
    error: Tensor = (warped.color - one.color).abs().amax(dim=1, keepdim=True) * inner
    assert error.max() < 0.01
    assert (other.color - one.color)[:, :, 12:36, 12:36].abs().max() > 0.03
    assert inner.sum() == pytest.approx(24 * 24)
    assert math.isfinite(float(warped.color.sum()))
