"""Removes the masked object's splats and finds the holes that it leaves."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from splatpaint.events import Events, Measured, Noted, Progressed
from splatpaint.image.region import dilate
from splatpaint.masks.floaters import isolated, was_hidden
from splatpaint.masks.holes import RemovalView, find_holes
from splatpaint.masks.lift import MIN_WEIGHT, MaskedView, Region, Votes, lift, rendered_share, rendered_weight
from splatpaint.masks.object_layer import ObjectLayer
from splatpaint.masks.removal import Hole, Removal
from splatpaint.masks.selection import OBJECT, RemoveConfig, masked_views, select_object
from splatpaint.masks.shadow import ContactShadow, find_shadow, lighten
from splatpaint.masks.visibility import as_half
from splatpaint.render.protocol import Rasterizer
from splatpaint.scene.photos import Photo, Photos
from splatpaint.scene.splats import Splats

STAGE = "remove"
EXPOSED = 0.4
"""A pixel is exposed if removed splats made up more than this much of its opacity; near a mask it shows the object if they did,
each weighed by its share of votes."""
EXPOSED_GROW_PX = 2
"""Exposed regions grow by this; pixels of a 480-px image."""
SUPERVISED_PX = 1.0
"""A splat behind the object that shows less than this elsewhere, in pixels of full opacity over all photos, was never
supervised: it is what the training left there. Nor was one whose center no photo shows: the training knew its fringe."""
SUPPORTED = 0.4
"""Photos know what the kept splats show in a pixel if so much of these splats' weight is where photos show no object."""
SUPPORT_LOST = 0.3
"""A pixel that is no hole lost its support if it lost more than this opacity, or this much of what its photo shows."""


@torch.no_grad()
def remove(
    splats: Splats, photos: Photos, rasterizer: Rasterizer, config: RemoveConfig, *, located: ObjectLayer | None = None
) -> Events[Removal]:
    """Splits the reconstruction into what stays and what goes, and finds the holes.

    Args:
        splats: the reconstruction, on the photos' device.
        photos: of the supervising views, with their masks.
        rasterizer: any.
        config: see there.
        located: the object, if the reconstruction was made beside it; None: its splats are found by the masks.

    Raises:
        MaskError: if the masks select no splats, or all of them.
    """
    if located is None:
        parts = _selected(splats, photos, rasterizer, config)
    else:
        parts = _unsupervised(splats[~located.in_scene(splats)], photos, rasterizer, located)
    scene, gone, views = parts.scene, parts.gone, parts.views
    yield Progressed(STAGE, len(photos), 2 * len(photos))
    holes = find_holes(views, config.holes, apart=located is not None)
    regions = (Region(photo.camera, hole, photo.usable) for photo, hole in zip(photos, holes, strict=True))
    gone[~gone] = rendered_share(scene[~gone], regions, rasterizer) > config.max_inside_holes
    kept = scene[~gone]
    yield Progressed(STAGE, 2 * len(photos), 2 * len(photos))
    result = tuple(
        _hole(photo, view, hole, scene, kept, gone, rasterizer) for photo, view, hole in zip(photos, views, holes, strict=True)
    )
    counts = {"removed": float(len(splats) - len(kept)), "kept": float(len(kept))}
    shares = {
        "occluded_share": mean_share([hole.occluded for hole in result]),
        "hole_share": mean_share([hole.unobserved for hole in result]),
        "support_removed_share": mean_share([hole.support_removed for hole in result]),
    }
    yield Measured(STAGE, counts | shares)
    shadow = find_shadow(parts.removed, photos, views)
    if shadow is None:
        return Removal(kept, result)
    if config.shadow == "keep":
        yield Noted(STAGE, f"{_described(shadow)} and stays: --shadow remove lightens it")
        return Removal(kept, result)
    yield Noted(STAGE, f"{_described(shadow)}: it is lightened")
    shades = [shadow.shade(view) for view in views]
    result = tuple(replace(hole, shade=shade) for hole, shade in zip(result, shades, strict=True))
    return Removal(lighten(scene, views, shades, rasterizer)[~gone], result)


def _described(shadow: ContactShadow) -> str:
    return f"the surface is up to {shadow.deepest:.0%} darker around what was removed, which looks like its shadow"


@dataclass(frozen=True, eq=False)
class _Parts:
    """A scene before its holes are known."""

    scene: Splats
    gone: Bool[Tensor, " n"]
    """Splats of the scene that do not stay."""
    removed: Splats
    """The object, and little else."""
    views: list[RemovalView]
    """All views of what stays."""


