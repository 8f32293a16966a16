"""Whether a view sees a point: the one test of a point against the surface that a camera sees.

A point is projected into the view and its z-depth compared with the depth map there. On the surface means seen, before it
means that the point would hide what the view shows (a violation of free space), behind it means occluded.
"""

from collections.abc import Iterable
from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float, Float16, Int
from torch import Tensor

from splatpaint.scene.camera import Cameras

SAME_SURFACE = 0.05
"""Relative difference of z-depths up to which two are of one surface."""
OCCLUDES = 0.05
"""A point occludes a surface that is farther by more than this share of the surface's depth."""
VISIBLE = 0.5
"""Accumulated opacity from which something shows in a pixel."""
SURFACE = 0.9
"""Accumulated opacity from which a rendered depth is that of one surface, and may be continued."""
MAX_DEPTH = 65504.0
"""World units; the largest half float."""


def as_half(depth: Float[Tensor, "*map"]) -> Float16[Tensor, "*map"]:
    """A depth map in two bytes a pixel; the relative error is 0.05 % at most, a hundredth of the tolerances here."""
    return depth.clamp_max(MAX_DEPTH).half()


@dataclass(frozen=True, eq=False)
class DepthView:
    """The surface that one camera sees."""

    camera: Cameras
    """A batch of one."""
    depth: Float[Tensor, "1 1 h w"]
    """z-depth in world units; 0 = unknown. May be half floats."""

    def sight(self, points: Float[Tensor, "n 3"]) -> "Sighting":
        """Where the view would see world points."""
        row, column, depth, in_frame = self.camera.find(points)
        return Sighting(row, column, depth, self.depth[0, 0, row, column].to(depth), in_frame)


@dataclass(frozen=True, eq=False)
class Sighting:
    """Points as one view would see them. Rows and columns of points outside the frame are those of the nearest border."""

    row: Int[Tensor, " n"]
    column: Int[Tensor, " n"]
    depth: Float[Tensor, " n"]
    """z-depth of the points in world units."""
    surface: Float[Tensor, " n"]
    """z-depth of what the view sees at their pixels; 0 = unknown."""
    in_frame: Bool[Tensor, " n"]

    def on_surface(self, tolerance: float | Float[Tensor, " n"] = SAME_SURFACE) -> Bool[Tensor, " n"]:
        """Points in the frame that are on the surface seen there, up to a share of their depth; none where it is unknown."""
        near = (self.depth - self.surface).abs() <= tolerance * self.depth
        return self.in_frame & near & (self.surface > 0)

    def occluding(self, nearer: float = 1 - OCCLUDES) -> Bool[Tensor, " n"]:
        """Points in the frame nearer than `nearer` times the depth of what is seen there; none where that is unknown."""
        return self.in_frame & (self.depth < nearer * self.surface)

    def at(self, picture: Tensor) -> Tensor:
        """The values, (n,), of a map of the view, (1, 1, h, w), at the points' pixels."""
        return picture[0, 0, self.row, self.column]


def free_space_violation(points: Float[Tensor, "n 3"], views: Iterable[DepthView], *, nearer: float) -> Float[Tensor, " n"]:
    """Share of the views with a point in their frame that see something farther there, in [0, 1].

    Args:
        points: in the world.
        views: surfaces that photos show; an unknown depth is never violated.
        nearer: a point violates what is farther than its depth divided by this.
    """
    violated = torch.zeros(len(points), device=points.device)
    looked = torch.zeros_like(violated)
    for view in views:
        sighting = view.sight(points)
        looked += sighting.in_frame
        violated += sighting.occluding(nearer)
    return violated / looked.clamp_min(1)
