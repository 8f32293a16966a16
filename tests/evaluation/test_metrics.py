import math
from pathlib import Path

import pytest
import torch

from splatpaint.evaluation.metrics import enlarge, fit_exposure, lpips_in_box, psnr
from splatpaint.image.perceptual import FILE_NAMES, Lpips, _alexnet
from splatpaint.image.region import Box


def test_psnr_follows_its_definition():
    x = torch.full((1, 3, 4, 4), 0.5)
    torch.testing.assert_close(psnr(x, x + 0.1), torch.tensor([20.0]))
    assert psnr(x, x).item() == math.inf


def test_psnr_of_a_region_ignores_the_rest():
    x, y = torch.zeros(1, 3, 4, 4), torch.ones(1, 3, 4, 4)
    region = torch.zeros(1, 1, 4, 4)
    region[..., :2] = 1
    y[..., :2] = 0.1
    torch.testing.assert_close(psnr(x, y, region=region), torch.tensor([20.0]))


def test_exposure_and_white_balance_are_fitted_outside_the_hole_and_taken_out_everywhere():
    truth = 0.2 + 0.5 * torch.rand(1, 3, 12, 12)
    off = truth * torch.tensor([0.8, 1.1, 0.9]).view(1, 3, 1, 1) + 0.05
    known = torch.ones(1, 1, 12, 12)
    known[..., 4:8, 4:8] = 0
    torch.testing.assert_close(fit_exposure(off, truth, region=known), truth, atol=1e-4, rtol=0)
    filled = torch.where(known > 0, off, off + 0.1)
    assert psnr(fit_exposure(filled, truth, region=known), truth, region=1 - known) < 25, "the fill's own error stays"
    assert torch.equal(fit_exposure(off, truth, region=0 * known), off)


def test_a_small_box_is_widened_about_its_center():
    assert enlarge(Box(40, 50, 44, 52), 10, width=100, height=100) == Box(37, 46, 47, 56)


def test_a_widened_box_stays_inside_the_picture():
    assert enlarge(Box(0, 98, 4, 100), 10, width=100, height=100) == Box(0, 90, 10, 100)
    assert enlarge(Box(0, 0, 4, 4), 10, width=6, height=8) == Box(0, 0, 6, 8)


def test_a_box_that_is_large_enough_stays():
    assert enlarge(Box(5, 6, 50, 60), 10, width=100, height=100) == Box(5, 6, 50, 60)


def test_lpips_in_a_box_is_lpips_of_the_crops(tmp_path: Path):
    path = tmp_path / FILE_NAMES["alex"][0]
    torch.save({f"features.{name}": value for name, value in _alexnet().state_dict().items()}, path)
    lpips = Lpips("alex", weights=path)
    x, y = torch.rand(1, 3, 90, 100), torch.rand(1, 3, 90, 100)
    y[..., 80:] = 0
    inside = lpips_in_box(lpips, x, y, Box(0, 0, 70, 80))
    assert inside.item() == pytest.approx(lpips(x[..., :80, :70], y[..., :80, :70]).item())
