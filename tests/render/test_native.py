import math
from collections.abc import Iterator
from dataclasses import replace

import pytest
import torch
from jaxtyping import TypeCheckError
from torch import Tensor

from splatpaint import _kernels
from splatpaint.render import native, reference
from splatpaint.render.protocol import Rasterizer, Rendered
from splatpaint.scene.camera import Cameras, look_at
from splatpaint.scene.rotation import matrices_from_quats
from splatpaint.scene.splats import Splats, concatenate
from tests.support.rotations import rotate_sh


@pytest.fixture(params=_kernels.targets())
def _target(request: pytest.FixtureRequest) -> Iterator[None]:
    before = _kernels.selected()
    _kernels.select(request.param)
    yield
    _kernels.select(before)


def cloud(count: int, *, degree: int = 0, channels: int = 3, scale: float = 0.1, space: str = "rgb") -> Splats:
    return Splats(
        means=torch.rand(count, 3) * 2 - 1,
        quats=torch.randn(count, 4),
        log_scales=math.log(scale) + 0.5 * torch.randn(count, 3),
        logit_opacities=0.5 + 1.5 * torch.randn(count),
        sh=0.5 * torch.randn(count, (degree + 1) ** 2, channels),
        space="rgb" if space == "rgb" else "latent",
    )


def cameras(width: int, height: int, views: int = 1) -> Cameras:
    eyes = torch.tensor([[0.0, 0.0, -3.0], [2.0, -1.0, -1.5], [0.2, 0.1, -0.4]])[:views]
    K = torch.tensor([[1.2 * width, 0, width / 2 + 0.7], [0, 1.2 * width, height / 2 - 1.3], [0, 0, 1]]).repeat(views, 1, 1)
    poses = look_at(eyes, torch.zeros_like(eyes), torch.tensor([0.0, -1.0, 0.0]))
    return Cameras(K=K, cam_from_world=poses, width=width, height=height)


def painted(
    rasterize: Rasterizer, splats: Splats, views: Cameras, dtype: torch.dtype, features: Tensor | None = None
) -> tuple[Rendered, dict[str, Tensor]]:
    """An image and the gradients of a random linear function of all of it."""
    leaves = {name: tensor.to(dtype).requires_grad_() for name, tensor in splats.detach().tensors().items()}
    splats, views = Splats(**leaves, space=splats.space), views.to(dtype)
    channels = splats.sh.shape[2]
    if features is not None:
        leaves["features"] = features = features.detach().to(dtype).requires_grad_()
        channels = features.shape[1]
    dice = torch.Generator().manual_seed(1)
    leaves["background"] = torch.rand(channels, generator=dice).to(dtype).requires_grad_()
    out = rasterize(splats, views, features=features, background=leaves["background"])
    out.means2d.retain_grad()
    layers = (out.color, out.alpha, out.depth)
    torch.stack([(layer * torch.randn(layer.shape, generator=dice).to(dtype)).sum() for layer in layers]).sum().backward()
    grads = {name: leaf.grad for name, leaf in leaves.items() if leaf.grad is not None}
    assert out.means2d.grad is not None
    return out, grads | {"means2d": out.means2d.grad}


def distance(tensor: Tensor, truth: Tensor) -> float:
    """Relative L2 distance."""
    return float((tensor - truth).detach().double().norm() / truth.detach().double().norm().clamp_min(1e-12))


def assert_same(given: tuple[Rendered, dict[str, Tensor]], truth: tuple[Rendered, dict[str, Tensor]], tolerance: float) -> None:
    assert torch.equal(given[0].radii, truth[0].radii)
    for name in ("color", "alpha", "depth"):
        assert distance(getattr(given[0], name), getattr(truth[0], name)) < tolerance, name
    assert given[1].keys() == truth[1].keys()
    for name, grad in truth[1].items():
        assert distance(given[1][name], grad) < 10 * tolerance, f"gradient of {name}"


