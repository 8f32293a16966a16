import pytest
import torch

from splatpaint.image.poisson import poisson_blend


def indices(height: int, width: int) -> torch.Tensor:
    return torch.arange(height * width).view(height, width)


def middle(height: int, width: int) -> torch.Tensor:
    hole = torch.zeros(height, width, dtype=torch.bool)
    hole[8:24, 30:46] = True
    return hole


def copied_from(left: int, height: int, width: int) -> torch.Tensor:
    """Source index in and right around the hole of `middle`: the pixel `left` columns to the left."""
    source_index = indices(height, width)
    source_index[6:26, 28:48] -= left
    return source_index


def test_a_region_copied_from_a_darker_place_gets_the_colors_around_the_hole():
    texture = 0.3 + 0.2 * torch.rand(3, 32, 24, generator=torch.Generator().manual_seed(0)).repeat(1, 1, 3)
    brighter = texture.clone()
    brighter[..., 24:] += 0.07
    hole = middle(32, 72)
    found = poisson_blend(brighter.where(~hole, 1.0), hole, copied_from(24, 32, 72), ~hole)
    assert (found - brighter).abs().max() < 5e-3
    assert torch.equal(found[:, ~hole], brighter[:, ~hole])


def test_two_regions_of_different_exposure_meet_without_a_seam():
    image, hole = torch.full((3, 32, 72), 0.5), middle(32, 72)
    image[:, :2], image[:, 2:4] = 0.46, 0.54
    source_index = indices(32, 72)
    source_index[6:26, 28:38], source_index[6:26, 38:48] = 5, 3 * 72 + 5
    found = poisson_blend(image.where(~hole, 0.0), hole, source_index, ~hole)
    assert (found[:, 8:24, 38] - found[:, 8:24, 37]).abs().max() < 0.02
    assert (found[:, hole] - 0.5).abs().max() < 0.02


def test_an_edge_within_a_region_stays():
    image, hole = torch.full((3, 32, 72), 0.2), middle(32, 72)
    image[..., 38:] = 0.8
    source_index = indices(32, 72)
    source_index[6:26, 28:48] = (29 * 72 + indices(32, 72) % 72)[6:26, 28:48]
    found = poisson_blend(image.where(~hole, 0.5), hole, source_index, ~hole)
    assert (found - image).abs().max() < 1e-3


def test_pixels_without_known_neighbors_keep_the_copied_color():
    image, hole = torch.full((3, 32, 72), 0.2), middle(32, 72)
    image[:, :5, :5] = 0.8
    known = ~hole
    known[6:26, 28:48] = False
    source_index = indices(32, 72)
    source_index[8:24, 30:46] = 2 * 72 + 2
    island = poisson_blend(image.where(~hole, 0.5), hole, source_index, known)
    assert (island[:, hole] - 0.8).abs().max() < 1e-5


def test_a_seam_is_spread_over_some_thirty_pixels_and_no_farther():
    """By the hundredth part of what its colors miss, e to the minus five, five times as far away."""
    image, hole = torch.full((3, 20, 340), 0.58), torch.zeros(20, 340, dtype=torch.bool)
    hole[:, 8:] = True
    image[..., :4] = 0.5
    source_index = indices(20, 340)
    source_index[:, 6:] = 1
    found = poisson_blend(image.where(~hole, 0.0), hole, source_index, ~hole)[0, 10]
    assert abs(float(found[8]) - 0.58) < 5e-3
    left = (found[8 + 32] - 0.5) / 0.08
    assert 0.3 < float(left) < 0.4
    assert float((found[8 + 160] - 0.5) / 0.08) < 0.01


@pytest.mark.parametrize("turned", [False, True])
def test_a_hole_from_side_to_side_is_as_bright_as_its_banks(turned):
    texture = 0.3 + 0.2 * torch.rand(3, 24, 40, generator=torch.Generator().manual_seed(0)).repeat(1, 4, 1)
    brighter, hole, rows = texture.clone(), torch.zeros(96, 40, dtype=torch.bool), torch.arange(96)[:, None].expand(-1, 40)
    brighter[:, :48] += 0.07
    hole[20:36] = True
    columns, rows = torch.arange(40).expand(96, -1), torch.where((rows >= 18) & (rows < 38), rows + 48, rows)
    source_index = rows * 40 + columns
    if turned:
        brighter, hole, source_index = brighter.mT, hole.mT, (columns * 96 + rows).mT
    found = poisson_blend(brighter.where(~hole, 1.0), hole, source_index, ~hole)
    assert (found - brighter).abs().max() < 5e-3


def test_colors_stay_in_range():
    """Checks that are made brighter, to the mean of what is around."""
    image, hole = torch.full((3, 32, 72), 0.98), middle(32, 72)
    image[..., :24] = 0.9 + 0.08 * ((indices(32, 24) + indices(32, 24) // 24) % 2)
    found = poisson_blend(image.where(~hole, 0.0), hole, copied_from(24, 32, 72), ~hole)
    assert found[:, 10:22, 32:44].mean() > 0.95
    assert found.max() <= 1


def test_a_row_does_not_go_on_in_the_next():
    image, hole = torch.full((3, 20, 30), 0.5), torch.zeros(20, 30, dtype=torch.bool)
    image[..., 15:], hole[5:15, 24:] = 0.57, True
    source_index = indices(20, 30)
    source_index[3:17, 22:] = 18
    found = poisson_blend(image.where(~hole, 0.0), hole, source_index, ~hole)
    assert (found[:, hole] - 0.57).abs().max() < 1e-5


def test_nothing_is_looked_at_that_is_unknown():
    image, hole = torch.full((3, 20, 30), 0.4), torch.zeros(20, 30, dtype=torch.bool)
    hole[:10, :10] = True
    known = ~hole
    known[:, 15:] = known[10:14] = False
    source_index = indices(20, 30)
    source_index[:14, :12] = 18 * 30 + 14
    found = poisson_blend(image.where(known, 0.46), hole, source_index, known)
    assert (found[:, hole] - 0.4).abs().max() < 1e-4


def test_without_a_hole_the_picture_comes_back():
    image = torch.rand(3, 9, 11)
    assert torch.equal(
        poisson_blend(image, torch.zeros(9, 11, dtype=torch.bool), indices(9, 11), torch.ones(9, 11).bool()), image
    )
