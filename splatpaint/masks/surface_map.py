"""A surface seen from above, as the photos of all views together show it."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from splatpaint.image.region import dilate
from splatpaint.masks.holes import RemovalView
from splatpaint.masks.support import Support
from splatpaint.scene.photos import Photo

SIDE_PX = 128
"""Side of the map in cells."""
RADII = 3.5
"""Half of the map's side, in radii of the object: light from the lowest elevation throws no longer shadows."""
OFF_PLANE = 0.15
"""What lies off the plane by less than this, in radii of the object, is of the surface: a rug, or noise of the depth."""
BESIDE = (1.0, 2.5)
"""Distances from the object's middle, in its radii, between which a surface must be seen ..."""
MIN_SEEN = 0.75
"""... in this share of the area: who leans in a corner stands on no plane."""
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
    """A square around the object; rows are v, columns are u."""

    half: float
    """Half its side in world units."""
    log_colors: Float[Tensor, "3 s s"]
    """Logarithm of sRGB, the median over the views."""
    trust: Float[Tensor, "s s"]
    """Near 1 where views agree, 0 where none shows the surface."""


def surface_map(support: Support, photos: Sequence[Photo], views: Sequence[RemovalView]) -> SurfaceMap | None:
    """The map of what the photos show of the plane beside the object; None if it is hardly a plane.

    Args:
        support: the plane.
        photos: with what they show.
        views: the same views, with where they show the scene and how far it is.
    """
    half = RADII * support.radius
    cells = _cells(half).to(support.origin)
    points = support.world(cells)
    seen, colors = [], []
    for photo, view in zip(photos, views, strict=True):
        sighting = view.visible.sight(points)
        clear = dilate(view.occluded.float(), view.camera.px(MARGIN_PX)) == 0
        on_plane = height_off(support, view, sighting.surface, sighting.depth) < OFF_PLANE
        seen.append(sighting.in_frame & sighting.at(clear) & on_plane)
        colors.append(photo.image[0][:, sighting.row, sighting.column].half())
    known = torch.stack(seen)
    logs = torch.stack(colors).float().clamp_min(DARKEST).log()
    logs = torch.where(known[:, None], logs, torch.nan)
    median = logs.nanmedian(dim=0).values
    spread = (logs - median).mean(dim=1).abs().nanmedian(dim=0).values
    trust = (known.sum(dim=0) >= MIN_VIEWS) / (1 + (spread / DISAGREEMENT) ** 2)
    away = cells.norm(dim=1) / support.radius
    if (trust[(away > BESIDE[0]) & (away < BESIDE[1])] > 0).float().mean() < MIN_SEEN:
        return None
    square = (SIDE_PX, SIDE_PX)
    return SurfaceMap(half, median.nan_to_num(0.0).view(3, *square), trust.nan_to_num(0.0).view(square))


def height_off(
    support: Support, view: RemovalView, seen: Float[Tensor, "*at"], plane: Float[Tensor, "*at"]
) -> Float[Tensor, "*at"]:
    """Distance from the plane of what the view sees, in radii of the object; infinite where it sees nothing, or not the plane's
    upper side.

    Args:
        support: the plane.
        view: one of those that see it.
        seen: z-depth of what is seen.
        plane: z-depth of the plane there.
    """
    above = (view.camera.centers[0] - support.origin) @ support.axes[2]
    off = (seen / plane - 1).abs() * above / support.radius
    return torch.where((above > 0) & (seen > 0) & (plane > 0), off, torch.inf)


def _cells(half: float) -> Float[Tensor, "n 2"]:
    """Coordinates (u, v) of the middles of the cells, in row-major order."""
    line = ((torch.arange(SIDE_PX) + 0.5) / SIDE_PX * 2 - 1) * half
    v, u = torch.meshgrid(line, line, indexing="ij")
    return torch.stack([u, v], dim=-1).reshape(-1, 2)
