"""Takes the masked object out of the splats and finds what it hid."""

from collections.abc import Sequence

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from splatpaint.events import Events, Measured, Progressed
from splatpaint.image.region import dilate
from splatpaint.masks.floaters import alone, hidden
from splatpaint.masks.holes import RemovalView, find_holes
from splatpaint.masks.lift import MaskedView, Votes, lift
from splatpaint.masks.removal import Hole, Removal
from splatpaint.masks.selection import MIN_WEIGHT, RemoveConfig, masked_view, select_object
from splatpaint.render.protocol import Rasterizer
from splatpaint.scene.photos import Photo, Photos
from splatpaint.scene.splats import Splats
from splatpaint.scene.views import Capture

STAGE = "remove"


@torch.no_grad()
def remove(
    splats: Splats, capture: Capture, rasterizer: Rasterizer, config: RemoveConfig, *, device: torch.device
) -> Events[Removal]:
    """Splits the reconstruction into what stays and what goes, and finds the holes.

    Raises:
        MaskError: if the masks select no splats, or all of them.
    """
    photos = Photos(capture.views, device)
    masked_views = [masked_view(photo, config) for photo in photos]
    votes = lift(splats, masked_views, rasterizer)
    yield Progressed(STAGE, len(photos), 3 * len(photos))
    gone = select_object(splats, masked_views, votes, rasterizer, config)
    gone[~gone] = _stray(splats[~gone], masked_views, votes[~gone], rasterizer, config)
    kept = splats[~gone]
    object_share = votes.share * gone
    views = [
        _revealed(splats, gone, object_share, *each, rasterizer, config) for each in zip(photos, masked_views, strict=True)
    ]
    yield Progressed(STAGE, 2 * len(photos), 3 * len(photos))
    holes = find_holes(views, config.holes)
    gone[~gone] = _only_in_holes(kept, photos, holes, rasterizer, config)
    kept = splats[~gone]
    yield Progressed(STAGE, 3 * len(photos), 3 * len(photos))
    result = tuple(
        _hole(photo, view, hole, splats, kept, gone, rasterizer, config)
        for photo, view, hole in zip(photos, views, holes, strict=True)
    )
    counts = {"removed": float(gone.sum()), "kept": float(len(kept))}
    shares = {
        "covered_share": mean_share([hole.covered for hole in result]),
        "hole_share": mean_share(holes),
        "torn_share": mean_share([hole.torn for hole in result]),
    }
    yield Measured(STAGE, counts | shares)
    return Removal(kept, result)


def mean_share(masks: Sequence[Float[Tensor, "1 1 _ _"]]) -> float:
    """Mean over the masks of the share of pixels inside."""
    return sum(float(mask.mean()) for mask in masks) / len(masks)


def _stray(
    kept: Splats, masked_views: Sequence[MaskedView], before: Votes, rasterizer: Rasterizer, config: RemoveConfig
) -> Bool[Tensor, " n"]:
    """Kept splats that only the object's presence hid, or that hang alone where it was."""
    after = lift(kept, masked_views, rasterizer)
    strays = hidden(before, after, config.floaters)
    uncertain = (after.share > 0.5) & ~strays
    strays[uncertain] |= alone(kept.means[uncertain], config.floaters)
    return strays


def _only_in_holes(
    kept: Splats, photos: Photos, holes: Sequence[Tensor], rasterizer: Rasterizer, config: RemoveConfig
) -> Bool[Tensor, " n"]:
    """Kept splats that show nowhere but where nothing is known."""
    masked_views = (MaskedView(photo.camera, hole, hole, photo.usable) for photo, hole in zip(photos, holes, strict=True))
    votes = lift(kept, masked_views, rasterizer)
    return votes.inside > config.max_inside_holes * votes.total.clamp_min(MIN_WEIGHT)


def _hole(
    photo: Photo,
    view: RemovalView,
    hole: Float[Tensor, "1 1 h w"],
    splats: Splats,
    kept: Splats,
    gone: Bool[Tensor, " n"],
    rasterizer: Rasterizer,
    config: RemoveConfig,
) -> Hole:
    """The view's hole, and beside it what was torn."""
    full = rasterizer(splats, photo.camera, features=gone.to(splats.means)[:, None])
    lost = torch.lerp(full.color * photo.usable, full.alpha - rasterizer(kept, photo.camera).alpha, view.covered)
    return Hole(photo.name, view.covered, hole, (lost > config.torn_alpha) * (1 - hole))


def _revealed(
    splats: Splats,
    gone: Bool[Tensor, " n"],
    object_share: Float[Tensor, " n"],
    photo: Photo,
    masked: MaskedView,
    rasterizer: Rasterizer,
    config: RemoveConfig,
) -> RemovalView:
    full = rasterizer(splats, photo.camera, features=torch.stack([gone.to(object_share), object_share], dim=1))
    kept = splats[~gone]
    bare = rasterizer(kept, photo.camera, features=kept.means.new_zeros(len(kept), 1))
    opened, shown = (full.color > config.visible_alpha).to(full.color).split(1, dim=1)
    # Near the mask the object may show where its outline is off; farther out, and where mere background went, trust the photo.
    covered = torch.maximum(photo.fill, shown * masked.near)
    opened = dilate(opened, config.opened_grow_px)
    return RemovalView(photo.camera, opened, covered, photo.usable, full.depth, bare.depth, bare.alpha)
