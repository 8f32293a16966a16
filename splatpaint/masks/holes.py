"""Which pixels nobody ever saw.

Taking an object away opens its silhouette in every view. Much of what lies behind was photographed from elsewhere, and is
there already. A hole is only what remains: pixels that the object covered and whose surface no other view saw past it. The less
there is to invent, the better the result.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import torch
from jaxtyping import Bool, Float
from torch import Tensor
from torch.nn import functional as F

from splatpaint.image.region import components, dilate, erode
from splatpaint.scene.camera import Cameras


@dataclass(frozen=True)
class HolesConfig:
    """When a pixel counts as seen."""

    min_alpha: float = 0.8
    """Below this accumulated opacity of the kept splats there is no surface to test."""
    depth_tolerance: float = 0.06
    """Relative difference of depths up to which two views look at the same surface. Beyond the median depth, 1, it grows
    in proportion: what parallax tells is disparity, whose error does not shrink with the distance."""
    grow: float = 0.01
    """Holes grow by this share of the longer image side, within what the object covered: the kept splats at their boundaries
    were     fitted together with the object's, and show its colors."""
    close: float = 0.03
    """Seen islands and inlets narrower than twice this share of the longer image side are painted with the hole around them:
    what shows in them was mostly seen by chance, and a hole in rags has no surroundings to continue."""
    strip: float = 0.02
    """So are strips, narrower than twice this, of what another view saw between a hole and what the photo shows: through them
    the hole would take on colors of another exposure, or of the object."""
    min_views: int = 1
    """This many other views must have seen the surface."""
    min_area_px: int = 30
    """Smaller specks are not holes: their surroundings close them."""


@dataclass(frozen=True, eq=False)
class RemovalView:
    """One view before and after the removal."""

    camera: Cameras
    opened: Float[Tensor, "1 1 h w"]
    """1 where removed splats were visible."""
    covered: Float[Tensor, "1 1 h w"]
    """1 where the photo shows the object, and so says nothing about what is there now."""
    usable: Float[Tensor, "1 1 h w"]
    """1 where the photo showed the scene."""
    full_depth: Float[Tensor, "1 1 h w"]
    """z-depth with the object in place."""
    kept_depth: Float[Tensor, "1 1 h w"]
    """z-depth of the kept splats alone."""
    kept_alpha: Float[Tensor, "1 1 h w"]

    @cached_property
    def shown(self) -> Float[Tensor, "1 2 h w"]:
        """z-depth, and 1 where the photo shows what of the scene is there."""
        return torch.cat([self.full_depth, (self.covered == 0) * self.usable], dim=1)


def find_holes(views: Sequence[RemovalView], config: HolesConfig) -> list[Float[Tensor, "1 1 _ _"]]:
    """The hole of every view, within what the object covered: 1 = never seen."""
    return [_hole(index, views, config) for index in range(len(views))]


def _hole(index: int, views: Sequence[RemovalView], config: HolesConfig) -> Float[Tensor, "1 1 h w"]:
    view = views[index]
    hole = view.opened * view.covered
    surface = (hole > 0) & (view.kept_alpha >= config.min_alpha)
    if surface.any():
        points = view.camera.unproject_where(view.kept_depth, surface)
        witnesses = sum(sees(other, points, config.depth_tolerance).int() for other in views if other is not view)
        hole[surface] = (torch.as_tensor(witnesses, device=hole.device) < config.min_views).to(hole)
    # First, or specks would be joined to what they are strewn around.
    hole = without_specks(erode(dilate(hole, 1), 1), config.min_area_px)
    side = max(view.camera.width, view.camera.height)
    hole = dilate(hole, config.grow * side)
    hole = erode(dilate(hole, config.close * side), config.close * side) * view.covered
    seen, reach = view.covered * (1 - hole), config.strip * side
    strips = seen * (1 - dilate(erode(seen, reach), reach)) * dilate(view.opened, config.grow * side)
    return torch.maximum(hole, strips) if hole.any() else hole


def without_specks(mask: Float[Tensor, "1 1 h w"], min_area_px: int) -> Float[Tensor, "1 1 h w"]:
    """The mask less its connected parts that have fewer pixels."""
    labels, count = components(mask[0])
    areas = torch.bincount(labels.flatten(), minlength=count + 1)
    large = areas >= min_area_px
    large[0] = False
    return large[labels].to(mask)[None, None]


def sees(view: RemovalView, points: Float[Tensor, "n 3"], tolerance: float) -> Bool[Tensor, " n"]:
    """Which points were visible in the view's photo, beside the object: in frame, not occluded, on the surface seen there."""
    pixels, depth = view.camera.project(points)
    size = torch.tensor([view.camera.width, view.camera.height]).to(pixels)
    grid = pixels / size * 2 - 1
    within = (depth[0] > 0) & (grid[0].abs() <= 1).all(dim=-1)
    found, shown = F.grid_sample(view.shown, grid.clamp(-2, 2)[:, None], mode="nearest", align_corners=False)[0, :, 0]
    return within & ((depth[0] - found).abs() <= tolerance * depth[0] * depth[0].clamp_min(1.0)) & (shown > 0)
