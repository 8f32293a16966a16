import pytest
import torch

from splatpaint.image.region import Box, bounding_box, components, dilate, distance, erode, masked_mean, ring, to_cells


def blank(height: int = 21, width: int = 31) -> torch.Tensor:
    return torch.zeros(1, 1, height, width)


def test_masked_mean_weighs_pixels_and_averages_channels():
    values = torch.tensor([[[[1.0, 2.0]], [[3.0, 10.0]]]])
    torch.testing.assert_close(masked_mean(values, torch.tensor([[[[1.0, 0.0]]]])), torch.tensor([2.0]))
    torch.testing.assert_close(masked_mean(values), torch.tensor([4.0]))


def test_there_is_no_mean_of_an_empty_region():
    assert masked_mean(torch.ones(1, 3, 4, 4), torch.zeros(1, 1, 4, 4)).isnan().all()


def test_a_dilated_pixel_is_a_disc():
    mask = blank()
    mask[0, 0, 10, 15] = 1
    y, x = torch.meshgrid(torch.arange(21), torch.arange(31), indexing="ij")
    disc = ((x - 15) ** 2 + (y - 10) ** 2 <= 16).float()
    assert torch.equal(dilate(mask, 4)[0, 0], disc)


@pytest.mark.parametrize("radius_px", [0, 0.5, 2, 3.6, 40])
def test_dilation_reaches_as_far_as_the_radius_in_every_view(radius_px: float):
    mask = torch.zeros(3, 1, 21, 31)
    mask[0, 0, 3:5, 20:23] = mask[1, 0, 18, 0] = mask[1, 0, 0, 30] = 1
    assert torch.equal(dilate(mask, radius_px), (distance(mask) <= radius_px).float())


def test_eroding_is_dilating_the_outside():
    mask = (torch.rand(2, 1, 21, 31) > 0.1).float()
    assert torch.equal(erode(mask, 2), 1 - dilate(1 - mask, 2))


def test_a_full_mask_is_not_eaten_from_the_border():
    assert torch.equal(erode(torch.ones(1, 1, 5, 5), 2), torch.ones(1, 1, 5, 5))


def test_an_empty_mask_stays_empty():
    for grown in (dilate(blank(), 3), ring(blank(), 3)):
        assert torch.equal(grown, blank())


def test_ring_and_mask_make_up_the_dilated_mask():
    mask = blank()
    mask[0, 0, 8:12, 10:20] = 1
    assert torch.equal(ring(mask, 3) + mask, dilate(mask, 3))
    assert not (ring(mask, 3) * mask).any()


def test_the_bounding_box_grows_by_a_tenth_and_is_clipped():
    mask = torch.zeros(1, 100, 100)
    mask[0, 40:60, 70:100] = 1
    assert bounding_box(mask) == Box(left=67, top=38, right=100, bottom=62)
    assert bounding_box(mask, grow=0.0) == Box(left=70, top=40, right=100, bottom=60)
    assert bounding_box(mask, least_px=5) == Box(left=65, top=35, right=100, bottom=65)
    assert bounding_box(torch.zeros(1, 9, 9)) is None


def test_a_box_crops_what_it_says():
    picture = torch.arange(20.0).reshape(1, 4, 5)
    assert torch.equal(Box(left=1, top=2, right=3, bottom=4).crop(picture), torch.tensor([[[11.0, 12.0], [16.0, 17.0]]]))


def test_a_cell_is_inside_if_one_of_its_pixels_is():
    mask = blank(16, 20)
    mask[0, 0, 7, 8] = 1
    cells = to_cells(mask, 8)
    assert cells.shape == (1, 1, 2, 3)
    assert cells[0, 0].nonzero().tolist() == [[0, 1]]


def test_components_are_numbered_by_falling_area_and_touch_across_corners():
    mask = torch.zeros(1, 8, 8)
    mask[0, 0, 0] = mask[0, 1, 1] = 1
    mask[0, 4:7, 4:7] = 1
    labels, count = components(mask)
    assert count == 2
    assert (labels == 1).sum() == 9
    assert (labels == 2).nonzero().tolist() == [[0, 0], [1, 1]]
