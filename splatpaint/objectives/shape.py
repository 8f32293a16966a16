"""Regularization of the fill's geometry: opacity, smoothness, and limited anisotropy of splats."""

from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

from splatpaint.objectives.protocol import Step, TrainableProperties


@dataclass(frozen=True)
class ShapeConfig:
    """Weights of the geometric terms over the holes."""

    kind: Literal["shape"] = "shape"
    coverage: float = 0.5
    """Of `1 - alpha`: keeps a fill from fading away under views that disagree."""
    smoothness: float = 0.2
    """Of the second differences of disparity, relative to the disparity: zero on every plane, in any perspective."""
    anisotropy: float = 0.1
    """Of the excess of a splat's longest over its middle axis beyond `max_anisotropy`."""
    max_anisotropy: float = 4.0
    """How many times longer than its middle axis a splat's longest may be before it costs (PhysGaussian, eq. 19)."""


class Shape:
    """Penalties for transparency, curvature and needle-shaped splats in the holes."""

    trains = TrainableProperties()

    def __init__(self, config: ShapeConfig) -> None:
        self.config = config

    def __call__(self, step: Step) -> dict[str, Tensor]:
        """The terms `coverage`, `smoothness` and `anisotropy`."""
        holes = step.holes
        area = holes.sum().clamp_min(1.0)
        uncovered = ((1 - step.rendered.alpha) * holes).sum() / area
        scales = step.splats.log_scales.sort(dim=-1).values
        stretch = (scales[:, 2] - scales[:, 1]).exp()
        needles = (stretch - self.config.max_anisotropy).clamp_min(0).mean() if len(stretch) else uncovered * 0
        return {
            "coverage": self.config.coverage * uncovered,
            "smoothness": self.config.smoothness * bending(step.rendered.depth, holes),
            "anisotropy": self.config.anisotropy * needles,
        }


def bending(depth: Tensor, holes: Tensor) -> Tensor:
    """Mean absolute second difference of disparity, relative to the mean disparity there, over the holes.

    Disparity is affine in pixel coordinates on any plane, so planes cost nothing however they are seen.

    Args:
        depth: (v, 1, h, w) z-depth, 0 = unknown.
        holes: (v, 1, h, w) weights in [0, 1].
    """
    known = depth > 0
    disparity = torch.where(known, 1 / torch.where(known, depth, torch.ones_like(depth)), torch.zeros_like(depth))
    total = depth.new_zeros(())
    for axis in (2, 3):
        length = depth.shape[axis]
        if length < 3:
            continue
        left, center, right = (disparity.narrow(axis, start, length - 2) for start in range(3))
        usable = holes.narrow(axis, 1, length - 2)
        for start in range(3):
            usable = usable * known.narrow(axis, start, length - 2)
        second = (left - 2 * center + right).abs() * usable
        total = total + second.sum() / (center.detach() * usable).sum().clamp_min(1e-6)
    return total
