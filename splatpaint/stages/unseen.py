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

from splatpaint.fit.fill_seeds import Surroundings
from splatpaint.image.region import dilate, erode
from splatpaint.masks.lift import Ballot, lift
from splatpaint.render.protocol import Rasterizer
from splatpaint.scene.camera import Cameras
from splatpaint.scene.paths import between
from splatpaint.scene.splats import Splats
from splatpaint.scene.views import spread

CLEAN_PX = 2
"""Gaps between splats that are narrower than twice this are no holes."""


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

    @property
    def asked(self) -> bool:
        """Whether there is anything to do without masks."""
        return self.margin > 0 or self.between > 0


@dataclass(frozen=True, eq=False)
class Completed:
    """What is to be painted beside the holes that a removal left."""

    views: list[Surroundings]
    kept: Splats
    """Without those that show where nobody looked, and hardly elsewhere."""


@torch.no_grad()
def complete(photos: Sequence[Surroundings], kept: Splats, rasterizer: Rasterizer, config: UnseenConfig) -> Completed:
    """The photos' views, widened if that is asked for, and those between them, if they are."""
    if not config.asked:
        return Completed(list(photos), kept)
    views = list(photos)
    if config.margin > 0:
        views = [widened(view, photos, kept, rasterizer, config) for view in photos]
    between_them = halfway([view.camera for view in views], config.between)
    views += [drawn(camera, photos, kept, rasterizer, config) for camera in between_them]
    ballots = (Ballot(view.camera, view.open, view.open, torch.ones_like(view.open)) for view in views)
    votes = lift(kept, ballots, rasterizer)
    return Completed(views, kept[votes.inside <= config.max_inside_holes * votes.total])


def unseen_cameras(cameras: Sequence[Cameras], config: UnseenConfig) -> list[Cameras]:
    """The views that are no photos: all, widened, if that is asked for; and those between."""
    wide = [with_margin(camera, config.margin) for camera in cameras]
    return [*(wide if config.margin > 0 else []), *halfway(wide, config.between)]


def with_margin(camera: Cameras, share: float) -> Cameras:
    """The camera with a frame that is wider on each side by a share of its size."""
    down, right = (math.ceil(share * extent) for extent in (camera.height, camera.width))
    return camera.cropped(-right, -down, camera.width + 2 * right, camera.height + 2 * down)


def widened(
    view: Surroundings, photos: Sequence[Surroundings], kept: Splats, rasterizer: Rasterizer, config: UnseenConfig
) -> Surroundings:
    """The view with a margin around it: what the view knows in the middle, what the kept splats show around it."""
    height, width = view.image.shape[2:]
    whole = drawn(with_margin(view.camera, config.margin), photos, kept, rasterizer, config)
    down, right = (whole.camera.height - height) // 2, (whole.camera.width - width) // 2

    def pasted(outside: Tensor, inside: Tensor) -> Tensor:
        result = outside.clone()
        result[..., down : down + height, right : right + width] = inside
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
    camera: Cameras, photos: Sequence[Surroundings], kept: Splats, rasterizer: Rasterizer, config: UnseenConfig
) -> Surroundings:
    """A view that is no photo: as the kept splats show it, with holes where they show nothing that a photo saw."""
    bare = rasterizer(kept, camera)
    known = (bare.alpha >= config.min_alpha) & witnessed(camera.unproject(bare.depth), photos, config.tolerance)
    hole = dilate(erode((~known).to(bare.alpha), CLEAN_PX), 2 * CLEAN_PX)
    image = (bare.color / bare.alpha.clamp_min(config.min_alpha)).clamp(0, 1)
    nothing = torch.zeros_like(hole)
    # Splats reach beyond what anybody saw: their depth there is nothing to continue from.
    return Surroundings(camera, image, nothing, hole, nothing, bare.depth, bare.alpha * (1 - hole))


def witnessed(points: Float[Tensor, "1 h w 3"], photos: Sequence[Surroundings], tolerance: float) -> Bool[Tensor, "1 1 h w"]:
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
    """Poses between every camera and its nearest neighbor, each pair once, at most so many, spread over the capture."""
    if count == 0:
        return []
    centers = torch.cat([camera.centers for camera in cameras])
    apart = torch.cdist(centers, centers).fill_diagonal_(torch.inf)
    pairs = sorted({(min(one, other), max(one, other)) for one, other in enumerate(apart.argmin(dim=1).tolist())})
    return [between(cameras[one], cameras[other], 0.5) for one, other in spread(pairs, count)]
