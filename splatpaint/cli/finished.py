"""Loading of a finished stage for commands that render or export it."""

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
    """The splats of one stage, and the capture, rasterizer and device to render them with."""

    splats: Splats
    capture: Capture
    rasterizer: Rasterizer
    device: torch.device


def open_run(path: Path, stage: Any, device: str | None) -> FinishedStage:
    """Loads a stage of a run, with the capture as the run prepared it: poses may have changed since.

    Args:
        path: the run folder.
        stage: `reconstruct`, `remove` or `inpaint`.
        device: overrides the device of the run.

    Raises:
        RunError: if there is no run, or the stage is not done.
        CaptureError: if the prepared capture of the run is missing.
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
