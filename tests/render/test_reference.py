"""The specification itself: closed forms, conventions, and gradients against finite differences."""

from dataclasses import replace
from math import exp, pi, sqrt

import pytest
import torch

from splatpaint.render import reference
from splatpaint.render.protocol import ALPHA_MAX, ALPHA_MIN, BLUR_PX, NEAR
from splatpaint.scene.camera import Cameras
from splatpaint.scene.harmonics import colors_seen_from
from splatpaint.scene.rotation import matrices_from_quats
from splatpaint.scene.splats import SH_C0, Splats, concatenate
from tests.support.scenes import cloud, one_camera, orbit, splat_at, tuned_for_gradcheck

MIDDLE = (12, 16)  # row and column of the pixel that the optical axis of `one_camera()` hits


def test_one_round_splat_has_the_projected_gaussian_as_alpha():
    scale, z, opacity = 0.2, 4.0, 0.7
    rendered = reference.rasterize(splat_at((0.0, 0.0, z), scale=scale, opacity=opacity), one_camera(focal=40.0))
    variance = (40.0 * scale / z) ** 2 + BLUR_PX
    row, column = MIDDLE
    for d in range(5):
        expected = opacity * exp(-(d**2) / (2 * variance))
        assert rendered.alpha[0, 0, row, column + d].item() == pytest.approx(expected, abs=1e-6)
        assert rendered.alpha[0, 0, row - d, column].item() == pytest.approx(expected, abs=1e-6)


def test_color_is_the_splats_color_times_alpha():
    color = (0.8, 0.4, 0.2)
    rendered = reference.rasterize(splat_at((0.1, 0.0, 3.0), color=color), one_camera())
    torch.testing.assert_close(rendered.color, rendered.alpha * torch.tensor(color)[:, None, None])


def test_an_alpha_that_no_8_bit_image_shows_is_exactly_zero():
    scale, z, opacity = 0.2, 4.0, 0.7
    alpha = reference.rasterize(splat_at((0.0, 0.0, z), scale=scale, opacity=opacity), one_camera()).alpha[0, 0]
    variance = (40.0 * scale / z) ** 2 + BLUR_PX
    reach = sqrt(2 * variance * torch.log(torch.tensor(opacity / ALPHA_MIN)).item())
    columns = torch.arange(33) - MIDDLE[1]
    assert torch.equal(alpha[MIDDLE[0]] > 0, columns.abs() < reach)
    assert alpha[alpha > 0].min() >= ALPHA_MIN - 1e-7


def test_a_splat_of_too_little_opacity_is_not_drawn():
    splats = splat_at((0.0, 0.0, 3.0), opacity=0.9 * ALPHA_MIN)
    rendered = reference.rasterize(splats, one_camera())
    assert rendered.radii.item() == 0
    assert not rendered.alpha.any()


def test_the_radius_bounds_exactly_the_pixels_that_are_touched():
    splats = concatenate([splat_at((0.0, 0.0, 4.0), scale=0.15, opacity=o) for o in (0.02, 0.3, 0.999)])
    camera = one_camera(width=65, height=65)
    for index in range(3):
        rendered = reference.rasterize(splats[index : index + 1], camera)
        touched = torch.nonzero(rendered.alpha[0, 0]) - 32
        radius = rendered.radii.item()
        assert radius - 1 <= touched.abs().max().item() <= radius


def test_two_splats_composite_front_to_back():
    front = splat_at((0.0, 0.0, 2.0), opacity=0.6, color=(1.0, 0.0, 0.0))
    back = splat_at((0.0, 0.0, 5.0), opacity=0.8, color=(0.0, 1.0, 0.0))
    rendered = reference.rasterize(concatenate([back, front]), one_camera())
    pixel = (0, slice(None), *MIDDLE)
    torch.testing.assert_close(rendered.color[pixel], torch.tensor([0.6, 0.4 * 0.8, 0.0]))
    torch.testing.assert_close(rendered.alpha[pixel], torch.tensor([1 - 0.4 * 0.2]))
    torch.testing.assert_close(rendered.depth[pixel], torch.tensor([0.92 / (0.6 / 2 + 0.32 / 5)]))


