import pytest
import torch

from splatpaint.fit.samplers import Example, halved
from tests.support.scenes import one_camera


def example(height: int = 6, width: int = 8) -> Example:
    target = torch.rand(1, 3, height, width, generator=torch.Generator().manual_seed(0))
    weight, holes = torch.ones(1, 1, height, width), torch.zeros(1, 1, height, width)
    return Example(one_camera(width, height), target, weight, holes, photo=3)


def test_half_the_size_shows_the_same_with_the_means_of_four_pixels():
    whole = example()
    half = halved(whole)
    torch.testing.assert_close(half.target[0, :, 1, 2], whole.target[0, :, 2:4, 4:6].mean(dim=(1, 2)))
    point = torch.tensor([[0.03, 0.02, 1.0]])
    torch.testing.assert_close(half.cameras.project(point)[0] * 2, whole.cameras.project(point)[0])
    assert (half.cameras.width, half.cameras.height) == (4, 3)
    assert half.photo == 3


def test_a_pixel_counts_where_all_that_it_was_made_of_do():
    whole = example()
    whole.weight[0, 0, 0, 0] = 0
    whole.holes[0, 0, 4:, 6:] = 1
    half = halved(whole)
    assert half.weight[0, 0, 0, 0] == 0
    assert half.weight.sum() == 4 * 3 - 1
    assert half.holes.nonzero().tolist() == [[0, 0, 2, 3]]


def test_odd_sizes_are_halved_too():
    half = halved(example(7, 9))
    assert half.target.shape == (1, 3, 3, 4)
    assert (half.weight == 1).all()


def test_hints_are_not_halved():
    whole = example()
    with pytest.raises(ValueError, match="hint"):
        halved(Example(whole.cameras, whole.target, whole.weight, whole.holes, disparity_hint=whole.weight))
