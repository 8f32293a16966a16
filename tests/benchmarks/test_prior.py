import numpy as np
import pytest
import torch
from PIL import Image

from benchmarks.prior import draw_sheet, harmonic, methods, score
from benchmarks.prior_holes import HOLES, draw_hole
from splatpaint.priors.load import PriorConfig, load_prior
from splatpaint.stages.evaluate import Metrics
from tests.support.diffusion import save_toy_prior


@pytest.mark.parametrize("kind", HOLES)
def test_holes_of_every_kind_are_masks_that_leave_something_known(kind: str):
    rng = np.random.default_rng(0)
    holes = torch.stack([draw_hole(kind, 64, rng) for _ in range(20)])
    assert set(holes.unique().tolist()) == {0.0, 1.0}
    shares = holes.mean(dim=(1, 2, 3))
    assert 0.01 < shares.min() <= shares.max() < 0.55


def test_every_method_changes_the_hole_only(tmp_path):
    prior = load_prior(PriorConfig(str(save_toy_prior(tmp_path, "bundled"))), torch.device("cpu"))
    image, hole = torch.rand(3, 32, 32), draw_hole("ball", 32, np.random.default_rng(1))
    for name, method in methods(prior, [1, 2]).items():
        painted = method(image, hole)
        assert torch.equal(torch.where(hole > 0, 0.0, painted), torch.where(hole > 0, 0.0, image)), name
        assert not torch.equal(painted, image), name
        assert painted.min() >= 0, name


def test_the_truth_scores_better_than_a_fill():
    images, hole = torch.rand(2, 3, 32, 32), draw_hole("box", 32, np.random.default_rng(2))
    holes = {"box": torch.stack([hole, hole])}
    near = score(lambda image, _: (image + 0.01).clamp(0, 1), images, holes, Metrics())[0]["box"]
    far, painted = score(harmonic, images, holes, Metrics())
    assert near["psnr/hole"] > 35 > far["box"]["psnr/hole"]
    assert len(painted["box"]) == 2


def test_a_sheet_has_a_row_an_example_and_a_column_a_method(tmp_path):
    draw_sheet(tmp_path / "sheet.png", {"a": [torch.zeros(3, 8, 8)] * 3, "b": [torch.ones(3, 8, 8)] * 3})
    assert Image.open(tmp_path / "sheet.png").size == (24, 52)