def test_equal_depths_composite_in_the_order_of_the_splats():
    red = splat_at((0.0, 0.0, 2.0), opacity=0.6, color=(1.0, 0.0, 0.0))
    green = splat_at((0.0, 0.0, 2.0), opacity=0.6, color=(0.0, 1.0, 0.0))
    first = reference.rasterize(concatenate([red, green]), one_camera()).color[0, :, MIDDLE[0], MIDDLE[1]]
    torch.testing.assert_close(first, torch.tensor([0.6, 0.24, 0.0]))
    second = reference.rasterize(concatenate([green, red]), one_camera()).color[0, :, MIDDLE[0], MIDDLE[1]]
    torch.testing.assert_close(second, torch.tensor([0.24, 0.6, 0.0]))


def test_nothing_behind_an_opaque_splat_is_painted():
    front = splat_at((0.0, 0.0, 2.0), opacity=1 - 1e-6, color=(1.0, 0.0, 0.0))
    back = splat_at((0.0, 0.0, 5.0), opacity=1 - 1e-6, color=(0.0, 1.0, 0.0))
    rendered = reference.rasterize(concatenate([front, back]), one_camera())
    # 1 - ALPHA_MAX is left; the second splat would bring it to 1e-6 and is left out as a whole.
    pixel = (0, slice(None), *MIDDLE)
    torch.testing.assert_close(rendered.color[pixel], torch.tensor([ALPHA_MAX, 0.0, 0.0]))
    torch.testing.assert_close(rendered.depth[pixel], torch.tensor([2.0]))


def test_the_near_plane_cuts_by_z_depth():
    for z, drawn in ((NEAR * 0.99, False), (NEAR * 1.01, True), (-3.0, False), (0.0, False)):
        rendered = reference.rasterize(splat_at((0.0, 0.0, z), scale=1e-4), one_camera())
        assert (rendered.radii.item() > 0) == drawn
        assert bool(rendered.alpha.any()) == drawn


def test_gradients_stay_finite_when_a_splat_lies_in_the_camera():
    splats = splat_at((0.0, 0.0, 0.0), (0.0, 0.0, 3.0))
    splats.means.requires_grad_()
    reference.rasterize(splats, one_camera()).color.sum().backward()
    assert splats.means.grad is not None
    assert splats.means.grad.isfinite().all()
    assert not splats.means.grad[0].any()


def test_x_points_right_and_y_points_down():
    splats = splat_at((0.5, 0.0, 3.0), (0.0, 0.5, 3.0))
    camera = one_camera()
    for index, (row, column) in enumerate([(12, 16 + 40 * 0.5 / 3), (12 + 40 * 0.5 / 3, 16)]):
        alpha = reference.rasterize(splats[index : index + 1], camera).alpha[0, 0]
        peak = torch.nonzero(alpha == alpha.max())[0]
        assert abs(peak[0].item() - row) <= 0.5
        assert abs(peak[1].item() - column) <= 0.5


def test_means2d_are_the_projections_of_the_centers():
    splats, cameras = cloud(20, spread=0.5), orbit(3)
    pixels, depths = cameras.project(splats.means)
    assert (depths > NEAR).all()
    torch.testing.assert_close(reference.rasterize(splats, cameras).means2d, pixels, rtol=1e-4, atol=1e-4)


def test_a_quarter_turn_about_the_axis_transposes_the_image():
    camera = one_camera(width=31, height=31)
    lying = replace(splat_at((0.0, 0.0, 3.0)), log_scales=torch.tensor([[0.3, 0.05, 0.1]]).log())
    standing = replace(lying, quats=torch.tensor([[sqrt(0.5), 0.0, 0.0, sqrt(0.5)]]))
    a, b = (reference.rasterize(splats, camera).alpha[0, 0] for splats in (lying, standing))
    assert a[15].sum() > 2 * a[:, 15].sum()
    torch.testing.assert_close(a, b.T)


