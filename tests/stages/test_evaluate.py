import torch

from splatpaint.image.files import write_image
from splatpaint.stages.evaluate import _read_truth


def test_a_truth_a_row_higher_than_its_view_is_made_as_large(tmp_path):
    write_image(tmp_path / "0.png", torch.rand(3, 201, 300))
    assert _read_truth(tmp_path / "0.png", 300, 200).shape == (1, 3, 200, 300)
