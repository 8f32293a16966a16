"""Disparity loss: agreement of the rendered disparity with that of a monocular network on the target images.

The network gives disparity up to an unknown scale and shift, so the loss is invariant to both: correlation, and the depth order
of pixel pairs (SparseNeRF, eq. 3).
"""

from dataclasses import dataclass
from typing import ClassVar, Literal

import torch
from torch import Tensor

from splatpaint.image.region import dilate
from splatpaint.objectives.protocol import Step, TrainableProperties

MARGIN = 1e-4
"""Least difference of the rendered disparities of a pair in the right order, relative to their mean."""
MIN_DIFFERENCE = 0.02
"""Least difference of a pair in the network's disparity, as a share of its range; other pairs do not count."""
PAIRS = 1024
"""Random pairs of pixels a view."""


@dataclass(frozen=True)
class DisparityConfig:
    """Weights of the terms that compare with a network's disparity; they count only in runs that have a depth network."""

    RENAMED: ClassVar[dict[str, str]] = {
        "rim_px": "boundary_px",
        "margin": "",
        "least_difference": "",
        "pairs": "",
        "reach": "",
    }

    kind: Literal["disparity"] = "disparity"
    correlation: float = 0.05
    """Weight of 1 - Pearson's correlation over the holes and `boundary_px` around them: free of scale and shift."""
    ranking: float = 0.1
    """Weight of the hinge on pairs of pixels whose order is wrong."""
    boundary_px: float = 16.0
    """Width around the holes in which disparities are compared; pixels of a 480-px image."""


class Disparity:
    """Compares rendered disparity to a network's."""

    trains = TrainableProperties(fill=("geometry",), boundary=())

    def __init__(self, config: DisparityConfig) -> None:
        self.config = config

    def __call__(self, step: Step) -> dict[str, Tensor]:
        """The terms `correlation` and `ranking`; zero in a step without a guide."""
        depth = step.rendered.depth
        correlation = ranking = depth.new_zeros(())
        if step.disparity_hint is not None:
            region = (dilate(step.holes, self.config.boundary_px) > 0) & (depth > 0)
            disparity = 1 / torch.where(depth > 0, depth, torch.ones_like(depth))
            for view in range(len(depth)):
                inside = region[view]
                if int(inside.sum()) >= 2:
                    have, want = disparity[view][inside], step.disparity_hint[view][inside]
                    have = have / have.detach().mean()
                    correlation = correlation + (1 - pearson(have, want)) / len(depth)
                    ranking = ranking + self._ranking(have, want, step.generator) / len(depth)
        return {"correlation": self.config.correlation * correlation, "ranking": self.config.ranking * ranking}

    def _ranking(self, have: Tensor, want: Tensor, generator: torch.Generator) -> Tensor:
        one, other = torch.randint(len(have), (2, PAIRS), generator=generator).to(have.device)
        nearer = want[one] - want[other]
        distinct = nearer.abs() > MIN_DIFFERENCE * (want.max() - want.min())
        wrong = (MARGIN - nearer.sign() * (have[one] - have[other])).clamp_min(0) * distinct
        return wrong.sum() / distinct.sum().clamp_min(1)


def pearson(x: Tensor, y: Tensor) -> Tensor:
    """The correlation of two vectors; 0 where one of them is constant."""
    x, y = x - x.mean(), y - y.mean()
    return (x * y).sum() / (x.square().sum() * y.square().sum()).clamp_min(1e-20).sqrt()
