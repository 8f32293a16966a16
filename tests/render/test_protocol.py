"""What every rasterizer promises, asked of every rasterizer (of the one for GPUs where tests marked `gpu` run)."""

from collections.abc import Callable
from dataclasses import dataclass, replace

import pytest
import torch
from torch import Tensor

from splatpaint.render import reference
from splatpaint.render.pick import pick_rasterizer
from splatpaint.render.protocol import Rasterizer, Rendered
from splatpaint.scene.camera import Cameras
from splatpaint.scene.rotation import matrices_from_quats
from splatpaint.scene.splats import Splats
from tests.support.closeness import cosine, relative_l2
from tests.support.rotations import multiply_quats, rotate_sh
from tests.support.scenes import cloud, one_camera, orbit, splat_at

TOLERANCE = {"rtol": 1e-4, "atol": 2e-5}
"""Float32 rounding; a splat whose alpha straddles 1/255 may differ by far more, so whole images are compared by norm."""
SAME_IMAGE = 1e-3
"""Relative L2 that a handful of pixels at a footprint's edge (a step of 1/255) may cause."""


@dataclass(frozen=True)
class Backend:
    rasterizer: Rasterizer
    device: str

    def __call__(
        self, splats: Splats, cameras: Cameras, *, features: Tensor | None = None, background: Tensor | None = None
    ) -> Rendered:
        return self.rasterizer(
            splats.to(self.device),
            cameras.to(self.device),
            features=None if features is None else features.to(self.device),
            background=None if background is None else background.to(self.device),
        )


@pytest.fixture(params=["reference", "native", pytest.param("cuda", marks=pytest.mark.gpu)])
def render(request: pytest.FixtureRequest) -> Backend:
    device = "cuda" if request.param == "cuda" else "cpu"
    return Backend(pick_rasterizer(request.param, device), device)


def assert_same(got: Rendered, wanted: Rendered) -> None:
    assert relative_l2(got.color, wanted.color) < SAME_IMAGE
    assert relative_l2(got.alpha, wanted.alpha) < SAME_IMAGE
    assert relative_l2(got.depth * got.alpha, wanted.depth * wanted.alpha) < SAME_IMAGE


def test_permuting_the_splats_changes_nothing(render: Backend):
    splats, cameras = cloud(200, degree=2), orbit(2)
    order = torch.randperm(200)
    got, wanted = render(splats[order], cameras), render(splats, cameras)
    torch.testing.assert_close(got.color, wanted.color, **TOLERANCE)
    torch.testing.assert_close(got.alpha, wanted.alpha, **TOLERANCE)
    assert torch.equal(got.radii.cpu(), wanted.radii.cpu()[:, order])


def test_moving_scene_and_cameras_together_changes_nothing(render: Backend):
    splats, cameras = cloud(200, degree=3), orbit(2)
    quat, shift = torch.randn(4), torch.tensor([3.0, -2.0, 1.0])
    rotation = matrices_from_quats(quat)
    moved_splats = replace(
        splats,
        means=splats.means @ rotation.T + shift,
        quats=multiply_quats(quat, splats.quats),
        sh=rotate_sh(splats.sh, rotation),
    )
    world_from_moved = torch.eye(4)
    world_from_moved[:3, :3], world_from_moved[:3, 3] = rotation.T, -rotation.T @ shift
    moved_cameras = replace(cameras, cam_from_world=cameras.cam_from_world @ world_from_moved)
    assert_same(render(moved_splats, moved_cameras), render(splats, cameras))


def test_scaling_scene_and_cameras_together_scales_only_depth(render: Backend):
    splats, cameras = cloud(100), orbit(2)
    bigger = replace(splats, means=2 * splats.means, log_scales=splats.log_scales + torch.log(torch.tensor(2.0)))
    pose = cameras.cam_from_world.clone()
    pose[:, :3, 3] *= 2
    got, wanted = render(bigger, replace(cameras, cam_from_world=pose)), render(splats, cameras)
    assert_same(replace(got, depth=got.depth / 2), wanted)


def test_splats_without_opacity_leave_the_background(render: Backend):
    splats = replace(cloud(50), logit_opacities=torch.full((50,), -20.0))
    background = torch.tensor([0.2, 0.5, 0.9])
    rendered = render(splats, orbit(2), background=background)
    torch.testing.assert_close(rendered.color.cpu(), background[:, None, None].expand(2, 3, 24, 32))
    assert not rendered.alpha.any()
    assert not rendered.depth.any()
    assert not rendered.radii.any()


def test_no_splats_leave_the_background(render: Backend):
    background = torch.tensor([0.2, 0.5, 0.9])
    rendered = render(cloud(0), orbit(2), background=background)
    torch.testing.assert_close(rendered.color.cpu(), background[:, None, None].expand(2, 3, 24, 32))
    assert rendered.means2d.shape == (2, 0, 2)
    assert rendered.radii.shape == (2, 0)


def test_splats_behind_the_cameras_are_not_drawn(render: Backend):
    splats = splat_at((0.0, 0.0, -3.0), (0.5, 0.2, -1.0))
    rendered = render(splats, one_camera())
    assert not rendered.alpha.any()
    assert not rendered.radii.any()


