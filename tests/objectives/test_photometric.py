import pytest
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


def test_the_named_pixels_count_and_no_others():
    holes = torch.zeros(1, 1, 24, 24)
    holes[..., :6] = 1
    color, target = torch.rand(1, 3, 24, 24, requires_grad=True), torch.rand(1, 3, 24, 24)

    def steepness(**config) -> tuple[float, float]:
        color.grad = None
        (loss,) = Photometric(PhotometricConfig(**config))(step_of(color, target, holes=holes)).values()
        loss.backward()
        assert color.grad is not None
        return float(color.grad[..., :6].abs().mean()), float(color.grad[..., 6:].abs().mean())

    inside, outside = steepness(dssim=0.0)
    assert abs(inside - outside) < 1e-7
    for dssim in (0.0, 0.2):
        inside, outside = steepness(dssim=dssim, pixels="observed")
        assert inside == 0 < outside
        inside, outside = steepness(dssim=dssim, pixels="painted")
        assert inside > 0 == outside
    whole, half = (steepness(pixels="painted", weight=weight)[0] for weight in (1.0, 0.5))
    assert abs(half - 0.5 * whole) < 1e-6


@pytest.mark.parametrize(("pixels", "name"), [("all", "photometric"), ("observed", "observed"), ("painted", "painted")])
def test_the_term_is_named_by_its_pixels(pixels, name):
    picture = torch.rand(1, 3, 24, 24)
    assert list(Photometric(PhotometricConfig(pixels=pixels))(step_of(picture, picture))) == [name]
