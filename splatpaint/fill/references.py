"""Other views to look at while a hole is painted: the one that shows most of what is in it, or has been painted there.

InConDiff's in-context views, chosen by what rendered depth says of visibility rather than by the distance of cameras. A context
view is brought into the frame of the hole by the affine map that the hole's points follow, so that a crop of both shows the
same place at the same size; a view that the hole is prefilled from is warped pixel by pixel.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float
from torch import Tensor

from splatpaint.masks.visibility import DepthView
from splatpaint.priors.protocol import Reference
from splatpaint.scene.camera import Cameras

MIN_OVERLAP = 0.25
"""A view that shows a smaller share of the hole than this is no reference for it."""
MAX_POINTS = 2000
"""Points of a hole that are reprojected."""


@dataclass(frozen=True, eq=False)
class ReferenceView:
    """A view that may be looked at."""

    camera: Cameras
    """A batch of one."""
    image: Float[Tensor, "1 3 h w"]
    """sRGB in [0, 1]; may be half floats."""
    depth: Float[Tensor, "1 1 h w"]
    """z-depth of the scene as it is, world units; may be half floats."""
    known: Float[Tensor, "1 1 h w"]
    """1 where the image shows what is there: observed, or painted already."""


@torch.no_grad()
def reference_for(target: ReferenceView, hole: Float[Tensor, "1 1 h w"], others: Sequence[ReferenceView]) -> Reference | None:
    """The view among the others that shows most of the target's hole, in the target's frame; None if none shows enough.

    Args:
        target: the view that is to be painted.
        hole: 1 where.
        others: may be of any size; of equal ones the first is taken.
    """
    found = _largest_overlap(target, hole, others)
    if found is None:
        return None
    map_ = _affine(found.here, found.there)
    rows, columns = torch.meshgrid(*(torch.arange(extent).to(map_) for extent in hole.shape[2:]), indexing="ij")
    return sample_view(found.view, torch.stack([columns + 0.5, rows + 0.5, torch.ones_like(rows)], dim=-1) @ map_)


@torch.no_grad()
def warped_for(target: ReferenceView, hole: Float[Tensor, "1 1 h w"], others: Sequence[ReferenceView]) -> Reference | None:
    """As `reference_for`, but every pixel follows the target's depth, and is unknown where the other view is occluded."""
    found = _largest_overlap(target, hole, others)
    if found is None:
        return None
    height, width = hole.shape[2:]
    depth = target.depth.float()
    pixels, valid = reproject(target.camera.unproject(depth)[0].flatten(0, 1), found.view)
    sampled = sample_view(found.view, pixels.view(height, width, 2))
    valid = valid & (depth.flatten() > 0)
    return Reference(sampled.images, torch.maximum(sampled.unknown, 1 - valid.view(1, 1, height, width).to(sampled.unknown)))


def nearest_first(cameras: Sequence[Cameras], worth: Sequence[float]) -> list[int]:
    """An order of views: the one of highest worth, then always the one whose camera is nearest to one before it."""
    centers = torch.cat([camera.centers for camera in cameras])
    distances = torch.cdist(centers, centers)
    order = [max(range(len(worth)), key=lambda index: worth[index])]
    left = set(range(len(worth))) - set(order)
    while left:
        order.append(min(left, key=lambda index: float(distances[index, order].min())))
        left.remove(order[-1])
    return order


@dataclass(frozen=True, eq=False)
class Overlap:
    """Points of a hole that another view shows."""

    view: ReferenceView
    here: Float[Tensor, "n 2"]
    """Pixels (x, y) in the hole's view."""
    there: Float[Tensor, "n 2"]
    """Pixels (x, y) in the other view."""


def _largest_overlap(target: ReferenceView, hole: Float[Tensor, "1 1 h w"], others: Sequence[ReferenceView]) -> Overlap | None:
    depth = target.depth.float()
    rows, columns = torch.nonzero((hole[0, 0] > 0) & (depth[0, 0] > 0), as_tuple=True)
    step = max(1, math.ceil(len(rows) / MAX_POINTS))
    rows, columns = rows[::step], columns[::step]
    points = target.camera.unproject(depth)[0][rows, columns]
    here = torch.stack([columns, rows], dim=1) + 0.5
    best, most = None, 0
    for other in others:
        pixels, valid = reproject(points, other)
        count = int(valid.sum())
        if count > most and count >= max(3, MIN_OVERLAP * len(rows)):
            best, most = Overlap(other, here[valid], pixels[valid]), count
    return best


def reproject(points: Float[Tensor, "n 3"], other: ReferenceView) -> tuple[Float[Tensor, "n 2"], Bool[Tensor, " n"]]:
    """Pixels (x, y) of world points in another view, and whether its image shows them."""
    sighting = DepthView(other.camera, other.depth).sight(points)
    return other.camera.project(points)[0][0], sighting.on_surface() & (sighting.at(other.known) > 0)


def _affine(here: Float[Tensor, "n 2"], there: Float[Tensor, "n 2"]) -> Float[Tensor, "3 2"]:
    """Least-squares affine map between pixel positions, of least norm where the points leave it open."""
    # On the CPU, since GPUs have no solver for systems that may lack rank.
    design = torch.cat([here, torch.ones_like(here[:, :1])], dim=1).double().cpu()
    return torch.linalg.lstsq(design, there.double().cpu(), driver="gelsd").solution.to(here)


def sample_view(other: ReferenceView, there: Float[Tensor, "h w 2"]) -> Reference:
    """The other view's image at the given pixels (x, y) of it."""
    size = torch.tensor([other.camera.width, other.camera.height]).to(there)
    grid = (there / size * 2 - 1)[None]
    image = F.grid_sample(other.image.float(), grid, mode="bicubic", padding_mode="border", align_corners=False).clamp(0, 1)
    known = F.grid_sample(other.known.float(), grid, mode="nearest", padding_mode="zeros", align_corners=False)
    return Reference(image, 1 - known)
