"""Photometric loss: L1 and structural similarity.

Losses are averaged over all weighted pixels of a step, so an objective for a part of them counts in proportion to its area.
"""

from dataclasses import dataclass, field
from typing import Literal

import torch
from torch import Tensor

from splatpaint.image.ssim import ssim_map
from splatpaint.objectives.protocol import Reach, Step


@dataclass(frozen=True)
class PhotometricConfig:
    """`(1 - dssim) L1 + dssim (1 - SSIM)` (3DGS, eq. 7)."""

    kind: Literal["photometric"] = "photometric"
    weight: float = 1.0
    dssim: float = 0.2
    """Share of the structural term."""
    holes: float = 1.0
    """Weight of filled pixels; 0 excludes the holes."""
    known: float = 1.0
    """Weight of known pixels."""
    reach: Reach = field(default_factory=Reach)


class Photometric:
    """Difference between rendered pixels and the target."""

    def __init__(self, config: PhotometricConfig, name: str = "photometric") -> None:
        self.config, self.name = config, name
        self.reach = config.reach

    def __call__(self, step: Step) -> dict[str, Tensor]:
        """One term, of the objective's name; zero where no pixel counts."""
        weight = step.weight * (self.config.holes * step.holes + self.config.known * (1 - step.holes))
        area = step.weight.sum().clamp_min(1.0)
        color = step.rendered.color
        loss = (1 - self.config.dssim) * ((color - step.target).abs().mean(dim=1, keepdim=True) * weight).sum() / area
        if self.config.dssim > 0:
            # Pixels of weight 0 are made equal, or SSIM windows would include them across the border.
            shown = torch.lerp(step.target, color, (weight > 0).to(color))
            dissimilarity = 1 - ssim_map(shown, step.target).mean(dim=1, keepdim=True)
            loss = loss + self.config.dssim * (dissimilarity * weight).sum() / area
        return {self.name: self.config.weight * loss}
