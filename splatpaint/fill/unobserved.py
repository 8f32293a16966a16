"""Holes that no mask made: beyond the frames, and between the places where photos were taken.

Outpainting and completion are inpainting of views that are not, or not wholly, photos. What the kept splats show in them is
known if a photo shows it too; the rest is a hole.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from splatpaint.errors import ConfigError
from splatpaint.fill.views import ObservedView
from splatpaint.image.region import dilate, erode
from splatpaint.masks.lift import Region, rendered_share
from splatpaint.masks.visibility import VISIBLE
from splatpaint.render.protocol import Rasterizer, Rendered
from splatpaint.scene.camera import Cameras
from splatpaint.scene.paths import between
from splatpaint.scene.splats import Splats
from splatpaint.scene.views import spread

CLEAN_PX = 2
"""Gaps between splats narrower than twice this are no holes; pixels of a 480-px image."""
MAX_HOLE = 0.5
"""Views between photos with a larger share of hole are left out: they know too little to continue from."""
TOLERANCE = 0.1
"""Relative difference of depths up to which a photo shows the surface that the splats show."""
MAX_IN_HOLES = 0.7
"""Kept splats go that have more than this share of their rendered weight in holes: no photo supervised their look there."""
SUPPORT_LOST = 0.3
"""A pixel of a photo that loses more opacity than this by that is mended from the photo."""


@dataclass(frozen=True)
class UnobservedConfig:
    """Which views are completed beside those that a mask covers."""

    RENAMED: ClassVar[dict[str, str]] = {"min_alpha": "", "tolerance": "", "max_inside_holes": "", "torn_alpha": ""}

    margin: float = 0.0
    """Share of its size by which every frame is widened on each side; the margin is painted where no photo shows it."""
    between: int = 0
    """Number of views halfway between neighboring photos that are painted where no photo shows what they see."""

    def __post_init__(self) -> None:
        if not 0 <= self.margin <= 1 or self.between < 0:
            raise ConfigError(f"margin {self.margin} must lie in 0 to 1, and between {self.between} be at least 0")

    @property
    def enabled(self) -> bool:
        """Whether there is anything to do without masks."""
        return self.margin > 0 or self.between > 0


@dataclass(frozen=True, eq=False)
class Completed:
    """Views with the holes that no mask made added."""

    views: list[ObservedView]
    kept: Splats
    """Without those that show mainly in such holes."""


@torch.no_grad()
def add_synthetic_views(
    photos: Sequence[ObservedView], kept: Splats, rasterizer: Rasterizer, config: UnobservedConfig, *, max_views: int
) -> Completed:
    """The photos' views, outpainted if that is asked for, and those between them, if they are.

    Args:
        photos: the views as a removal left them.
        kept: the splats of all of them.
        rasterizer: any.
        config: see there.
        max_views: number of views that are outpainted at most, evenly spread.
    """
    if not config.enabled:
        return Completed(list(photos), kept)
    wide = set(spread(range(len(photos)), max_views)) if config.margin > 0 else set()
    views = [
        outpainted(photo, photos, kept, rasterizer, config) if place in wide else photo for place, photo in enumerate(photos)
    ]
    for camera in halfway([view.camera for view in photos], config.between):
        view = synthetic_view(camera, photos, kept, rasterizer)
        if float(view.unobserved.mean()) <= MAX_HOLE:
            views.append(view)
    regions = (Region(view.camera, view.fill_region, torch.ones_like(view.fill_region)) for view in views)
    trimmed = kept[rendered_share(kept, regions, rasterizer) <= MAX_IN_HOLES]
    return Completed([_without_trimmed(view, trimmed, rasterizer) for view in views], trimmed)


def _without_trimmed(view: ObservedView, trimmed: Splats, rasterizer: Rasterizer) -> ObservedView:
    """The view once splats were taken: what they showed of a photo lost its support, and is mended from the photo."""
    rendered = rasterizer(trimmed, view.camera)
    lost = (view.alpha - rendered.alpha > SUPPORT_LOST) & (view.unobserved == 0)
    image = torch.where((view.observed > 0) | (view.unobserved > 0) | lost, view.image, _unpremultiplied(rendered))
    support_removed = (view.support_removed > 0) | lost
    alpha = rendered.alpha * (1 - view.unobserved)
    return view.with_maps(image=image, support_removed=support_removed, depth=rendered.depth, alpha=alpha)


def _unpremultiplied(rendered: Rendered) -> Float[Tensor, "1 3 h w"]:
    """What splats show, as if nothing shone through."""
    return (rendered.color / rendered.alpha.clamp_min(VISIBLE)).clamp(0, 1)


def synthetic_cameras(cameras: Sequence[Cameras], config: UnobservedConfig) -> list[Cameras]:
    """The views that are no photos: all, outpainted, if that is asked for; and those between."""
    wide = [with_margin(camera, config.margin) for camera in cameras] if config.margin > 0 else []
    return [*wide, *halfway(cameras, config.between)]


def with_margin(camera: Cameras, share: float) -> Cameras:
    """The camera with a frame that is wider on each side by a share of its size."""
    down, right = (math.ceil(share * extent) for extent in (camera.height, camera.width))
    return camera.cropped(-right, -down, camera.width + 2 * right, camera.height + 2 * down)


def outpainted(
    view: ObservedView, photos: Sequence[ObservedView], kept: Splats, rasterizer: Rasterizer, config: UnobservedConfig
) -> ObservedView:
    """The view with a margin around it: what the view knows in the middle, what the kept splats show around it."""
    height, width = view.image.shape[2:]
    whole = synthetic_view(with_margin(view.camera, config.margin), photos, kept, rasterizer)
    down, right = (whole.camera.height - height) // 2, (whole.camera.width - width) // 2

    middle = (..., slice(down, down + height), slice(right, right + width))
    # Where the photo is not to be used, and nothing was removed, it knows no more than the splats do.
    known = (view.observed > 0) | view.in_fill_region

    def pasted(outside: Tensor, inside: Tensor) -> Tensor:
        result = outside.clone()
        result[middle] = torch.where(known, inside, outside[middle])
        return result

    names = ("image", "observed", "unobserved", "support_removed", "alpha")
    return whole.with_maps(**{name: pasted(getattr(whole, name), getattr(view, name)) for name in names})


def synthetic_view(camera: Cameras, photos: Sequence[ObservedView], kept: Splats, rasterizer: Rasterizer) -> ObservedView:
    """A view that is no photo: as the kept splats show it, with holes where they show nothing that a photo observed."""
    rendered = rasterizer(kept, camera)
    known = (rendered.alpha >= VISIBLE) & observed_by_any(camera.unproject(rendered.depth), photos)
    clean_px = camera.px(CLEAN_PX)
    hole = dilate(erode((~known).to(rendered.alpha), clean_px), 2 * clean_px)
    nothing = torch.zeros_like(hole)
    # Splats reach beyond what anybody saw: their depth there is nothing to continue from.
    return ObservedView.of(
        camera,
        _unpremultiplied(rendered),
        depth=rendered.depth,
        alpha=rendered.alpha * (1 - hole),
        observed=nothing,
        unobserved=hole,
        support_removed=nothing,
    )


def observed_by_any(points: Float[Tensor, "1 h w 3"], photos: Sequence[ObservedView]) -> Bool[Tensor, "1 1 h w"]:
    """Where a photo shows the surface that a point is on."""
    height, width = points.shape[1:3]
    flat = points.reshape(-1, 3)
    found = torch.zeros(len(flat), dtype=torch.bool, device=points.device)
    for photo in photos:
        found |= photo.depth_where(photo.observed > 0).sight(flat).on_surface(TOLERANCE)
    return found.reshape(1, 1, height, width)


def halfway(cameras: Sequence[Cameras], count: int) -> list[Cameras]:
    """Poses in the middle between neighbors, at most so many, the widest gaps first.

    Neighbors are joined by the shortest tree through all camera centers, so no cluster of photos is left alone. Between cameras
    at one place there is nothing.
    """
    if count <= 0 or len(cameras) < 2:
        return []
    from scipy.sparse.csgraph import minimum_spanning_tree

    centers = torch.cat([camera.centers for camera in cameras])
    tree = minimum_spanning_tree(torch.cdist(centers, centers).double().cpu().numpy()).tocoo()
    widest = tree.data.argsort(kind="stable")[::-1][:count]
    return [between(cameras[int(tree.row[edge])], cameras[int(tree.col[edge])], 0.5) for edge in widest]
