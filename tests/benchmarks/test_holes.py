from pathlib import Path

import pytest
import torch

from benchmarks.holes import hole_scores
from splatpaint.capture import CaptureConfig, inputs, prepare
from splatpaint.events import drain
from splatpaint.image.files import read_mask, write_mask
from splatpaint.render.pick import pick_rasterizer
from splatpaint.scene.splats import Splats
from splatpaint.stages.config import RunConfig
from splatpaint.stages.folder import RunFolder


def one_splat(logit_opacity: float) -> Splats:
    """A splat that is large enough to fill every view."""
    return Splats(
        means=torch.tensor([[0.0, 0.0, 0.0]]),
        quats=torch.tensor([[1.0, 0, 0, 0]]),
        log_scales=torch.full((1, 3), 3.0),
        logit_opacities=torch.full((1,), logit_opacity),
        sh=torch.zeros(1, 1, 3),
    )


def test_a_hole_of_half_of_every_mask_is_half_and_an_empty_scene_is_open(task: Path, tmp_path: Path):
    capture = drain(prepare(task, CaptureConfig(), cache=tmp_path / "cache"))
    config = RunConfig()
    device = torch.device("cpu")
    rasterizer = pick_rasterizer("native", device)
    with RunFolder.open(tmp_path / "run", task, config, files=inputs(task, config.capture)) as run:
        for view in capture.views:
            assert view.fill_mask is not None
            mask = (read_mask(view.fill_mask) > 0.5).flatten()
            mask[mask.nonzero()[::2]] = False
            shape = read_mask(view.fill_mask).shape
            write_mask(run.path / "remove" / "holes" / f"{view.name}.png", mask.reshape(shape).float())
        clear, opaque = (hole_scores(run, capture, one_splat(logit), rasterizer, device) for logit in (-9.0, 9.0))
    assert clear["hole/mask"] == pytest.approx(0.5, abs=0.01)
    assert (clear["open"], opaque["open"]) == (1, 0)
