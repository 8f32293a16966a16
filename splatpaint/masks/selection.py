"""Which splats the masks mark as the object."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import ClassVar, Literal

import torch
from jaxtyping import Bool
from torch import Tensor

from splatpaint.errors import MaskError
from splatpaint.image.region import dilate
from splatpaint.masks.background import on_background
from splatpaint.masks.holes import HolesConfig
from splatpaint.masks.lift import MIN_WEIGHT, MaskedView, Votes, centers_inside, lift
from splatpaint.masks.outline import outline_overrun
from splatpaint.render.protocol import Rasterizer
from splatpaint.scene.photos import Photo
from splatpaint.scene.splats import Splats

OBJECT = 0.5
"""Of the splats that go, the object's own have more than this share of their votes inside the masks."""
BURIED = 0.6
"""A splat that no photo shows goes if its center lies inside more than this share of the masks that have it in their frame."""


@dataclass(frozen=True)
class RemoveConfig:
    """Which splats go, and which pixels are holes."""

    RENAMED: ClassVar[dict[str, str]] = {
        "buried_threshold": "",
        "background_tolerance": "",
        "visible_alpha": "",
        "torn_alpha": "",
        "opened_grow_px": "",
        "floaters": "",
    }

    mask_grow: float | None = None
    """Share of the longer image side by which masks grow before they count; None: as far as the objects reach beyond them, by
    the edges in the photos (see masks/outline.py)."""
    outline_error: float = 0.03
    """Share of the longer image side by which a grown mask's outline may still be off. Raise it for masks that miss parts."""
    threshold: float = 0.25
    """A splat goes if more than this share of its votes is inside the masks. Raise it if too much goes."""
    min_inside: float = 0.2
    """But not if less than this share of its rendered weight is inside the masks, pixels in their margins not counted: what
    floats before one camera may be inside the masks of others."""
    background_share: float = 0.05
    """A splat on the surface around the masks stays, against the vote, if this share of its votes is outside masks and
    margins."""
    max_inside_holes: float = 0.7
    """Last, kept splats go that have more than this share of their rendered weight in holes: they would occlude the fill."""
    shadow: Literal["keep", "remove"] = "keep"
    """What becomes of the contact shadow of what goes, if one is found on the plane that it stands on (see masks/shadow.py).
    remove: splats, and the photos that the fill is made from, are lightened there."""
    holes: HolesConfig = field(default_factory=HolesConfig)


def masked_views(photos: Sequence[Photo], config: RemoveConfig) -> list[MaskedView]:
    """The photos' fill masks, grown, and their margins."""
    grow = outline_overrun(photos, search=config.outline_error) if config.mask_grow is None else config.mask_grow
    return [_masked_view(photo, grow, config) for photo in photos]


def _masked_view(photo: Photo, grow: float, config: RemoveConfig) -> MaskedView:
    side = max(photo.camera.width, photo.camera.height)
    mask = dilate(photo.fill, grow * side)
    margin = dilate(mask, config.outline_error * side)
    return MaskedView(photo.camera, mask.bool(), margin.bool(), photo.usable.bool())


@torch.no_grad()
def select_object(
    splats: Splats,
    views: Sequence[MaskedView],
    rasterizer: Rasterizer,
    config: RemoveConfig,
    votes: Votes | None = None,
) -> Bool[Tensor, " n"]:
    """The splats that the masks vote out.

    Args:
        splats: the scene with the object.
        views: the masks.
        rasterizer: any.
        config: see there.
        votes: of the views on the splats, if they are known.

    Raises:
        MaskError: if the masks select no splats, or all of them.
    """
    votes = lift(splats, views, rasterizer) if votes is None else votes
    spared = votes.share_outside_margin > config.background_share
    spared &= on_background(splats, ((view, rasterizer(splats, view.camera).depth) for view in views))
    buried = (votes.total <= MIN_WEIGHT) & (centers_inside(splats, views) > BURIED)
    gone = (voted_out(votes, config) & ~spared) | buried
    refuse_extremes(gone, votes)
    return gone


def voted_out(votes: Votes, config: RemoveConfig) -> Bool[Tensor, " n"]:
    """The splats that photos show mostly inside the masks."""
    mostly_elsewhere = votes.inside < config.min_inside * (votes.inside + votes.outside_margin)
    return (votes.total > MIN_WEIGHT) & (votes.share > config.threshold) & ~mostly_elsewhere


def refuse_extremes(gone: Bool[Tensor, " n"], votes: Votes) -> None:
    """Checks that the masks select some splats, and not all.

    Raises:
        MaskError: if they do not.
    """
    if not gone.any():
        raise MaskError(
            f"the masks select none of the {len(gone)} splats: check that white marks the object (--mask-polarity) and that "
            "the masks belong to these images"
        )
    if (gone | (votes.total <= MIN_WEIGHT)).all():
        raise MaskError(
            "the masks select every splat: check their polarity (--mask-polarity); nothing would be left to fill from"
        )