@pytest.mark.parametrize("degree", [0, 1, 2, 3])
@pytest.mark.usefixtures("_target")
def test_values_and_gradients_are_the_reference(degree: int):
    splats, views = cloud(150, degree=degree), cameras(37, 29, views=3)
    truth = painted(reference.rasterize, splats, views, torch.float64)
    assert_same(painted(native.rasterize, splats, views, torch.float32), truth, 1e-5)


@pytest.mark.parametrize("channels", [1, 2, 3, 4, 16, 33])
@pytest.mark.usefixtures("_target")
def test_any_number_of_feature_channels_is_the_reference(channels: int):
    splats, views, features = cloud(60), cameras(20, 18, views=2), torch.randn(60, channels)
    truth = painted(reference.rasterize, splats, views, torch.float64, features)
    assert_same(painted(native.rasterize, splats, views, torch.float32, features), truth, 1e-5)


@pytest.mark.parametrize("size", [(1, 1), (16, 16), (17, 15), (3, 50), (65, 2)])
@pytest.mark.usefixtures("_target")
def test_any_image_size_is_the_reference(size: tuple[int, int]):
    splats, views = cloud(100, scale=0.2), cameras(*size)
    truth = painted(reference.rasterize, splats, views, torch.float64)
    assert_same(painted(native.rasterize, splats, views, torch.float32), truth, 1e-5)


@pytest.mark.parametrize("scale", [1e-5, 1e-3, 1.0, 10.0])
@pytest.mark.usefixtures("_target")
def test_tiny_and_huge_splats_are_the_reference(scale: float):
    splats, views = cloud(60, scale=scale), cameras(40, 30)
    truth = painted(reference.rasterize, splats, views, torch.float64)
    assert_same(painted(native.rasterize, splats, views, torch.float32), truth, 1e-4)


@pytest.mark.usefixtures("_target")
def test_latent_splats_are_the_reference():
    splats, views = cloud(100, degree=2, channels=4, space="latent"), cameras(24, 24)
    truth = painted(reference.rasterize, splats, views, torch.float64)
    assert_same(painted(native.rasterize, splats, views, torch.float32), truth, 1e-5)


@pytest.mark.usefixtures("_target")
def test_full_pixels_end_where_the_reference_ends_them():
    splats = replace(cloud(300, scale=0.3), logit_opacities=4 + 4 * torch.rand(300))
    views = cameras(32, 32)
    truth = painted(reference.rasterize, splats, views, torch.float64)
    assert (truth[0].alpha > 0.998).any()
    assert_same(painted(native.rasterize, splats, views, torch.float32), truth, 1e-4)


@pytest.mark.usefixtures("_target")
def test_opacities_beyond_the_clamp_are_the_reference():
    splats, views = replace(cloud(40), logit_opacities=torch.full((40,), 12.0)), cameras(32, 32)
    truth = painted(reference.rasterize, splats, views, torch.float64)
    assert_same(painted(native.rasterize, splats, views, torch.float32), truth, 1e-4)


@pytest.mark.usefixtures("_target")
def test_thin_diagonal_splats_are_the_reference():
    splats = replace(cloud(60), log_scales=torch.tensor([0.0, -7.0, -7.0]).repeat(60, 1), logit_opacities=torch.zeros(60))
    views = cameras(48, 48)
    truth = painted(reference.rasterize, splats, views, torch.float64)
    assert_same(painted(native.rasterize, splats, views, torch.float32), truth, 1e-3)


@pytest.mark.usefixtures("_target")
def test_targets_agree_on_a_larger_scene():
    splats, views = cloud(3000, degree=1, scale=0.04), cameras(130, 90, views=2)
    here = painted(native.rasterize, splats, views, torch.float32)
    _kernels.select("scalar")
    assert_same(here, painted(native.rasterize, splats, views, torch.float32), 1e-5)


def test_every_splat_touches_just_the_tiles_that_show_it():
    splats = cloud(200, scale=0.3)
    views = cameras(100, 80)
    whole = native.rasterize(splats, views).alpha
    assert distance(whole, reference.rasterize(splats.to(torch.float64), views.to(torch.float64)).alpha) < 1e-6


