import torch

from splatpaint.objectives.photometric import Photometric, PhotometricConfig
from tests.support.steps import step_of


def test_equal_pictures_cost_nothing():
    picture = torch.rand(1, 3, 24, 24)
    assert Photometric(PhotometricConfig())(step_of(picture, picture))["photometric"].abs() < 1e-5


def test_the_cost_does_not_depend_on_how_many_pixels_count():
    target = torch.full((1, 3, 24, 24), 0.5)
    color = target + 0.1
    objective = Photometric(PhotometricConfig(dssim=0.0))
    half = torch.ones(1, 1, 24, 24)
    half[..., :12] = 0
    whole = objective(step_of(color, target))["photometric"]
    part = objective(step_of(color, target, weight=half))["photometric"]
    torch.testing.assert_close(whole, torch.tensor(0.1))
    torch.testing.assert_close(part, whole)


def test_pixels_that_do_not_count_get_exactly_no_gradient():
    weight = torch.ones(1, 1, 24, 24)
    weight[..., 8:16, 8:16] = 0
    color = torch.rand(1, 3, 24, 24, requires_grad=True)
    Photometric(PhotometricConfig())(step_of(color, torch.rand(1, 3, 24, 24), weight=weight))["photometric"].backward()
    assert color.grad is not None
    assert color.grad[..., 8:16, 8:16].abs().max() == 0
    assert color.grad[..., 0:4, 0:4].abs().min() > 0


def test_regions_split_the_pixels_between_them():
    holes = torch.zeros(1, 1, 24, 24)
    holes[..., :6] = 1
    color, target = torch.rand(1, 3, 24, 24), torch.rand(1, 3, 24, 24)
    cost = {
        region: Photometric(PhotometricConfig(region=region, dssim=0.0))(step_of(color, target, holes=holes))["photometric"]
        for region in ("all", "known", "holes")
    }
    torch.testing.assert_close(0.25 * cost["holes"] + 0.75 * cost["known"], cost["all"])
