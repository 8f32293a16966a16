"""NearFloaters: a few large splats right before a camera, which color its whole frame and stand for nothing there.

They make up for what one photo shows otherwise than the rest, and nothing else objects, since no other camera sees them. Behind
a veil no hole is found, and what fills it elsewhere shines through.
"""

from collections.abc import Sequence

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from splatpaint.scene.camera import Cameras

STRAY = 0.005
"""This share of the points in a frame, the nearest, may be mistaken."""


class NearFloaters:
    """Tells splats that stand nearer to a camera than anything in its frame can."""

    def __init__(self, cameras: Sequence[Cameras], points: Float[Tensor, "n 3"], share: float) -> None:
        """
        Args:
            cameras: of the photos, one each.
            points: on the surfaces of the scene, in world units.
            share: of the depth of the nearest points in a frame; what stands nearer is a veil. Without points there is none.
        """
        self.cameras = cameras
        self.bounds = [share * _nearest(camera, points) for camera in cameras]
        """Depths in world units, one for each camera."""

    def among(self, means: Float[Tensor, "n 3"]) -> Bool[Tensor, " n"]:
        """Which splats with these centers are veils, to any of the cameras."""
        found = torch.zeros(len(means), dtype=torch.bool, device=means.device)
        for camera, bound in zip(self.cameras, self.bounds, strict=True):
            _, _, depth, within = camera.find(means)
            found |= within & (depth < bound)
        return found


def _nearest(camera: Cameras, points: Float[Tensor, "n 3"]) -> float:
    _, _, depth, within = camera.find(points)
    return float(depth[within].quantile(STRAY)) if within.any() else 0.0