@pytest.mark.parametrize("threads", [1, 2, 5])
def test_runs_are_bitwise_equal_for_any_number_of_threads(threads: int):
    splats, views = cloud(5000, degree=1, scale=0.03), cameras(150, 100)
    first = painted(native.rasterize, splats, views, torch.float32)
    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    try:
        again = painted(native.rasterize, splats, views, torch.float32)
    finally:
        torch.set_num_threads(before)
    assert torch.equal(first[0].color, again[0].color)
    for name in splats.tensors():
        assert torch.equal(first[1][name], again[1][name]), name


def test_order_of_the_splats_does_not_matter():
    splats, views, order = cloud(500), cameras(40, 40), torch.randperm(500)
    straight, mixed = native.rasterize(splats, views), native.rasterize(splats[order], views)
    assert torch.equal(straight.color, mixed.color)
    assert torch.equal(straight.radii[:, order], mixed.radii)


def test_splats_at_equal_depth_are_composited_in_their_order():
    twins = replace(cloud(2), means=torch.zeros(2, 3), log_scales=torch.zeros(2, 3), logit_opacities=torch.full((2,), 4.0))
    features = torch.tensor([[1.0, 0.0], [0.0, 1.0]])
    color = native.rasterize(twins, cameras(16, 16), features=features).color[0, :, 8, 8]
    assert color[0] > 0.9 > 0.1 > color[1] > 0


def test_moving_scene_and_cameras_together_changes_nothing():
    splats, views = cloud(200, degree=3), cameras(40, 40, views=2)
    turn = matrices_from_quats(torch.tensor([[0.3, -0.5, 0.7, 0.2]]))[0]
    shift = torch.tensor([0.5, -2.0, 1.0])
    w, x, y, z = torch.nn.functional.normalize(torch.tensor([0.3, -0.5, 0.7, 0.2]), dim=0).tolist()
    left = torch.tensor([[w, -x, -y, -z], [x, w, -z, y], [y, z, w, -x], [z, -y, x, w]])
    moved = replace(splats, means=splats.means @ turn.T + shift, quats=splats.quats @ left.T, sh=rotate_sh(splats.sh, turn))
    motion = torch.eye(4)
    motion[:3, :3], motion[:3, 3] = turn, shift
    moved_views = replace(views, cam_from_world=views.cam_from_world @ torch.linalg.inv(motion))
    before, after = native.rasterize(splats, views), native.rasterize(moved, moved_views)
    assert distance(after.color, before.color) < 1e-4
    assert distance(after.depth, before.depth) < 1e-4


def test_transparent_splats_leave_the_background():
    splats, background = replace(cloud(50), logit_opacities=torch.full((50,), -20.0)), torch.tensor([0.1, 0.5, 0.9])
    out = native.rasterize(splats, cameras(20, 10), background=background)
    assert torch.equal(out.color, background[None, :, None, None].expand(1, 3, 10, 20))
    assert not out.alpha.any()
    assert not out.depth.any()
    assert not out.radii.any()


def test_no_splats_leave_the_background_and_backward_works():
    splats, background = cloud(0), torch.tensor([0.1, 0.5, 0.9]).requires_grad_()
    means = splats.means.requires_grad_()
    out = native.rasterize(replace(splats, means=means), cameras(20, 10, views=2), background=background)
    assert torch.equal(out.color, background[None, :, None, None].expand(2, 3, 10, 20))
    out.color.sum().backward()
    assert means.grad is not None
    assert means.grad.shape == (0, 3)
    assert background.grad is not None
    torch.testing.assert_close(background.grad, torch.full((3,), 400.0))


