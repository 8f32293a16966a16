"""Photometric loss: L1 and structural similarity.

Losses are averaged over all weighted pixels of a step, so an objective for a part of them counts in proportion to its area.
"""

from dataclasses import dataclass
from typing import ClassVar, Literal

from torch import Tensor

from splatpaint.image.photometric import photometric_difference
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
        total = photometric_difference(step.rendered.color, step.target, weight, dssim=self.config.dssim)
        return {name: self.config.weight * total / step.weight.sum().clamp_min(1.0)}
