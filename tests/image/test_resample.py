import pytest
import torch
from torch.nn.functional import avg_pool2d

from splatpaint.image.resample import resize_area, working_size


def test_a_whole_factor_is_a_block_mean():
    x = torch.rand(2, 3, 12, 18)
    torch.testing.assert_close(resize_area(x, width=6, height=6), avg_pool2d(x, (2, 3)))


def test_a_fraction_of_a_pixel_counts_as_a_fraction():
    x = torch.tensor([[[[1.0, 2.0, 4.0]]]])
    torch.testing.assert_close(resize_area(x, width=2, height=1), torch.tensor([[[[4 / 3, 10 / 3]]]]))


def test_shrinking_keeps_the_mean():
    x = torch.rand(1, 3, 37, 53)
    torch.testing.assert_close(resize_area(x, width=17, height=11).mean(), x.mean())


def test_growing_is_refused():
    with pytest.raises(ValueError, match="only shrinks"):
        resize_area(torch.rand(1, 3, 4, 4), width=5, height=4)


def test_working_sizes_keep_the_aspect_and_are_multiples():
    assert working_size(480, 270, side_px=160, multiple=4, enlarge=False) == (212, 120)
    assert working_size(100, 400, side_px=128, multiple=32, enlarge=True) == (64, 256)
    assert working_size(1, 3, side_px=160, multiple=8, enlarge=False) == (8, 8)


def test_small_pictures_are_enlarged_only_if_asked():
    assert working_size(24, 40, side_px=160, multiple=4, enlarge=False) == (24, 40)
    assert working_size(100, 100, side_px=128, multiple=32, enlarge=True) == (128, 128)
