"""A surface seen from above, as the photos of all views together show it."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from splatpaint.image.region import dilate
from splatpaint.masks.holes import RemovalView
from splatpaint.masks.support import Support
from splatpaint.scene.photos import Photo

SIDE_PX = 160
"""Side of the map in cells."""
FOOT_RADII = 4.4
"""Half of the map's side, in radii of the foot."""
OUTLIER = 1.6
"""Splats farther from the middle than this, in radii of the foot, are none of the foot."""
MARGIN_PX = 2
"""Pixels so near to the object show some of it; pixels of a 480-px image."""
MIN_VIEWS = 2
"""Number of photos that must show a cell."""
DISAGREEMENT = 0.05
"""Deviation of the logarithm of brightness between views at which a cell counts half."""
DARKEST = 0.03
"""sRGB below this is noise; its logarithm is not told apart."""


@dataclass(frozen=True, eq=False)
class SurfaceMap:
    """A square around the foot of the object; rows are v, columns are u."""

    half: float
    """Half its side in world units."""
    log_colors: Float[Tensor, "3 s s"]
    """Logarithm of sRGB, the median over the views."""
    trust: Float[Tensor, "s s"]
    """Near 1 where views agree, 0 where none shows the surface."""
    foot: Bool[Tensor, "s s"]
    """Where the object stands."""


def surface_map(support: Support, photos: Sequence[Photo], views: Sequence[RemovalView]) -> SurfaceMap | None:
    """The map of what the photos show of the plane beside the object; None if the foot is no area.

    Args:
        support: the plane.
        photos: with what they show.
        views: the same views, with where they show the scene and how far it is.
    """
    outline = _outline(support.foot)
    if outline is None:
        return None
    half = FOOT_RADII * float(outline.reach)
    coordinates = _cells(half).to(support.origin)
    points = support.world(coordinates)
    seen, colors = [], []
    for photo, view in zip(photos, views, strict=True):
        sighting = view.visible.sight(points)
        clear = dilate(view.occluded.float(), view.camera.px(MARGIN_PX)) == 0
        seen.append(sighting.on_surface() & sighting.at(clear))
        colors.append(photo.image[0][:, sighting.row, sighting.column].half())
    known = torch.stack(seen)
    logs = torch.stack(colors).float().clamp_min(DARKEST).log()
    logs = torch.where(known[:, None], logs, torch.nan)
    median = logs.nanmedian(dim=0).values
    spread = (logs - median).mean(dim=1).abs().nanmedian(dim=0).values
    trust = (known.sum(dim=0) >= MIN_VIEWS) / (1 + (spread / DISAGREEMENT) ** 2)
    square = (SIDE_PX, SIDE_PX)
    return SurfaceMap(
        half,
        median.nan_to_num(0.0).view(3, *square),
        trust.nan_to_num(0.0).view(square),
        outline.contains(coordinates).view(square),
    )


@dataclass(frozen=True, eq=False)
class _Outline:
    """A convex polygon."""

    normals: Float[Tensor, "m 2"]
    offsets: Float[Tensor, " m"]
    reach: float
    """Radius of a disc of its area."""

    def contains(self, points: Float[Tensor, "n 2"]) -> Bool[Tensor, " n"]:
        return (points @ self.normals.T + self.offsets <= 0).all(dim=1)


def _outline(foot: Float[Tensor, "n 2"]) -> _Outline | None:
    """The convex hull of the foot without outliers."""
    from scipy.spatial import ConvexHull, QhullError

    away = foot.norm(dim=1)
    foot = foot[away <= OUTLIER * away.quantile(0.7)]
    try:
        hull = ConvexHull(foot.double().cpu().numpy())
    except (QhullError, ValueError):
        return None
    equations = torch.from_numpy(hull.equations).to(foot)
    return _Outline(equations[:, :2], equations[:, 2], math.sqrt(hull.volume / math.pi))


def _cells(half: float) -> Float[Tensor, "n 2"]:
    """Coordinates (u, v) of the middles of the cells, in row-major order."""
    line = ((torch.arange(SIDE_PX) + 0.5) / SIDE_PX * 2 - 1) * half
    v, u = torch.meshgrid(line, line, indexing="ij")
    return torch.stack([u, v], dim=-1).reshape(-1, 2)
