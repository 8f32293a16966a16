import torch
from torch import Tensor

from splatpaint.objectives.perceptual import Perceptual, PerceptualConfig
from tests.support.steps import step_of


class Blocks:
    """A codec whose features are pixel blocks: small enough to know what a distance must be."""

    stride = 4
    channels = 3

    def encode(self, images: Tensor) -> Tensor:
        return torch.nn.functional.avg_pool2d(images, 4)

    def decode(self, latents: Tensor) -> Tensor:
        return torch.nn.functional.interpolate(latents, scale_factor=4)

    def features(self, images: Tensor) -> list[Tensor]:
        return [images, self.encode(images)]


def cost(color: Tensor, target: Tensor, holes: Tensor) -> Tensor:
    return Perceptual(PerceptualConfig(weight=1.0), Blocks())(step_of(color, target, holes=holes))["perceptual"]


def hole() -> Tensor:
    holes = torch.zeros(1, 1, 18, 22)
    holes[..., 6:12, 6:12] = 1
    return holes


def test_equal_pictures_cost_nothing_at_sizes_that_no_stride_divides():
    picture = torch.rand(1, 3, 18, 22)
    assert cost(picture, picture, hole()) < 1e-6


def test_orthogonal_features_cost_the_squared_distance_of_unit_vectors():
    red, blue = torch.zeros(1, 3, 18, 22), torch.zeros(1, 3, 18, 22)
    red[:, 0], blue[:, 2] = 1, 1
    torch.testing.assert_close(cost(red, blue, torch.ones(1, 1, 18, 22)), torch.tensor(2.0))


def test_pixels_outside_the_hole_get_exactly_no_gradient():
    color = torch.rand(1, 3, 18, 22, requires_grad=True)
    cost(color, torch.rand(1, 3, 18, 22), hole()).backward()
    assert color.grad is not None
    outside = color.grad * (1 - hole())
    assert outside.abs().max() == 0
    assert (color.grad * hole()).abs().max() > 0


def test_a_target_is_looked_at_once_as_long_as_it_lives():
    class Counting(Blocks):
        looks = 0

        def features(self, images: Tensor) -> list[Tensor]:
            self.looks += 1
            return super().features(images)

    codec = Counting()
    objective = Perceptual(PerceptualConfig(weight=1.0), codec)
    targets = [torch.rand(1, 3, 18, 22) for _ in range(2)]
    costs = [objective(step_of(torch.zeros(1, 3, 18, 22), targets[place], holes=hole()))["perceptual"] for place in (0, 1, 0)]
    assert codec.looks == 3 + 2
    assert costs[0] == costs[2] != costs[1]
    targets.clear()
    assert len(objective._kept) == 0
