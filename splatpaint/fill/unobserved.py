"""What no photo shows and no mask covers: beyond the frames, and between the places where photos were taken.

Outpainting and completion are inpainting of views that are not, or not wholly, photos. What the kept splats show in them is
known if a photo shows it too; the rest is a hole.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from splatpaint.errors import ConfigError
from splatpaint.fill.views import ObservedView
from splatpaint.image.region import dilate, erode
from splatpaint.masks.lift import MaskedView, lift
from splatpaint.render.protocol import Rasterizer, Rendered
from splatpaint.scene.camera import Cameras
from splatpaint.scene.paths import between
from splatpaint.scene.splats import Splats
from splatpaint.scene.views import spread

CLEAN_PX = 2
"""Gaps between splats that are narrower than twice this are no holes."""
MOSTLY_HOLE = 0.5
"""Views between photos that would be hole to a larger share are left out: too little in them is known to continue."""


@dataclass(frozen=True)
class UnseenConfig:
    """Which views are completed beside those that a mask covers."""

    margin: float = 0.0
    """Every frame is widened on each side by this share of its size, and what lies there is painted where no photo shows it."""
    between: int = 0
    """So many views from halfway between neighboring photos are looked at, and painted where no photo shows what they see."""
    min_alpha: float = 0.5
    """Where the kept splats are fainter than this, nobody saw what is there."""
    tolerance: float = 0.1
    """Nor where no photo has a surface at that depth, up to this share of it."""
    max_inside_holes: float = 0.7
    """Kept splats go that paint more than this share of their pixels where nobody looked: nothing ever said how they should."""
    torn_alpha: float = 0.3
    """A pixel of a photo that lost more opacity than this by that is mended from the photo."""

    def __post_init__(self) -> None:
        if not 0 <= self.margin <= 1 or self.between < 0:
            raise ConfigError(f"margin {self.margin} must lie in 0 to 1, and between {self.between} be at least 0")

    @property
    def asked(self) -> bool:
        """Whether there is anything to do without masks."""
        return self.margin > 0 or self.between > 0


@dataclass(frozen=True, eq=False)
class Completed:
    """What is to be painted beside the holes that a removal left."""

    views: list[ObservedView]
    kept: Splats
    """Without those that show where nobody looked, and hardly elsewhere."""


@torch.no_grad()
def complete(
    photos: Sequence[ObservedView], kept: Splats, rasterizer: Rasterizer, config: UnseenConfig, *, most: int
) -> Completed:
    """The photos' views, widened if that is asked for, and those between them, if they are.

    Args:
        photos: the views as a removal left them.
        kept: the splats of all of them.
        rasterizer: any.
        config: see there.
        most: so many views are widened at most, evenly spread.
    """
    if not config.asked:
        return Completed(list(photos), kept)
    wide = set(spread(range(len(photos)), most)) if config.margin > 0 else set()
    views = [widened(photo, photos, kept, rasterizer, config) if place in wide else photo for place, photo in enumerate(photos)]
    for camera in halfway([view.camera for view in photos], config.between):
        view = drawn(camera, photos, kept, rasterizer, config)
        if float(view.hole.mean()) <= MOSTLY_HOLE:
            views.append(view)
    masked_views = (MaskedView(view.camera, view.open, view.open, torch.ones_like(view.open)) for view in views)
    votes = lift(kept, masked_views, rasterizer)
    trimmed = kept[votes.inside <= config.max_inside_holes * votes.total]
    return Completed([_after(view, trimmed, rasterizer, config) for view in views], trimmed)


def _after(view: ObservedView, trimmed: Splats, rasterizer: Rasterizer, config: UnseenConfig) -> ObservedView:
    """The view once splats were taken: what they showed of a photo is torn, and is mended from it."""
    bare = rasterizer(trimmed, view.camera)
    torn = (view.alpha - bare.alpha > config.torn_alpha) & (view.hole == 0)
    image = torch.where((view.seen > 0) | (view.hole > 0) | torn, view.image, _as_shown(bare, config))
    alpha = bare.alpha * (1 - view.hole)
    return replace(view, image=image, torn=torch.maximum(view.torn, torn.to(view.torn)), depth=bare.depth, alpha=alpha)


def _as_shown(bare: Rendered, config: UnseenConfig) -> Float[Tensor, "1 3 h w"]:
    """What splats show, as it would look if nothing shone through."""
    return (bare.color / bare.alpha.clamp_min(config.min_alpha)).clamp(0, 1)


def unseen_cameras(cameras: Sequence[Cameras], config: UnseenConfig) -> list[Cameras]:
    """The views that are no photos: all, widened, if that is asked for; and those between."""
    wide = [with_margin(camera, config.margin) for camera in cameras] if config.margin > 0 else []
    return [*wide, *halfway(cameras, config.between)]


def with_margin(camera: Cameras, share: float) -> Cameras:
    """The camera with a frame that is wider on each side by a share of its size."""
    down, right = (math.ceil(share * extent) for extent in (camera.height, camera.width))
    return camera.cropped(-right, -down, camera.width + 2 * right, camera.height + 2 * down)


def widened(
    view: ObservedView, photos: Sequence[ObservedView], kept: Splats, rasterizer: Rasterizer, config: UnseenConfig
) -> ObservedView:
    """The view with a margin around it: what the view knows in the middle, what the kept splats show around it."""
    height, width = view.image.shape[2:]
    whole = drawn(with_margin(view.camera, config.margin), photos, kept, rasterizer, config)
    down, right = (whole.camera.height - height) // 2, (whole.camera.width - width) // 2

    middle = (..., slice(down, down + height), slice(right, right + width))
    # Where the photo is not to be used, and nothing was removed, it knows no more than the splats do.
    told = (view.seen > 0) | (view.open > 0)

    def pasted(outside: Tensor, inside: Tensor) -> Tensor:
        result = outside.clone()
        result[middle] = torch.where(told, inside, outside[middle])
        return result

    return replace(
        whole,
        image=pasted(whole.image, view.image),
        seen=pasted(whole.seen, view.seen),
        hole=pasted(whole.hole, view.hole),
        torn=pasted(whole.torn, view.torn),
        alpha=pasted(whole.alpha, view.alpha),
    )


def drawn(
    camera: Cameras, photos: Sequence[ObservedView], kept: Splats, rasterizer: Rasterizer, config: UnseenConfig
) -> ObservedView:
    """A view that is no photo: as the kept splats show it, with holes where they show nothing that a photo saw."""
    bare = rasterizer(kept, camera)
    known = (bare.alpha >= config.min_alpha) & observed_by_any(camera.unproject(bare.depth), photos, config.tolerance)
    hole = dilate(erode((~known).to(bare.alpha), CLEAN_PX), 2 * CLEAN_PX)
    nothing = torch.zeros_like(hole)
    # Splats reach beyond what anybody saw: their depth there is nothing to continue from.
    return ObservedView(camera, _as_shown(bare, config), nothing, hole, nothing, bare.depth, bare.alpha * (1 - hole))


def observed_by_any(
    points: Float[Tensor, "1 h w 3"], photos: Sequence[ObservedView], tolerance: float
) -> Bool[Tensor, "1 1 h w"]:
    """Where a photo shows the surface that a point is on."""
    height, width = points.shape[1:3]
    flat = points.reshape(-1, 3)
    found = torch.zeros(len(flat), dtype=torch.bool, device=points.device)
    for photo in photos:
        row, column, depth, inside = photo.camera.find(flat)
        same = (photo.depth[0, 0, row, column] - depth).abs() <= tolerance * depth
        found |= inside & same & (photo.seen[0, 0, row, column] > 0)
    return found.reshape(1, 1, height, width)


def halfway(cameras: Sequence[Cameras], count: int) -> list[Cameras]:
    """Poses in the middle between neighbors, at most so many, the widest gaps first.

    Neighbors are those that the shortest tree through all camera centers joins, so no cluster of photos is left alone. Between
    cameras at one place there is nothing.
    """
    if count <= 0 or len(cameras) < 2:
        return []
    from scipy.sparse.csgraph import minimum_spanning_tree

    centers = torch.cat([camera.centers for camera in cameras])
    tree = minimum_spanning_tree(torch.cdist(centers, centers).double().cpu().numpy()).tocoo()
    widest = tree.data.argsort(kind="stable")[::-1][:count]
    return [between(cameras[int(tree.row[edge])], cameras[int(tree.col[edge])], 0.5) for edge in widest]
