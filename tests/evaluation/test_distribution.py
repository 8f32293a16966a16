import pytest
import torch

from splatpaint.evaluation.distribution import features, frechet, kernel
from splatpaint.image.perceptual import FILE_NAMES, Lpips, _vgg16


def cloud(count: int, mean: float = 0.0, spread: float = 1.0, seed: int = 0) -> torch.Tensor:
    return mean + spread * torch.randn(count, 5, generator=torch.Generator().manual_seed(seed))


def test_a_set_is_at_distance_zero_from_itself():
    assert frechet(cloud(40), cloud(40)) == pytest.approx(0, abs=1e-6)


def test_frechet_of_two_gaussians_follows_the_closed_form():
    near, far = cloud(20_000, seed=1), cloud(20_000, mean=0.5, spread=2.0, seed=2)
    assert frechet(near, far) == pytest.approx(5 * (0.25 + (2 - 1) ** 2), rel=0.03)


def test_fewer_pictures_than_features_are_no_obstacle():
    assert frechet(cloud(12)[:, :5].repeat(1, 8), cloud(12, seed=3).repeat(1, 8)) > 0


def test_kernel_distance_is_unbiased_and_grows_with_the_difference():
    same = [kernel(cloud(50, seed=2 * seed), cloud(50, seed=2 * seed + 1)) for seed in range(40)]
    assert abs(sum(same) / len(same)) < 0.15
    assert (
        0.3 < kernel(cloud(200, seed=1), cloud(200, mean=0.5, seed=2)) < kernel(cloud(200, seed=1), cloud(200, mean=1, seed=2))
    )


def test_a_handful_is_no_distribution():
    with pytest.raises(ValueError, match="at least 8"):
        frechet(cloud(3), cloud(30))


def test_features_do_not_depend_on_where_in_the_picture_something_is(tmp_path):
    path = tmp_path / FILE_NAMES["vgg"][0]
    torch.save({f"features.{name}": value for name, value in _vgg16().state_dict().items()}, path)
    net = Lpips("vgg", weights=path)
    found = features([torch.rand(1, 3, 64, 96), torch.rand(1, 3, 80, 64)], net)
    assert found.shape == (2, 512)
    assert (found >= 0).all()
