"""How large the holes of a run are beside its masks, and how much of what was covered is still open after the fill."""

from statistics import fmean

import torch

from splatpaint.image.files import read_mask
from splatpaint.masks.visibility import SURFACE
from splatpaint.render.protocol import Rasterizer
from splatpaint.scene.splats import Splats
from splatpaint.scene.views import Capture
from splatpaint.stages.folder import RunFolder


@torch.no_grad()
def hole_scores(
    run: RunFolder, capture: Capture, filled: Splats, rasterizer: Rasterizer, device: torch.device
) -> dict[str, float]:
    """`hole/mask`: pixels of the removal's hole over pixels of the mask; it may exceed 1, as an object reaches beyond its mask.
    `open`: share of the mask's pixels where the filled scene has an opacity below `SURFACE`. Both are means over the
    supervising views whose mask is not empty, at the working resolution.

    Args:
        run: a finished run.
        capture: its prepared capture.
        filled: its filled scene, in the capture's world.
        rasterizer: any.
        device: of the splats.
    """
    ratios, shares = [], []
    for view in capture.views:
        if view.fill_mask is None or not (mask := read_mask(view.fill_mask) > 0.5).any():
            continue
        hole = read_mask(run.path / "remove" / "holes" / f"{view.name}.png") > 0.5
        alpha = rasterizer(filled, view.camera.to(device)).alpha[0].cpu()
        ratios.append(float(hole.sum() / mask.sum()))
        shares.append(float((alpha[mask] < SURFACE).float().mean()))
    return {"hole/mask": fmean(ratios), "open": fmean(shares)}