def test_splats_off_screen_or_behind_change_nothing():
    splats, views = cloud(80, degree=1), cameras(30, 30)
    elsewhere = replace(cloud(3, degree=1), means=torch.tensor([[0.0, 0.0, -9.0], [90.0, 0.0, 0.0], [0.0, 0.0, -3.0]]))
    alone, more = native.rasterize(splats, views), native.rasterize(concatenate([elsewhere, splats]), views)
    assert torch.equal(alone.color, more.color)
    assert not more.radii[0, :3].any()
    _, grads = painted(native.rasterize, concatenate([elsewhere, splats]), views, torch.float32)
    for name in splats.tensors():
        assert not grads[name][:3].any(), name
        assert grads[name].isfinite().all(), name


@pytest.mark.usefixtures("_target")
def test_splats_that_are_not_finite_are_not_drawn():
    broken = cloud(4)
    broken.means[0, 0] = math.nan
    broken.quats[1] = math.inf
    broken.log_scales[2, 1] = math.nan
    broken.logit_opacities[3] = math.nan
    out = native.rasterize(broken, cameras(20, 20))
    assert not out.radii.any()
    assert not out.color.any()


def test_rendering_is_linear_in_features():
    splats, views, a, b = cloud(200), cameras(40, 30), torch.randn(200, 5), torch.randn(200, 5)
    mixed = native.rasterize(splats, views, features=2 * a - 3 * b).color
    apart = 2 * native.rasterize(splats, views, features=a).color - 3 * native.rasterize(splats, views, features=b).color
    assert distance(mixed, apart) < 1e-5


@pytest.mark.parametrize("channels", [1, 7])
def test_gradient_of_features_is_the_transpose_of_rendering(channels: int):
    splats, views = cloud(200), cameras(40, 30, views=2)
    features, image = torch.randn(200, channels), torch.randn(2, channels, 30, 40)
    leaf = torch.zeros(200, channels, requires_grad=True)
    (lifted,) = torch.autograd.grad(native.rasterize(splats, views, features=leaf).color, leaf, image)
    cast = native.rasterize(splats, views, features=features).color
    torch.testing.assert_close((lifted * features).sum(), (cast * image).sum(), rtol=1e-4, atol=1e-3)


@pytest.mark.parametrize("layer", ["color", "alpha", "depth"])
@pytest.mark.usefixtures("_target")
def test_gradient_of_a_single_output_is_the_reference(layer: str):
    grads = []
    for rasterize, dtype in ((native.rasterize, torch.float32), (reference.rasterize, torch.float64)):
        torch.manual_seed(3)
        splats = cloud(80)
        means = splats.means.to(dtype).requires_grad_()
        out = rasterize(replace(splats.to(dtype), means=means), cameras(30, 20).to(dtype))
        getattr(out, layer).square().sum().backward()
        grads.append(means.grad)
    assert distance(grads[0], grads[1]) < 1e-4


def test_wrong_precision_is_refused():
    with pytest.raises(TypeError, match=r"means is torch\.float64 on cpu"):
        native.rasterize(cloud(3).to(torch.float64), cameras(8, 8))


def test_gradients_of_cameras_are_refused():
    views = cameras(8, 8)
    with pytest.raises(ValueError, match="cam_from_world requires a gradient"):
        native.rasterize(cloud(3), replace(views, cam_from_world=views.cam_from_world.clone().requires_grad_()))


def test_features_and_background_of_other_sizes_are_refused():
    refused = (ValueError, TypeCheckError)  # the shape annotations are faster under pytest
    with pytest.raises(refused):
        native.rasterize(cloud(3), cameras(8, 8), features=torch.zeros(3, 2, 2))
    with pytest.raises(ValueError, match=r"expected \(3, channels\)"):
        native.rasterize(cloud(3), cameras(8, 8), features=torch.zeros(4, 2))
    with pytest.raises(refused):
        native.rasterize(cloud(3), cameras(8, 8), features=torch.zeros(3, 2), background=torch.zeros(3))


def test_a_target_that_does_not_exist_is_refused():
    with pytest.raises(ValueError, match="no target 'altivec'"):
        _kernels.select("altivec")
