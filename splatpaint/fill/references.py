"""Which other view to look at while a hole is painted: the one that shows most of what is in it, or has been painted there.

InConDiff's in-context views, chosen by what rendered depth says of visibility rather than by how near the cameras are. To be
looked at, the chosen view is brought into the frame of the hole by the affine map that the hole's points follow, so that a crop
of both shows the same place at the same size; to be begun from, it is warped pixel by pixel.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

from splatpaint.priors.protocol import Reference
from splatpaint.scene.camera import Cameras

LEAST_SHARE = 0.25
"""A view that shows less of the hole than this is no help."""
TOLERANCE = 0.05
"""Depths that differ by no more than this share are of the same surface."""
POINTS = 2000
"""Of a hole are followed, at most."""


@dataclass(frozen=True, eq=False)
class ReferenceView:
    """A view that may be looked at."""

    camera: Cameras
    """A batch of one."""
    image: Float[Tensor, "1 3 h w"]
    depth: Float[Tensor, "1 1 h w"]
    """z-depth of the scene as it is."""
    known: Float[Tensor, "1 1 h w"]
    """1 where the image shows what is there: seen, or painted already."""


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
    """As `reference_for`, but every pixel is where the target's depth says, and unknown where the other view shows another."""
    found = _largest_overlap(target, hole, others)
    if found is None:
        return None
    height, width = hole.shape[2:]
    pixels, valid = reproject(target.camera.unproject(target.depth)[0].flatten(0, 1), found.view)
    carried = sample_view(found.view, pixels.view(height, width, 2))
    valid = valid & (target.depth.flatten() > 0)
    return Reference(carried.images, torch.maximum(carried.unknown, 1 - valid.view(1, 1, height, width).to(carried.unknown)))


def anchor_first(cameras: Sequence[Cameras], worth: Sequence[float]) -> list[int]:
    """An order of the views: the one that is worth most, then always the view nearest to one that has had its turn."""
    centers = torch.cat([camera.centers for camera in cameras])
    apart = torch.cdist(centers, centers)
    order = [max(range(len(worth)), key=lambda index: worth[index])]
    left = set(range(len(worth))) - set(order)
    while left:
        order.append(min(left, key=lambda index: float(apart[index, order].min())))
        left.remove(order[-1])
    return order


@dataclass(frozen=True, eq=False)
class Overlap:
    """A view, and where points of a hole that it shows are in the hole's view and in it."""

    view: ReferenceView
    here: Float[Tensor, "n 2"]
    there: Float[Tensor, "n 2"]


def _largest_overlap(target: ReferenceView, hole: Float[Tensor, "1 1 h w"], others: Sequence[ReferenceView]) -> Overlap | None:
    rows, columns = torch.nonzero((hole[0, 0] > 0) & (target.depth[0, 0] > 0), as_tuple=True)
    step = max(1, math.ceil(len(rows) / POINTS))
    rows, columns = rows[::step], columns[::step]
    points = target.camera.unproject(target.depth)[0][rows, columns]
    here = torch.stack([columns, rows], dim=1) + 0.5
    best, most = None, 0
    for other in others:
        pixels, valid = reproject(points, other)
        count = int(valid.sum())
        if count > most and count >= max(3, LEAST_SHARE * len(rows)):
            best, most = Overlap(other, here[valid], pixels[valid]), count
    return best


def reproject(points: Float[Tensor, "n 3"], other: ReferenceView) -> tuple[Float[Tensor, "n 2"], Tensor]:
    """Where points are in another view, and whether it shows them."""
    row, column, depth, inside = other.camera.find(points)
    same = (other.depth[0, 0, row, column] - depth).abs() <= TOLERANCE * depth
    return other.camera.project(points)[0][0], inside & same & (other.known[0, 0, row, column] > 0)


def _affine(here: Float[Tensor, "n 2"], there: Float[Tensor, "n 2"]) -> Float[Tensor, "3 2"]:
    """Least squares over pixel positions; what the points leave open stays small."""
    # On the CPU, since GPUs have no solver for systems that may lack rank.
    design = torch.cat([here, torch.ones_like(here[:, :1])], dim=1).double().cpu()
    return torch.linalg.lstsq(design, there.double().cpu(), driver="gelsd").solution.to(here)


def sample_view(other: ReferenceView, there: Float[Tensor, "h w 2"]) -> Reference:
    """What the other view shows at those of its pixels."""
    size = torch.tensor([other.camera.width, other.camera.height]).to(there)
    grid = (there / size * 2 - 1)[None]
    image = F.grid_sample(other.image, grid, mode="bicubic", padding_mode="border", align_corners=False).clamp(0, 1)
    known = F.grid_sample(other.known, grid, mode="nearest", padding_mode="zeros", align_corners=False)
    return Reference(image, 1 - known)
