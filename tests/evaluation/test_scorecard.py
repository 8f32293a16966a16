import math
from pathlib import Path

import pytest
import torch
from torch import Tensor
from torch.nn.functional import avg_pool2d, pad

from splatpaint.evaluation import Pair, evaluate
from splatpaint.image.perceptual import FILE_NAMES, Lpips, _alexnet


def picture() -> Tensor:
    return avg_pool2d(torch.rand(3, 86, 106), 7, stride=1)


def hole() -> Tensor:
    mask = torch.zeros(1, 80, 100)
    mask[:, 30:50, 40:60] = 1
    return mask


def scores(render: Tensor, truth: Tensor, mask: Tensor) -> dict[str, float]:
    return evaluate([Pair("a", render, truth, mask)]).means


def test_the_truth_scores_perfectly_everywhere():
    truth = picture()
    means = scores(truth, truth, hole())
    for region in ("full", "hole", "bbox", "ring"):
        assert means[f"psnr/{region}"] == math.inf
        assert means[f"ssim/{region}"] == pytest.approx(1, abs=1e-5)


def test_more_blur_and_more_shift_score_worse_in_every_region():
    truth = picture()
    blurs = [avg_pool2d(pad(truth, (k, k, k, k), mode="reflect"), 2 * k + 1, stride=1) for k in (1, 3)]
    shifts = [truth.roll(k, dims=-1) for k in (1, 4)]
    for mild, strong in (blurs, shifts):
        better, worse = scores(mild, truth, hole()), scores(strong, truth, hole())
        assert better.keys() == worse.keys()
        assert all(better[name] > worse[name] for name in better)


def test_an_error_counts_in_the_regions_that_hold_it():
    truth = picture()
    inside, beside, around, far = (truth.clone() for _ in range(4))
    inside[:, 40, 50] += 0.5
    beside[:, 40, 61] += 0.5
    around[:, 40, 70] += 0.5
    far[:, 5, 5] += 0.5
    touched = [
        {
            name.split("/")[1]
            for name, value in scores(render, truth, hole()).items()
            if name[:5] == "psnr/" and value < math.inf
        }
        for render in (inside, beside, around, far)
    ]
    assert touched == [
        {"full", "hole", "bbox"},
        {"full", "known", "bbox", "ring"},
        {"full", "known", "ring"},
        {"full", "known"},
    ]


def test_hole_error_is_averaged_over_the_hole_alone():
    truth = picture()
    means = scores(truth + 0.1 * hole(), truth, hole())
    assert means["psnr/hole"] == pytest.approx(20, abs=1e-4)
    assert means["psnr/full"] == pytest.approx(20 + 10 * math.log10(80 * 100 / 400), abs=1e-4)


def test_lpips_of_the_hole_does_not_see_what_surrounds_it(tmp_path: Path):
    path = tmp_path / FILE_NAMES["alex"][0]
    torch.save({f"features.{name}": value for name, value in _alexnet().state_dict().items()}, path)
    lpips = {"alex": Lpips("alex", weights=path)}
    truth = picture()
    spoiled = evaluate([Pair("a", torch.where(hole() > 0, truth, 1 - truth), truth, hole())], lpips=lpips).means
    assert spoiled["lpips_alex/hole"] == 0
    assert spoiled["lpips_alex/bbox"] > 0
    filled = evaluate([Pair("a", torch.where(hole() > 0, 1 - truth, truth), truth, hole())], lpips=lpips).means
    assert filled["lpips_alex/hole"] == pytest.approx(filled["lpips_alex/bbox"])
    assert filled["lpips_alex/hole"] > 0


def test_a_view_without_a_hole_has_no_hole_scores_and_does_not_spoil_the_mean():
    truth = picture()
    empty = Pair("b", truth + 0.2, truth, torch.zeros(1, 80, 100))
    card = evaluate([Pair("a", truth + 0.1, truth, hole()), empty])
    assert {name.split("/")[1] for name in card.views["b"]} == {"full", "known"}
    assert card.means["psnr/hole"] == pytest.approx(20, abs=1e-4)
