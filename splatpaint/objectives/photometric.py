"""Photometric loss: L1 and structural similarity.

Losses are averaged over all weighted pixels of a step, so an objective for a part of them counts in proportion to its area.
"""

from dataclasses import dataclass
from typing import ClassVar, Literal

import torch
from torch import Tensor

from splatpaint.image.ssim import ssim_map
from splatpaint.objectives.protocol import Step, TrainableProperties


@dataclass(frozen=True)
class PhotometricConfig:
    """`(1 - dssim) L1 + dssim (1 - SSIM)` (3DGS, eq. 7)."""

    RENAMED: ClassVar[dict[str, str]] = {"holes": "pixels", "known": "pixels", "reach": ""}

    kind: Literal["photometric"] = "photometric"
    pixels: Literal["all", "observed", "painted"] = "all"
    """Which pixels count: all, those that a camera saw, or those in holes."""
    weight: float = 1.0
    dssim: float = 0.2
    """Share of the structural term."""


class Photometric:
    """Difference between rendered pixels and the target."""

    trains = TrainableProperties()

    def __init__(self, config: PhotometricConfig) -> None:
        self.config = config

    def __call__(self, step: Step) -> dict[str, Tensor]:
        """One term, `photometric` or named by the pixels that count; zero where none does."""
        match self.config.pixels:
            case "all":
                name, weight = "photometric", step.weight
            case "observed":
                name, weight = "observed", step.weight * (1 - step.holes)
            case "painted":
                name, weight = "painted", step.weight * step.holes
        area = step.weight.sum().clamp_min(1.0)
        color = step.rendered.color
        loss = (1 - self.config.dssim) * ((color - step.target).abs().mean(dim=1, keepdim=True) * weight).sum() / area
        if self.config.dssim > 0:
            # Pixels of weight 0 are made equal, or SSIM windows would include them across the border.
            shown = torch.lerp(step.target, color, (weight > 0).to(color))
            dissimilarity = 1 - ssim_map(shown, step.target).mean(dim=1, keepdim=True)
            loss = loss + self.config.dssim * (dissimilarity * weight).sum() / area
        return {name: self.config.weight * loss}