def test_a_tilted_splat_has_the_tilted_covariance():
    angle = pi / 6
    quat = torch.tensor([[torch.cos(torch.tensor(angle / 2)), 0.0, 0.0, torch.sin(torch.tensor(angle / 2))]])
    splats = replace(splat_at((0.0, 0.0, 2.0)), quats=quat, log_scales=torch.tensor([[0.3, 0.1, 0.2]]).log())
    conic = reference.project(splats, one_camera(focal=40.0)).conics[0, 0]
    rotation = matrices_from_quats(quat)[0, :2, :2]
    covariance = rotation @ torch.diag(torch.tensor([0.3, 0.1]) * 40.0 / 2.0).square() @ rotation.T + BLUR_PX * torch.eye(2)
    inverse = covariance.inverse()
    torch.testing.assert_close(conic, torch.stack([inverse[0, 0], inverse[0, 1], inverse[1, 1]]))
    assert conic[1] < 0  # the long axis leads from x to y: right and down


def test_rgb_is_clamped_at_zero_and_latents_are_not():
    sh = torch.full((1, 1, 3), -2.0)
    rgb = replace(splat_at((0.0, 0.0, 3.0)), sh=sh)
    assert not reference.rasterize(rgb, one_camera()).color.any()
    rendered = reference.rasterize(replace(rgb, sh=torch.full((1, 1, 4), -2.0), space="latent"), one_camera())
    torch.testing.assert_close(rendered.color, -2 * SH_C0 * rendered.alpha.expand(-1, 4, -1, -1))


def test_view_dependent_color_is_taken_from_the_camera_to_the_center():
    splats = replace(splat_at((0.0, 0.0, 0.0), scale=0.3), sh=0.3 * torch.randn(1, 16, 3))
    cameras = orbit(4, width=33, height=25)
    rendered = reference.rasterize(splats, cameras)
    colors = colors_seen_from(splats, cameras.centers)[:, 0]
    torch.testing.assert_close(rendered.color, rendered.alpha * colors[:, :, None, None])
    assert colors.std(dim=0).max() > 0.05


def test_without_splats_there_is_only_background():
    rendered = reference.rasterize(cloud(0), orbit(2), background=torch.tensor([0.1, 0.2, 0.3]))
    assert torch.equal(rendered.color, torch.tensor([0.1, 0.2, 0.3])[:, None, None].expand(2, 3, 24, 32))
    assert not rendered.alpha.any()
    assert not rendered.depth.any()
    assert rendered.means2d.shape == (2, 0, 2)


def test_rendering_a_few_rows_at_a_time_changes_nothing(monkeypatch: pytest.MonkeyPatch):
    splats, cameras = cloud(40), orbit(2)
    whole = reference.rasterize(splats, cameras)
    monkeypatch.setattr(reference, "CHUNK", 5 * 32 * 40)
    parts = reference.rasterize(splats, cameras)
    torch.testing.assert_close(parts.color, whole.color, rtol=0, atol=1e-6)
    torch.testing.assert_close(parts.depth, whole.depth, rtol=0, atol=1e-5)


def test_the_screen_space_gradient_is_the_world_gradient_over_the_focal_length():
    z, focal = 3.0, 40.0
    splats = splat_at((0.0, 0.0, z), scale=0.3)
    splats.means.requires_grad_()
    rendered = reference.rasterize(splats, one_camera(focal=focal))
    rendered.means2d.retain_grad()
    ramp = torch.linspace(0, 1, 33) + torch.linspace(0, 2, 25)[:, None]
    (rendered.alpha * ramp).sum().backward()
    assert rendered.means2d.grad is not None
    assert splats.means.grad is not None
    # On the optical axis, sideways motion moves the footprint without changing its shape (to first order).
    torch.testing.assert_close(splats.means.grad[0, :2], rendered.means2d.grad[0, 0] * focal / z)
    assert (rendered.means2d.grad > 0).all()