def _selected(splats: Splats, photos: Photos, rasterizer: Rasterizer, config: RemoveConfig) -> _Parts:
    """The object is in a scene that was fitted with it."""
    masks = masked_views(photos, config)
    votes = lift(splats, masks, rasterizer)
    gone = select_object(splats, masks, rasterizer, config, votes)
    gone[~gone] = _leftovers(splats[~gone], masks, votes[~gone], rasterizer)
    object_share = votes.share * gone
    views = [
        _removal_view(splats, gone, object_share, photo, mask, rasterizer) for photo, mask in zip(photos, masks, strict=True)
    ]
    return _Parts(splats, gone, splats[gone & (votes.share > OBJECT)], views)


def _unsupervised(background: Splats, photos: Photos, rasterizer: Rasterizer, located: ObjectLayer) -> _Parts:
    """The object is apart from its background, of which goes what no photo shows, behind the object."""
    weight = background.means.new_zeros(len(background), 2)
    shown = torch.zeros_like(weight[:, 0]).bool()
    for photo in photos:
        occluded = located.occluded[photo.name]
        clean = photo.usable.bool() & ~occluded
        weight += rendered_weight(background, photo.camera, torch.cat([clean, occluded], dim=1).float(), rasterizer)
        row, column, _, in_frame = photo.camera.find(background.means)
        shown |= in_frame & clean[0, 0, row, column]
    clean, behind = weight.unbind(dim=1)
    gone = ((clean < SUPERVISED_PX) | ~shown) & (behind > clean)
    kept, support = background[~gone], (clean / (clean + behind).clamp_min(MIN_WEIGHT))[~gone]
    views = []
    for photo in photos:
        left = rasterizer(kept, photo.camera, features=support[:, None])
        occluded = located.occluded[photo.name]
        depth, usable, unsupported = as_half(left.depth), photo.usable.bool(), left.color < SUPPORTED * left.alpha
        views.append(RemovalView(photo.camera, occluded, occluded, usable, depth, depth, left.alpha.half(), unsupported))
    return _Parts(background, gone, located.splats, views)


def mean_share(masks: Sequence[Bool[Tensor, "1 1 _ _"]]) -> float:
    """Mean over the masks of the share of pixels inside."""
    return sum(float(mask.float().mean()) for mask in masks) / len(masks)


def _leftovers(kept: Splats, masks: Sequence[MaskedView], before: Votes, rasterizer: Rasterizer) -> Bool[Tensor, " n"]:
    """Kept splats that only the object hid, and isolated ones where it was."""
    after = lift(kept, masks, rasterizer)
    leftovers = was_hidden(before, after)
    uncertain = (after.share > 0.5) & ~leftovers
    leftovers[uncertain] |= isolated(kept.means[uncertain])
    return leftovers


def _removal_view(
    splats: Splats,
    gone: Bool[Tensor, " n"],
    object_share: Float[Tensor, " n"],
    photo: Photo,
    mask: MaskedView,
    rasterizer: Rasterizer,
) -> RemovalView:
    full = rasterizer(splats, photo.camera, features=torch.stack([gone.to(object_share), object_share], dim=1))
    kept = splats[~gone]
    left = rasterizer(kept, photo.camera, features=kept.means.new_zeros(len(kept), 1))
    exposed, shows_object = (full.color > EXPOSED).split(1, dim=1)
    # In the mask's margin the object may show; farther out, and where mere background went, the photo shows the scene.
    occluded = photo.fill.bool() | (shows_object & mask.with_margin)
    exposed = dilate(exposed.float(), photo.camera.px(EXPOSED_GROW_PX)).bool()
    depths = (as_half(full.depth), as_half(left.depth))
    nowhere = torch.zeros_like(occluded)
    return RemovalView(photo.camera, exposed, occluded, photo.usable.bool(), *depths, left.alpha.half(), nowhere)


def _hole(
    photo: Photo,
    view: RemovalView,
    hole: Float[Tensor, "1 1 h w"],
    splats: Splats,
    kept: Splats,
    gone: Bool[Tensor, " n"],
    rasterizer: Rasterizer,
) -> Hole:
    """The view's hole, and where the removal took splats of what is known."""
    full = rasterizer(splats, photo.camera, features=gone.to(splats.means)[:, None])
    lost_opacity = full.alpha - rasterizer(kept, photo.camera).alpha
    lost = torch.where(view.occluded, lost_opacity, full.color * photo.usable)
    return Hole(photo.name, view.occluded, hole.bool(), (lost > SUPPORT_LOST) & (hole == 0))
