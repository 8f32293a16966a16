"""Which splats the masks mark as the object."""

from collections.abc import Sequence
from dataclasses import dataclass, field

import torch
from jaxtyping import Bool
from torch import Tensor

from splatpaint.errors import MaskError
from splatpaint.image.region import dilate
from splatpaint.masks.background import on_background
from splatpaint.masks.floaters import FloatersConfig
from splatpaint.masks.holes import HolesConfig
from splatpaint.masks.lift import MaskedView, Votes, centers_inside, lift
from splatpaint.render.protocol import Rasterizer
from splatpaint.scene.photos import Photo, Photos
from splatpaint.scene.splats import Splats

MIN_WEIGHT = 1e-3
"""A splat that paints less than this, in pixels of full opacity over all photos, is not seen by any of them."""


@dataclass(frozen=True)
class RemoveConfig:
    """Which splats go, and which pixels are holes."""

    mask_grow: float = 0.01
    """Masks grow by this share of the longer image side before they vote: drawn outlines run a little inside."""
    outline_error: float = 0.03
    """By so much more of the image side an outline may be off: what a photo shows farther out is surely not the object."""
    threshold: float = 0.25
    """A splat goes if more than this share of the photos that show it have it inside their masks."""
    min_inside: float = 0.2
    """But not if it paints less than this share of its pixels inside them: what hangs before one camera may be inside the masks
    of others. Pixels near a mask do not count, whose outline may be off."""
    buried_threshold: float = 0.6
    """A splat that no photo shows goes if its center lies inside this share of the masks that look at it."""
    background_share: float = 0.05
    """A splat on the surface around the masks stays, against the vote, if this share of the photos show it clear of them."""
    background_tolerance: float = 0.03
    """How much nearer than that surface a splat may be to count as on it, relative to the depth."""
    visible_alpha: float = 0.4
    """A pixel is opened by the removal if removed splats made up this much of it; near a mask it shows the object if they did
    by the share of their votes."""
    torn_alpha: float = 0.3
    """A pixel that is no hole is torn if it lost this much of its opacity, or of what the photo beside the object shows."""
    opened_grow_px: int = 2
    max_inside_holes: float = 0.7
    """Last, kept splats go that paint more than this share of their pixels into holes: they would stand before the fill."""
    floaters: FloatersConfig = field(default_factory=FloatersConfig)
    holes: HolesConfig = field(default_factory=HolesConfig)


def masked_view(photo: Photo, config: RemoveConfig) -> MaskedView:
    """The photo's fill mask, grown."""
    side = max(photo.camera.width, photo.camera.height)
    mask = dilate(photo.fill, config.mask_grow * side)
    return MaskedView(photo.camera, mask, dilate(mask, config.outline_error * side), photo.usable)


@torch.no_grad()
def object_of(splats: Splats, photos: Photos, rasterizer: Rasterizer, config: RemoveConfig) -> Bool[Tensor, " n"]:
    """The splats that the masks vote out.

    Raises:
        MaskError: if the masks select no splats, or all of them.
    """
    masked_views = [masked_view(photo, config) for photo in photos]
    return select_object(splats, masked_views, lift(splats, masked_views, rasterizer), rasterizer, config)


def select_object(
    splats: Splats, masked_views: Sequence[MaskedView], votes: Votes, rasterizer: Rasterizer, config: RemoveConfig
) -> Bool[Tensor, " n"]:
    """The splats that the masks vote out.

    Raises:
        MaskError: if the masks select no splats, or all of them.
    """
    shown = votes.total > MIN_WEIGHT
    elsewhere = votes.inside < config.min_inside * (votes.inside + votes.clear)
    spared = votes.clear_share > config.background_share
    depths = ((masked, rasterizer(splats, masked.camera).depth) for masked in masked_views)
    spared &= on_background(splats, depths, tolerance=config.background_tolerance)
    buried = centers_inside(splats, masked_views) > config.buried_threshold
    gone = torch.where(shown, (votes.share > config.threshold) & ~spared & ~elsewhere, buried)
    if not gone.any():
        raise MaskError(
            f"the masks select none of the {len(splats)} splats: check that white marks the object (--mask-polarity) and that "
            "the masks belong to these images"
        )
    if (gone | ~shown).all():
        raise MaskError(
            "the masks select every splat: check their polarity (--mask-polarity); nothing would be left to fill from"
        )
    return gone
