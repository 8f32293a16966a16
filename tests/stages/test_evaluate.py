import torch

from splatpaint.image.files import write_image
from splatpaint.stages.evaluate import _read_truth, depth_change


def test_a_truth_a_row_higher_than_its_view_is_made_as_large(tmp_path):
    write_image(tmp_path / "0.png", torch.rand(3, 201, 300))
    assert _read_truth(tmp_path / "0.png", 300, 200).shape == (1, 3, 200, 300)


def test_depth_changes_are_relative_and_those_of_empty_pixels_whole():
    before = torch.tensor([2.0, 2.0, 0.0, 1.0, 0.0]).reshape(1, 1, 1, 5)
    after = torch.tensor([2.0, 3.0, 4.0, 0.0, 0.0]).reshape(1, 1, 1, 5)
    assert depth_change(before, after).flatten().tolist() == [0, 0.5, 1, 1, 0]
