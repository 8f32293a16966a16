from collections.abc import Iterator

import pytest
import torch
from torch import Tensor

from splatpaint import _kernels
from splatpaint.image.photometric import photometric_difference
from splatpaint.image.ssim import C1, C2, window_taps
from tests.support.closeness import relative_l2

SHAPES = [(1, 3, 50, 61), (2, 3, 33, 16), (3, 1, 9, 70), (1, 2, 70, 7), (1, 1, 6, 6), (1, 3, 205, 40)]
"""Odd sides, batches, sides shorter than the window of 11 px down to the least, and more rows than a strip of the kernel."""


@pytest.fixture(params=_kernels.targets())
def _target(request: pytest.FixtureRequest) -> Iterator[None]:
    before = _kernels.selected()
    _kernels.select(request.param)
    yield
    _kernels.select(before)


def images(shape: tuple[int, int, int, int], *, noise: float = 0.1) -> tuple[Tensor, Tensor, Tensor]:
    """Color, target and weights, of which a third are zero."""
    views, _, height, width = shape
    target = torch.rand(shape)
    weight = torch.rand(views, 1, height, width)
    return target + noise * torch.randn(shape), target, torch.where(weight > 1 / 3, weight, 0.0)


def value_and_gradient(
    color: Tensor, target: Tensor, weight: Tensor, dssim: float, dtype: torch.dtype
) -> tuple[Tensor, Tensor]:
    color = color.to(dtype).requires_grad_()
    value = photometric_difference(color, target.to(dtype), weight.to(dtype), dssim=dssim)
    (gradient,) = torch.autograd.grad(3 * value, color)
    return value.detach(), gradient


@pytest.mark.usefixtures("_target")
@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("dssim", [0.0, 0.2, 1.0])
def test_the_kernel_agrees_with_torch_in_double_precision(shape: tuple[int, int, int, int], dssim: float):
    given = images(shape)
    value, gradient = value_and_gradient(*given, dssim, torch.float32)
    wanted, wanted_gradient = value_and_gradient(*given, dssim, torch.float64)
    assert abs(float(value) / float(wanted) - 1) < 1e-6
    assert relative_l2(gradient, wanted_gradient) < 1e-6
    assert float((gradient - wanted_gradient).abs().max() / wanted_gradient.abs().max()) < 3e-6


@pytest.mark.usefixtures("_target")
def test_pictures_that_are_nearly_equal_keep_their_precision():
    given = images((1, 3, 40, 40), noise=1e-3)
    value, gradient = value_and_gradient(*given, 1.0, torch.float32)
    wanted, wanted_gradient = value_and_gradient(*given, 1.0, torch.float64)
    assert abs(float(value) - float(wanted)) < 1e-6 * float(given[2].sum())
    assert relative_l2(gradient, wanted_gradient) < 1e-3


@pytest.mark.usefixtures("_target")
def test_threads_change_no_bit():
    given, threads = images((2, 3, 300, 31)), torch.get_num_threads()
    results = []
    for count in (1, 4):
        torch.set_num_threads(count)
        results.append(value_and_gradient(*given, 0.2, torch.float32))
    torch.set_num_threads(threads)
    (one, one_gradient), (many, many_gradient) = results
    assert torch.equal(one, many)
    assert torch.equal(one_gradient, many_gradient)


@pytest.mark.usefixtures("_target")
def test_neighbors_in_memory_say_nothing():
    """A picture with large numbers right before and after it, as another view of its batch would be."""
    color, target, weight = images((1, 3, 30, 21))
    alone = value_and_gradient(color, target, weight, 0.2, torch.float32)[1]
    loud = [torch.cat([1e6 * torch.ones_like(part), part, -1e6 * torch.ones_like(part)]) for part in (color, target)]
    among = value_and_gradient(*loud, weight.expand(3, -1, -1, -1), 0.2, torch.float32)[1]
    assert torch.equal(alone[0], among[1])


@pytest.mark.usefixtures("_target")
def test_where_nothing_counts_there_is_no_gradient():
    color, target, weight = images((1, 3, 30, 30))
    weight[..., 5:20, 8:30] = 0
    _, gradient = value_and_gradient(color, target, weight, 0.5, torch.float32)
    assert gradient[..., 5:20, 8:30].abs().max() == 0
    assert gradient.abs().max() > 0
    value, gradient = value_and_gradient(color, target, 0 * weight, 0.5, torch.float32)
    assert value == 0
    assert gradient.abs().max() == 0


def test_the_value_is_the_same_without_a_gradient():
    color, target, weight = images((1, 3, 40, 30))
    value, _ = value_and_gradient(color, target, weight, 0.2, torch.float32)
    assert torch.equal(photometric_difference(color, target, weight, dssim=0.2), value)


def test_strided_pictures_are_taken_as_they_are_meant():
    color, target, weight = images((1, 3, 40, 30))
    flipped = [part.transpose(2, 3).contiguous().transpose(2, 3) for part in (color, target, weight)]
    straight = value_and_gradient(color, target, weight, 0.2, torch.float32)
    for one, other in zip(straight, value_and_gradient(*flipped, 0.2, torch.float32), strict=True):
        assert torch.equal(one, other)


def test_the_torch_implementation_passes_gradcheck():
    color, target, weight = (part.double() for part in images((1, 2, 8, 7)))
    color.requires_grad_()
    assert torch.autograd.gradcheck(lambda x: photometric_difference(x, target, weight, dssim=0.4), (color,))


@pytest.mark.parametrize("place", [1, 2])
def test_constants_have_no_gradient(place: int):
    given = images((1, 3, 20, 20))
    given[place].requires_grad_()
    with pytest.raises(ValueError, match="only the color has one"):
        photometric_difference(*given, dssim=0.2)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_pictures_smaller_than_half_a_window_are_refused(dtype: torch.dtype):
    small = [part.to(dtype) for part in images((1, 3, 5, 20))]
    with pytest.raises(ValueError, match="20 x 5 px"):
        photometric_difference(*small, dssim=0.2)
    assert photometric_difference(*small, dssim=0.0) > 0


def test_the_kernel_refuses_pictures_of_different_sizes():
    color, target, weight = images((1, 3, 20, 20))
    for given in ((color, target[:, :2], weight), (color, target, weight[..., :19].contiguous())):
        with pytest.raises(ValueError, match="disagree"):
            _kernels.photometric(*given, 0.2, window_taps(color), C1, C2, gradient=None, threads=1)
