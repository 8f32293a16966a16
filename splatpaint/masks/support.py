"""The plane that an object stands on."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn.functional import normalize

from splatpaint.masks.holes import RemovalView
from splatpaint.masks.visibility import VISIBLE
from splatpaint.scene.splats import Splats
from splatpaint.streams import generator

AROUND = 2.5
"""The supporting plane is looked for within so many radii of the object."""
TOLERANCE = 0.06
"""Distance up to which a point lies on a plane, in radii of the object."""
PLANES = 4
"""Number of planes that are tried, the one with most points first."""
TRIALS = 400
"""Planes through three random points, of which the one with most points is taken."""
MIN_POINTS = 30
"""Fewer splats are no object, and fewer points no surface."""
LEAST_SHARE = 0.1
"""A smaller share of the points is no surface either."""
POINTS_PER_VIEW = 100
"""Number of points that planes are fitted to."""
STANDS_ON = 0.9
"""An object stands on a plane if this share of its splats is on one side of it, ..."""
SUNK = 0.25
"""... or no deeper than this, in radii of the object (rendered depth lies before the centers of splats seen aslant), ..."""
TOUCHES = 0.35
"""... and the lowest splats are no higher than this, in radii of the object."""
LOWEST = 0.05
"""Share of the splats that are the lowest."""
RADIUS = 1.3
"""Radius of an object, in medians of the distance of its splats from its middle: far splats may have gone with it."""


@dataclass(frozen=True, eq=False)
class Support:
    """The plane an object stands on, with coordinates (u, v) on it and heights above it."""

    origin: Float[Tensor, " 3"]
    """The point of it below the object's middle, in the world."""
    axes: Float[Tensor, "3 3"]
    """Rows: the directions of u and v, and the normal on the object's side."""
    radius: float
    """Of the object, world units."""

    def world(self, uv: Float[Tensor, "n 2"]) -> Float[Tensor, "n 3"]:
        """Points of the plane."""
        return self.origin + uv @ self.axes[:2]


def find_support(removed: Splats, views: Sequence[RemovalView]) -> Support | None:
    """The plane around the removed splats that they stand on; None if they stand on none.

    Args:
        removed: the object, and little else.
        views: what was photographed around it.
    """
    points = removed.means[removed.opacities > VISIBLE]
    if len(points) < MIN_POINTS:
        return None
    center = points.median(dim=0).values
    radius = RADIUS * float((points - center).norm(dim=1).median())
    points = points[(points - center).norm(dim=1) < 2 * radius]
    around = _surface_points(views, center, AROUND * radius)
    for point, normal in _planes(around, TOLERANCE * radius):
        height = (points - point) @ normal
        if height.median() < 0:
            normal, height = -normal, -height
        on_one_side = (height > -SUNK * radius).float().mean() > STANDS_ON
        if on_one_side and height.quantile(LOWEST) < TOUCHES * radius:
            side = normalize(torch.linalg.cross(normal, torch.eye(3).to(normal)[normal.abs().argmin()]), dim=0)
            axes = torch.stack([side, torch.linalg.cross(normal, side), normal])
            return Support(center - (center - point) @ normal * normal, axes, radius)
    return None


def _surface_points(views: Sequence[RemovalView], center: Float[Tensor, " 3"], reach: float) -> Float[Tensor, "n 3"]:
    """Points that the photos show within reach of the center, some of every view.

    Of rendered depth, since a table may be one large splat.
    """
    draws, result = generator(0), []
    for view in views:
        depth = view.visible.depth.float()
        points = view.camera.unproject_where(depth, depth > 0)
        points = points[(points - center).norm(dim=1) < reach]
        result.append(points[torch.randperm(len(points), generator=draws)[:POINTS_PER_VIEW].to(points.device)])
    return torch.cat(result)


def _planes(points: Float[Tensor, "n 3"], tolerance: float) -> Iterator[tuple[Float[Tensor, " 3"], Float[Tensor, " 3"]]]:
    """Planes with most points, as point and normal, each of the points off those before (RANSAC, Fischler & Bolles 1981)."""
    draws, fewest = generator(0), max(MIN_POINTS, LEAST_SHARE * len(points))
    for _ in range(PLANES):
        if len(points) < fewest:
            return
        triples = points[torch.randint(len(points), (TRIALS, 3), generator=draws).to(points.device)]
        first, second, third = triples.unbind(dim=1)
        normals = normalize(torch.linalg.cross(second - first, third - first), dim=1)
        off = (points @ normals.T - (first * normals).sum(dim=1)).abs()  # (n, trials)
        on = off[:, (off < tolerance).sum(dim=0).argmax()] < tolerance
        if on.sum() < fewest:
            return
        middle = points[on].mean(dim=0)
        normal = torch.linalg.svd(points[on] - middle, full_matrices=False).Vh[2]
        yield middle, normal
        points = points[~on]
