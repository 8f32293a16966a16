"""What a fill is made with."""

from dataclasses import dataclass

import torch

from splatpaint.priors.depth import DepthPrior
from splatpaint.priors.protocol import Prior
from splatpaint.render.protocol import Rasterizer


@dataclass(frozen=True, eq=False)
class Tools:
    """What paints, renders and estimates depth, where it runs, and the seed of all that is random."""

    prior: Prior
    rasterizer: Rasterizer
    device: torch.device
    seed: int = 0
    """Same seed, same fill; on a CPU bit for bit."""
    depth: DepthPrior | None = None
    """Estimates the disparity of painted images; None: surfaces are continued smoothly."""
