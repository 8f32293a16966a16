from collections.abc import Iterator

import pytest
import torch

from splatpaint import _kernels
from splatpaint.image.harmonic import harmonic_fill, v_cycle
from tests.support.closeness import relative_l2


def grid(height: int, width: int) -> tuple[torch.Tensor, torch.Tensor]:
    return torch.meshgrid(torch.arange(float(height)), torch.arange(float(width)), indexing="ij")


def disc(height: int, width: int, radius: float) -> torch.Tensor:
    y, x = grid(height, width)
    return (((y - height / 2) ** 2 + (x - width / 2) ** 2) < radius**2).float()[None, None]


def laplacian(values: torch.Tensor) -> torch.Tensor:
    p = torch.nn.functional.pad(values, (1, 1, 1, 1), mode="replicate")
    return p[..., :-2, 1:-1] + p[..., 2:, 1:-1] + p[..., 1:-1, :-2] + p[..., 1:-1, 2:] - 4 * values


@pytest.mark.parametrize("size", [(64, 64), (61, 97), (20, 200)])
def test_a_linear_function_comes_back(size):
    y, x = grid(*size)
    values = torch.stack([x / size[1], y / size[0], 0.3 * x / size[1] - 0.7 * y / size[0]])[None]
    holes = disc(*size, radius=0.4 * min(size))
    filled = harmonic_fill(torch.where(holes > 0, torch.rand_like(values), values), holes)
    assert torch.allclose(filled, values, atol=2e-3)


def test_a_saddle_comes_back():
    y, x = grid(80, 80)
    values = ((x - 40) ** 2 - (y - 40) ** 2)[None, None] / 1600
    holes = disc(80, 80, 30)
    assert torch.allclose(harmonic_fill(values * (1 - holes), holes), values, atol=4e-3)


def test_known_pixels_are_bit_identical_and_unknown_ones_are_not_looked_at():
    values, holes = torch.rand(2, 3, 50, 60), (torch.rand(2, 1, 50, 60) < 0.6).float()
    filled = harmonic_fill(values, holes)
    known = (holes == 0).expand_as(values)
    assert torch.equal(filled[known], values[known])
    hidden = torch.where(known, values, torch.nan)
    assert torch.equal(harmonic_fill(hidden, holes), filled)


def test_the_laplacian_vanishes_in_ragged_holes():
    values, holes = torch.rand(1, 3, 90, 70), (torch.rand(1, 1, 90, 70) < 0.7).float()
    residual = laplacian(harmonic_fill(values, holes)) * holes
    assert residual.abs().max() < 1e-3


def test_a_fill_stays_within_the_known_range():
    values, holes = torch.rand(1, 1, 64, 64), disc(64, 64, 25)
    known = values[holes == 0]
    filled = harmonic_fill(values, holes)[holes > 0]
    assert known.min() <= filled.min()
    assert filled.max() <= known.max()


def test_no_flux_passes_the_border():
    """A strip known only at its left end is constant along it."""
    values = torch.full((1, 1, 32, 100), 0.0)
    values[..., 0] = 0.7
    holes = torch.ones_like(values)
    holes[..., 0] = 0
    assert torch.allclose(harmonic_fill(values, holes), torch.full_like(values, 0.7), atol=1e-4)


def test_pictures_do_not_influence_each_other():
    values, holes = torch.rand(2, 3, 40, 40), torch.cat([disc(40, 40, 12), disc(40, 40, 17)])
    together = harmonic_fill(values, holes)
    for view in range(2):
        alone = harmonic_fill(values[view : view + 1], holes[view : view + 1])
        assert torch.allclose(together[view], alone[0], atol=1e-3)


def test_nothing_to_fill_gives_a_copy():
    values = torch.rand(1, 3, 8, 8)
    filled = harmonic_fill(values, torch.zeros(1, 1, 8, 8))
    assert torch.equal(filled, values)
    assert filled.data_ptr() != values.data_ptr()


def test_a_picture_that_is_all_hole_is_refused():
    with pytest.raises(ValueError, match="without any known pixel"):
        harmonic_fill(torch.rand(2, 3, 8, 8), torch.stack([torch.zeros(1, 8, 8), torch.ones(1, 8, 8)]))


@pytest.fixture(params=_kernels.targets())
def _target(request: pytest.FixtureRequest) -> Iterator[None]:
    before = _kernels.selected()
    _kernels.select(request.param)
    yield
    _kernels.select(before)


@pytest.mark.usefixtures("_target")
@pytest.mark.parametrize("shape", [(1, 1, 100, 140), (2, 3, 61, 97), (1, 3, 5, 200), (1, 1, 4, 9), (3, 2, 33, 6)])
def test_a_cycle_of_the_kernel_agrees_with_torch_in_double_precision(shape: tuple[int, int, int, int]):
    source = torch.randn(shape)
    ragged = (torch.rand(shape[0], 1, *shape[2:]) < 0.97).float()
    holes = disc(*shape[2:], radius=0.45 * max(shape[2:])) * ragged
    source *= holes
    assert relative_l2(v_cycle(source, holes), v_cycle(source.double(), holes.double())) < 1e-6


@pytest.mark.usefixtures("_target")
def test_threads_change_no_bit_of_a_fill():
    values, holes = torch.rand(2, 3, 90, 70), (torch.rand(2, 1, 90, 70) < 0.7).float()
    threads, results = torch.get_num_threads(), []
    for count in (1, 4):
        torch.set_num_threads(count)
        results.append(v_cycle(values * holes, holes))
    torch.set_num_threads(threads)
    assert torch.equal(*results)


@pytest.mark.usefixtures("_target")
def test_fills_are_the_same_in_single_and_double_precision():
    values, holes = torch.rand(1, 2, 120, 90), disc(120, 90, 35)
    single, double = harmonic_fill(values, holes), harmonic_fill(values.double(), holes.double())
    assert torch.allclose(single.double(), double, atol=1e-4)


def test_pictures_in_another_memory_order_are_filled_alike():
    values, holes = torch.rand(1, 3, 60, 50), disc(60, 50, 20)
    reordered = harmonic_fill(values.contiguous(memory_format=torch.channels_last), holes.transpose(2, 3).mT)
    assert torch.allclose(reordered, harmonic_fill(values, holes), atol=1e-5)
