"""What commands that look at a run need of it."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from splatpaint.capture import last_prepared
from splatpaint.formats import read_splats
from splatpaint.render.pick import pick_rasterizer
from splatpaint.render.protocol import Rasterizer
from splatpaint.scene.splats import Splats
from splatpaint.scene.views import Capture, with_exposures
from splatpaint.stages.config import RunConfig
from splatpaint.stages.exposures import read_exposures
from splatpaint.stages.folder import RunFolder
from splatpaint.stages.run import pick_device


@dataclass(frozen=True, eq=False)
class FinishedStage:
    """One stage's splats, and what it takes to render them from the captured views."""

    splats: Splats
    capture: Capture
    rasterizer: Rasterizer
    device: torch.device


def open_run(path: Path, stage: Any, device: str | None) -> FinishedStage:
    """A stage of a run, and the capture as the run has seen it: a pose that changed since is no pose of these splats.

    Args:
        path: the run folder.
        stage: `reconstruct`, `remove` or `inpaint`.
        device: in place of the device that the run was made on.

    Raises:
        RunError: if there is no run, or the stage is not done.
        CaptureError: if the run has lost its prepared capture.
        BackendError: if the device or the run's rasterizer does not work here.
    """
    folder = RunFolder.read(path)
    config = folder.config(RunConfig)
    product = folder.product(stage)
    picked = pick_device(device or config.device)
    rasterizer = pick_rasterizer("auto" if device else config.rasterizer, picked)
    prepared = last_prepared(folder.stage("capture"))
    capture = with_exposures(prepared, read_exposures(folder.stage("reconstruct")))
    return FinishedStage(read_splats(product), capture, rasterizer, picked)