def test_rendering_is_linear_in_features(render: Backend):
    splats, cameras = cloud(150), orbit(2)
    a, b = torch.randn(2, 150, 5)
    together = render(splats, cameras, features=2 * a - 3 * b).color
    apart = 2 * render(splats, cameras, features=a).color - 3 * render(splats, cameras, features=b).color
    torch.testing.assert_close(together, apart, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("channels", [1, 2, 4, 7, 33, 40])
def test_any_number_of_feature_channels_is_painted_like_single_ones(render: Backend, channels: int):
    splats, cameras = cloud(60), orbit(1)
    features = torch.randn(60, channels)
    together = render(splats, cameras, features=features).color
    assert together.shape == (1, channels, 24, 32)
    for channel in {0, channels // 2, channels - 1}:
        alone = render(splats, cameras, features=features[:, channel : channel + 1]).color
        torch.testing.assert_close(together[:, channel : channel + 1], alone, **TOLERANCE)


def test_features_of_one_paint_alpha(render: Backend):
    rendered = render(cloud(150), orbit(2), features=torch.ones(150, 1))
    torch.testing.assert_close(rendered.color, rendered.alpha, **TOLERANCE)


def test_the_background_shows_where_alpha_lets_it(render: Backend):
    splats, cameras, background = cloud(100), orbit(2), torch.tensor([0.3, -1.0, 2.0])
    over_black, over_background = render(splats, cameras), render(splats, cameras, background=background)
    expected = over_black.color.cpu() + (1 - over_black.alpha.cpu()) * background[:, None, None]
    torch.testing.assert_close(over_background.color.cpu(), expected, **TOLERANCE)
    torch.testing.assert_close(over_background.depth, over_black.depth, **TOLERANCE)


def test_several_cameras_see_what_each_one_sees(render: Backend):
    splats, cameras = cloud(100, degree=1), orbit(3)
    together = render(splats, cameras)
    for view in range(3):
        alone = render(splats, cameras[view])
        torch.testing.assert_close(together.color[view : view + 1], alone.color, **TOLERANCE)
        torch.testing.assert_close(together.depth[view : view + 1], alone.depth, **TOLERANCE)


def scenes() -> dict[str, tuple[Splats, Cameras, Tensor | None]]:
    features, crowd = cloud(150, channels=6, seed=1).sh[:, 0], replace(cloud(150), means=cloud(150, spread=0.01, seed=2).means)
    return {
        "rgb": (cloud(150, degree=3), orbit(2), None),
        "latent": (cloud(150, degree=1, channels=4), orbit(2), None),
        "features": (cloud(150), orbit(2), features),
        "odd size": (cloud(150, degree=2), orbit(2, width=37, height=19), None),
        "splats all around": (cloud(150, degree=1, spread=4.0), orbit(2), None),
        "one on another": (crowd, orbit(1), None),
    }


def in_double(splats: Splats, cameras: Cameras, features: Tensor | None) -> tuple[Splats, Cameras, Tensor | None]:
    return splats.to(torch.float64), cameras.to(torch.float64), None if features is None else features.double()


@pytest.mark.parametrize("scene", scenes())
def test_values_equal_the_references_in_double_precision(render: Backend, scene: str):
    splats, cameras, features = scenes()[scene]
    got = render(splats, cameras, features=features)
    splats, cameras, features = in_double(splats, cameras, features)
    wanted = reference.rasterize(splats, cameras, features=features)
    assert_same(got, wanted)
    drawn = (got.radii.cpu() > 0) & (wanted.radii > 0)
    assert ((got.radii.cpu() - wanted.radii).abs() <= 1).all()
    torch.testing.assert_close(got.means2d.cpu()[drawn].double(), wanted.means2d[drawn], rtol=1e-4, atol=1e-3)


def gradients(render: Callable[..., Rendered], splats: Splats, cameras: Cameras, features: Tensor | None) -> dict[str, Tensor]:
    """Gradients of a fixed random weighting of color, alpha and depth, in every input."""
    channels = splats.sh.shape[2] if features is None else features.shape[1]
    leaves = {name: tensor.clone().requires_grad_() for name, tensor in splats.tensors().items()}
    leaves["background"] = torch.linspace(-1, 1, channels).to(splats.means).requires_grad_()
    if features is not None:
        leaves["features"] = features.clone().requires_grad_()
    rendered = render(
        replace(splats, **{name: leaves[name] for name in splats.tensors()}),
        cameras,
        features=leaves.get("features"),
        background=leaves["background"],
    )
    rendered.means2d.retain_grad()
    generator = torch.Generator().manual_seed(1)
    loss = torch.zeros(())
    for layer in (rendered.color, rendered.alpha, rendered.depth):
        loss = loss + (layer.cpu() * torch.randn(layer.shape, generator=generator)).sum()
    loss.backward()
    found = {name: leaf.grad for name, leaf in leaves.items()} | {"means2d": rendered.means2d.grad}
    if features is not None:
        del found["sh"]
    return {name: gradient for name, gradient in found.items() if gradient is not None}


@pytest.mark.parametrize("scene", scenes())
def test_gradients_equal_the_references_in_double_precision(render: Backend, scene: str):
    got = gradients(render, *scenes()[scene])
    wanted = gradients(reference.rasterize, *in_double(*scenes()[scene]))
    features = scenes()[scene][2]
    expected = {"means", "quats", "log_scales", "logit_opacities", "background", "means2d"}
    assert got.keys() == wanted.keys() == expected | ({"sh"} if features is None else {"features"})
    for name in wanted:
        assert relative_l2(got[name], wanted[name]) < 5e-3, name
        assert cosine(got[name], wanted[name]) > 0.99995, name


def test_one_backward_pass_lifts_an_image_onto_the_splats(render: Backend):
    """The vector-Jacobian product in the features sums each splat's weight over the pixels: what mask lifting rests on."""
    splats, cameras = cloud(80), orbit(2)
    features = torch.zeros(80, 1, requires_grad=True)
    image = torch.rand(2, 1, 24, 32)
    (render(splats, cameras, features=features).color.cpu() * image).sum().backward()
    assert features.grad is not None
    probe = torch.rand(80, 1)
    cast = render(splats, cameras, features=probe).color.cpu()
    assert (features.grad * probe).sum().item() == pytest.approx((cast * image).sum().item(), rel=1e-4)
