"""Which pixels nobody ever saw.

Removing an object exposes its silhouette in every view. Much of what lies behind was photographed from elsewhere, and is in the
splats already. A hole is only what remains: pixels that the object occluded and whose surface no other view saw past it, or
whose splats other views have seen too little of: the rest of such a splat has any color.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import ClassVar

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from splatpaint.image.region import components, dilate, erode
from splatpaint.masks.visibility import DepthView
from splatpaint.scene.camera import Cameras
from splatpaint.scene.views import spread

TOLERANCE = 0.06
"""Relative difference of depths up to which two views look at the same surface. Beyond the median depth, 1, it grows in
proportion: parallax measures disparity, whose error does not shrink with distance."""
MIN_ALPHA = 0.8
"""Below this accumulated opacity of the kept splats there is no surface to test."""
MAX_ASKED = 32
"""Views that are asked whether they count a pixel as seen, evenly spread over those with something behind the object."""
BRIDGE = 2 / 3
"""Width of the bridges that are painted, as a share of the width of the gaps."""

APART, TOGETHER = (0.0, 0.01), (0.01, 0.03)
"""`grow` and `close` where the background was fitted apart from the object, and where it was fitted together with it."""


@dataclass(frozen=True)
class HolesConfig:
    """When a pixel is a hole."""

    RENAMED: ClassVar[dict[str, str]] = {
        "min_alpha": "",
        "depth_tolerance": "",
        "strip": "remove.holes.close",
        "min_views": "remove.holes.use_other_views (false where it was 1000000)",
    }

    grow: float | None = None
    """Holes grow by this share of the longer image side, within what the object occluded. Raise it where stains remain around a
    fill. None: 0, or 0.01 where the splats were fitted with the object among them and carry its colors."""
    close: float | None = None
    """Gaps in a hole narrower than twice this share of the longer image side are painted with it: few views saw what shows
    there, and a ragged hole has no surroundings to continue. So are bridges, two thirds as wide, that only other views saw
    between a hole and the photo. None: 0.01, or 0.03 where the splats were fitted with the object among them."""
    use_other_views: bool = True
    """Whether what another view saw is known. False: everything that the object occluded is painted over."""
    min_area_px: int = 30
    """Smaller specks are no holes. Pixels of a 480-px image, see `Cameras.px`."""


@dataclass(frozen=True, eq=False)
class RemovalView:
    """One view before and after the removal."""

    camera: Cameras
    exposed: Bool[Tensor, "1 1 h w"]
    """Where removed splats were visible."""
    occluded: Bool[Tensor, "1 1 h w"]
    """Where the photo shows the object, and so says nothing about what is there now."""
    usable: Bool[Tensor, "1 1 h w"]
    """Where the photo may supervise."""
    full_depth: Float[Tensor, "1 1 h w"]
    """z-depth with the object in place."""
    kept_depth: Float[Tensor, "1 1 h w"]
    """z-depth of the kept splats alone."""
    kept_alpha: Float[Tensor, "1 1 h w"]
    """Accumulated opacity of the kept splats alone."""
    unsupported: Bool[Tensor, "1 1 h w"]
    """Where the kept splats show what photos know little of, since these show mainly their fringes."""

    @cached_property
    def visible(self) -> DepthView:
        """The surfaces of the kept scene that the photo shows."""
        return DepthView(self.camera, self.full_depth * (self.usable & ~self.occluded))

    @property
    def kept_surface(self) -> DepthView:
        """The surfaces of the kept scene."""
        return DepthView(self.camera, self.kept_depth * (self.kept_alpha >= MIN_ALPHA))


def find_holes(views: Sequence[RemovalView], config: HolesConfig, *, apart: bool = False) -> list[Float[Tensor, "1 1 _ _"]]:
    """The hole of every view, within what the object occluded: 1 = never seen.

    A surface is unseen or not from wherever one looks: a pixel stays in a hole unless most of the other views that have its
    surface behind the object count it as seen.

    Args:
        views: before and after the removal.
        config: see there.
        apart: whether the kept splats were fitted apart from the object, and so never saw its colors.
    """
    grow, close = APART if apart else TOGETHER
    grow = grow if config.grow is None else config.grow
    close = close if config.close is None else config.close
    unseen = [_unseen(view, views, config) for view in views]
    if config.use_other_views:
        asked = spread([(view, each) for view, each in zip(views, unseen, strict=True) if view.occluded.any()], MAX_ASKED)
        unseen = [_agreed(view, each, asked) for view, each in zip(views, unseen, strict=True)]
    unseen = [each | (view.occluded & view.unsupported) for view, each in zip(views, unseen, strict=True)]
    return [
        _closed(view, each.float(), grow=grow, close=close, min_area_px=config.min_area_px)
        for view, each in zip(views, unseen, strict=True)
    ]


def _unseen(view: RemovalView, views: Sequence[RemovalView], config: HolesConfig) -> Bool[Tensor, "1 1 h w"]:
    """Exposed pixels whose surface no other view saw beside the object."""
    unseen = view.exposed & view.occluded
    surface = unseen & (view.kept_alpha >= MIN_ALPHA)
    if config.use_other_views and surface.any():
        points = view.camera.unproject_where(view.kept_depth.float(), surface)
        observed = torch.zeros(len(points), dtype=torch.bool, device=points.device)
        for other in views:
            if other is not view:
                observed |= sees(other, points)
        unseen[surface] = ~observed
    return unseen


def _agreed(
    view: RemovalView, unseen: Bool[Tensor, "1 1 h w"], asked: Sequence[tuple[RemovalView, Bool[Tensor, "1 1 _ _"]]]
) -> Bool[Tensor, "1 1 h w"]:
    """The unseen pixels without those whose surface most of the others that have it behind the object count as seen."""
    surface = unseen & (view.kept_alpha >= MIN_ALPHA)
    if not surface.any():
        return unseen
    points = view.camera.unproject_where(view.kept_depth.float(), surface)
    balance = torch.zeros(len(points), dtype=torch.long, device=points.device)
    for other, theirs in asked:
        if other is not view:
            sighting = other.kept_surface.sight(points)
            same = sighting.on_surface(TOLERANCE * sighting.depth.clamp_min(1.0)) & sighting.at(other.occluded)
            balance += torch.where(sighting.at(theirs), 1, -1) * same
    agreed = unseen.clone()
    agreed[surface] = balance >= 0
    return agreed


def _closed(
    view: RemovalView, hole: Float[Tensor, "1 1 h w"], *, grow: float, close: float, min_area_px: int
) -> Float[Tensor, "1 1 h w"]:
    """The hole without specks, its ragged parts closed, within what the object occluded."""
    occluded, exposed = view.occluded.float(), view.exposed.float()
    # First, or specks would be joined to what they are strewn around.
    hole = without_specks(erode(dilate(hole, 1), 1), min_area_px * view.camera.px(1) ** 2)
    side = max(view.camera.width, view.camera.height)
    hole = dilate(hole, grow * side)
    hole = erode(dilate(hole, close * side), close * side) * occluded
    bridges, reach = occluded * (1 - hole), BRIDGE * close * side
    bridges = bridges * (1 - dilate(erode(bridges, reach), reach)) * dilate(exposed, grow * side)
    return torch.maximum(hole, bridges) if hole.any() else hole


def without_specks(mask: Float[Tensor, "1 1 h w"], min_area_px: int | float) -> Float[Tensor, "1 1 h w"]:
    """The mask without its connected parts of fewer pixels."""
    labels, count = components(mask[0])
    areas = torch.bincount(labels.flatten(), minlength=count + 1)
    large = areas >= min_area_px
    large[0] = False
    return large[labels].to(mask)[None, None]


def sees(view: RemovalView, points: Float[Tensor, "n 3"]) -> Bool[Tensor, " n"]:
    """Points that the view's photo shows beside the object: in the frame, not occluded, on the surface seen there."""
    sighting = view.visible.sight(points)
    return sighting.on_surface(TOLERANCE * sighting.depth.clamp_min(1.0))
