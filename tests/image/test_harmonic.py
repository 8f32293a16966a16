import pytest
import torch

from splatpaint.image.harmonic import harmonic_fill


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
