"""Near floaters: a few large splats right before a camera, which tint its whole frame and stand for no surface.

They compensate what one photo shows otherwise than the rest, and no other camera sees them. Behind a near floater no hole is
found, and the fill shines through it.
"""

from collections.abc import Sequence

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from splatpaint.scene.camera import Cameras

OUTLIERS = 0.005
"""Share of the points in a frame, the nearest ones, that may be errors of matching."""


class NearFloaters:
    """Finds splats that are nearer to a camera than any surface in its frame can be."""

    def __init__(self, cameras: Sequence[Cameras], points: Float[Tensor, "n 3"], share: float) -> None:
        """
        Args:
            cameras: of the photos, each a batch of one.
            points: on the surfaces of the scene, in world units.
            share: of the depth of the nearest points in a frame; what is nearer is a near floater. Without points none is.
        """
        self.cameras = cameras
        self.bounds = [share * _nearest(camera, points) for camera in cameras]
        """z-depths in world units, one for each camera."""

    def among(self, means: Float[Tensor, "n 3"]) -> Bool[Tensor, " n"]:
        """Which splats with these centers are near floaters of any camera."""
        found = torch.zeros(len(means), dtype=torch.bool, device=means.device)
        for camera, bound in zip(self.cameras, self.bounds, strict=True):
            _, _, depth, in_frame = camera.find(means)
            found |= in_frame & (depth < bound)
        return found


def _nearest(camera: Cameras, points: Float[Tensor, "n 3"]) -> float:
    _, _, depth, in_frame = camera.find(points)
    return float(depth[in_frame].quantile(OUTLIERS)) if in_frame.any() else 0.0
