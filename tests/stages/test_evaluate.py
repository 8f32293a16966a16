import pytest
import torch

from splatpaint.image.files import write_image
from splatpaint.stages.evaluate import _read_truth, depth_change, depth_residual


def test_a_truth_a_row_higher_than_its_view_is_made_as_large(tmp_path):
    write_image(tmp_path / "0.png", torch.rand(3, 201, 300))
    assert _read_truth(tmp_path / "0.png", 300, 200).shape == (1, 3, 200, 300)


def test_depth_changes_are_relative_and_those_of_empty_pixels_whole():
    before = torch.tensor([2.0, 2.0, 0.0, 1.0, 0.0]).reshape(1, 1, 1, 5)
    after = torch.tensor([2.0, 3.0, 4.0, 0.0, 0.0]).reshape(1, 1, 1, 5)
    assert depth_change(before, after).flatten().tolist() == [0, 0.5, 1, 1, 0]


def test_what_is_as_far_away_as_with_the_object_is_its_residual():
    """Of the mask's five pixels one is as it was, one nearly; one is farther, one emptied, one was empty and is filled."""
    before = torch.tensor([2.0, 2.0, 2.0, 1.0, 0.0, 2.0, 2.0]).reshape(1, 1, 1, 7)
    after = torch.tensor([2.0, 2.06, 2.5, 0.0, 3.0, 2.0, 9.0]).reshape(1, 1, 1, 7)
    mask = torch.tensor([1.0, 1, 1, 1, 1, 0, 0]).reshape(1, 1, 1, 7)
    assert depth_residual(before, after, mask) == pytest.approx(2 / 5)
    assert depth_residual(before, before, mask) == 1
    assert depth_residual(before, 2 * before + 1, mask) == 0
