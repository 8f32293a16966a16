from pathlib import Path

import pytest
import torch
from transformers import DepthAnythingConfig, DepthAnythingForDepthEstimation, Dinov2Config

from splatpaint.errors import PriorError
from splatpaint.priors.depth import DepthConfig, find_depth, fitted_disparity, load_depth

CPU = torch.device("cpu")


def save_toy(folder: Path, kind: str) -> Path:
    torch.manual_seed(0)
    stages = ["stage1", "stage2", "stage3", "stage4"]
    backbone = Dinov2Config(
        hidden_size=16,
        num_hidden_layers=4,
        num_attention_heads=2,
        image_size=56,
        patch_size=14,
        out_features=stages,
        reshape_hidden_states=False,
    )
    config = DepthAnythingConfig(
        backbone_config=backbone,
        reassemble_hidden_size=16,
        patch_size=14,
        neck_hidden_sizes=[8, 8, 8, 8],
        fusion_hidden_size=8,
        head_hidden_size=8,
        depth_estimation_type=kind,
    )
    DepthAnythingForDepthEstimation(config).save_pretrained(folder)
    return folder


@pytest.mark.parametrize("kind", ["relative", "metric"])
def test_a_model_from_a_folder_sees_disparity_in_pictures_of_any_size(kind: str, tmp_path: Path):
    seen = load_depth(DepthConfig(str(save_toy(tmp_path, kind)), side_px=56), CPU)
    assert seen is not None
    disparity = seen(torch.rand(2, 3, 40, 70))
    assert disparity.shape == (2, 1, 40, 70)
    assert disparity.isfinite().all()
    assert disparity.std() > 0


def test_none_is_none_and_what_is_no_model_is_refused(tmp_path: Path):
    assert load_depth(DepthConfig(), CPU) is None
    with pytest.raises(PriorError, match="cannot be loaded") as refused:
        load_depth(DepthConfig(str(tmp_path)), CPU)
    assert "\n" not in str(refused.value)


def test_the_fit_undoes_scale_and_shift_although_a_quarter_of_the_region_is_something_else():
    generator = torch.Generator().manual_seed(0)
    truth = torch.rand(1, 1, 20, 20, generator=generator)
    region = torch.zeros_like(truth)
    region[..., :4] = 1
    believed = truth.clone()
    believed[..., :5, :4] = 7.0
    fitted = fitted_disparity((truth - 0.3) / 2.5, believed, region)
    torch.testing.assert_close(fitted, truth, atol=1e-3, rtol=0)


def test_a_network_that_sees_the_opposite_counts_as_one_that_sees_a_wall():
    truth = torch.linspace(1, 2, 30).view(1, 1, 1, 30)
    fitted = fitted_disparity(-truth, truth, torch.ones_like(truth))
    assert (fitted - fitted[..., :1]).abs().max() == 0
    assert fitted[..., 0].item() == pytest.approx(1.5, abs=0.05)


@pytest.mark.gpu
def test_the_fit_works_on_a_gpu():
    truth = torch.rand(1, 1, 20, 20, device="cuda")
    fitted = fitted_disparity((truth - 0.3) / 2.5, truth, torch.ones_like(truth))
    torch.testing.assert_close(fitted, truth, atol=1e-3, rtol=0)


@pytest.mark.parametrize("name", ["nowhere", "a/b/c"])
def test_a_name_that_is_nothing_is_refused_early(name: str, tmp_path: Path):
    with pytest.raises(PriorError, match="neither 'none', a folder"):
        find_depth(DepthConfig(name))
    with pytest.raises(PriorError, match="neither 'none', a folder"):
        find_depth(DepthConfig(str(tmp_path)))
    find_depth(DepthConfig("owner/model"))
    find_depth(DepthConfig())