@pytest.mark.parametrize("degree", [0, 1, 3])
def test_color_has_the_gradient_of_finite_differences(degree: int):
    splats, cameras = tuned_for_gradcheck(degree=degree)
    background = torch.tensor([0.1, 0.5, 0.9], dtype=torch.float64)
    inputs = [tensor.requires_grad_() for tensor in (*splats.tensors().values(), background)]

    def color(*tensors: torch.Tensor) -> torch.Tensor:
        return reference.rasterize(Splats(*tensors[:-1]), cameras, background=tensors[-1]).color

    assert torch.autograd.gradcheck(color, inputs, fast_mode=True)


@pytest.mark.parametrize("output", ["alpha", "depth", "means2d"])
def test_alpha_depth_and_means2d_have_the_gradient_of_finite_differences(output: str):
    splats, cameras = tuned_for_gradcheck()
    inputs = [tensor.requires_grad_() for name, tensor in splats.tensors().items() if name != "sh"]

    def layer(*tensors: torch.Tensor) -> torch.Tensor:
        return getattr(reference.rasterize(Splats(*tensors, sh=splats.sh), cameras), output)

    assert torch.autograd.gradcheck(layer, inputs, fast_mode=True)


def test_features_have_the_gradient_of_finite_differences():
    splats, cameras = tuned_for_gradcheck()
    features = torch.randn(3, 5, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(lambda f: reference.rasterize(splats, cameras, features=f).color, features, fast_mode=True)


def test_the_camera_pose_has_the_gradient_of_finite_differences():
    splats, cameras = tuned_for_gradcheck(degree=1)
    pose = cameras.cam_from_world.clone().requires_grad_()

    def color(pose: torch.Tensor) -> torch.Tensor:
        return reference.rasterize(splats, replace(cameras, cam_from_world=pose)).color

    assert torch.autograd.gradcheck(color, pose, fast_mode=True)


def test_projection_agrees_with_gsplats():
    from gsplat.cuda._torch_impl import _fully_fused_projection, _quat_scale_to_covar_preci

    splats = cloud(300, spread=3.0, seed=1).to(torch.float64)  # many outside the frustum, where the slope is clamped
    cameras = orbit(3).to(torch.float64)
    covariances, _ = _quat_scale_to_covar_preci(splats.quats, splats.scales)
    radii, means2d, depths, conics, _ = _fully_fused_projection(
        splats.means, covariances, cameras.cam_from_world, cameras.K, cameras.width, cameras.height
    )
    ours = reference.project(splats, cameras)
    drawn = ours.radii > 0
    assert 100 < drawn.sum() < drawn.numel() - 100
    assert (radii.amax(dim=-1) >= ours.radii).all()  # gsplat's torch twin knows no opacity-aware radius
    torch.testing.assert_close(ours.means2d[drawn], means2d[drawn])
    torch.testing.assert_close(ours.conics[drawn], conics[drawn])
    torch.testing.assert_close(ours.depths, depths)


def test_the_principal_point_shifts_the_image():
    splats, camera = cloud(30, spread=0.4), one_camera()
    splats = replace(splats, means=splats.means + torch.tensor([0.0, 0.0, 4.0]))
    shifted = Cameras(
        K=camera.K + torch.tensor([[0.0, 0.0, 3.0], [0.0, 0.0, 2.0], [0.0, 0.0, 0.0]]),
        cam_from_world=camera.cam_from_world,
        width=33,
        height=25,
    )
    here = reference.rasterize(splats, camera).color
    there = reference.rasterize(splats, shifted).color
    torch.testing.assert_close(there[:, :, 2:, 3:], here[:, :, :-2, :-3], rtol=1e-4, atol=1e-5)
