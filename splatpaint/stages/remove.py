"""Takes the masked object out of the splats and finds what it hid."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from splatpaint.errors import MaskError
from splatpaint.events import Events, Measured, Progressed
from splatpaint.fit.photos import Photo, Photos
from splatpaint.image.region import dilate
from splatpaint.masks.floaters import FloatersConfig, alone, hidden
from splatpaint.masks.holes import HolesConfig, Revealed, find_holes
from splatpaint.masks.lift import centers_inside, lift
from splatpaint.render.protocol import Rasterizer
from splatpaint.scene.splats import Splats
from splatpaint.scene.views import Capture

STAGE = "remove"


@dataclass(frozen=True)
class RemoveConfig:
    """Which splats go, and which pixels are holes."""

    threshold: float = 0.5
    """A splat goes if more than this share of its weight in the photos lies inside the masks."""
    buried_threshold: float = 0.6
    """A splat that no photo shows goes if its center lies inside this share of the masks that look at it."""
    visible_alpha: float = 0.1
    """A pixel belongs to the removed silhouette if removed splats made up this much of it."""
    silhouette_grow_px: int = 2
    floaters: FloatersConfig = field(default_factory=FloatersConfig)
    holes: HolesConfig = field(default_factory=HolesConfig)


@dataclass(frozen=True, eq=False)
class Hole:
    """One supervising view after the removal."""

    name: str
    silhouette: Float[Tensor, "1 1 h w"]
    """1 where the object, or a mask, was: the photo says nothing about what is there now."""
    hole: Float[Tensor, "1 1 h w"]
    """1 where no other view saw past the object either."""


@dataclass(frozen=True, eq=False)
class Removal:
    """The scene without the object."""

    kept: Splats
    """A subset of the reconstruction, bit for bit."""
    holes: tuple[Hole, ...]
    """One for every supervising view, in order."""


@torch.no_grad()
def remove(
    splats: Splats, capture: Capture, rasterizer: Rasterizer, config: RemoveConfig, *, device: torch.device
) -> Events[Removal]:
    """Splits the reconstruction into what stays and what goes, and finds the holes.

    Raises:
        MaskError: if the masks select no splats, or all of them.
    """
    photos = Photos(capture.views, device)
    gone = yield from _selected(splats, photos, rasterizer, config)
    gone |= _stray(splats, photos, gone, rasterizer, config)
    kept = splats[~gone]
    views = list(_revealed(splats, gone, photos, rasterizer, config))
    yield Progressed(STAGE, 2 * len(photos), 3 * len(photos))
    holes = find_holes(views, config.holes)
    yield Progressed(STAGE, 3 * len(photos), 3 * len(photos))
    result = tuple(
        Hole(photo.name, torch.maximum(view.silhouette, photo.fill), hole)
        for photo, view, hole in zip(photos, views, holes, strict=True)
    )
    counts = {"removed": float(gone.sum()), "kept": float(len(kept))}
    shares = {"silhouette_share": mean_share([view.silhouette for view in views]), "hole_share": mean_share(holes)}
    yield Measured(STAGE, counts | shares)
    return Removal(kept, result)


def mean_share(masks: Sequence[Float[Tensor, "1 1 h w"]]) -> float:
    """Mean over the masks of the share of pixels inside."""
    return sum(float(mask.mean()) for mask in masks) / len(masks)


def _selected(splats: Splats, photos: Photos, rasterizer: Rasterizer, config: RemoveConfig) -> Events[Bool[Tensor, " n"]]:
    """The splats that the masks vote out."""
    with torch.enable_grad():
        votes = lift(splats, _masks(photos), rasterizer)
    yield Progressed(STAGE, len(photos), 3 * len(photos))
    shown = votes.total > 1e-3
    buried = centers_inside(splats, _masks(photos)) > config.buried_threshold
    gone = torch.where(shown, votes.share > config.threshold, buried)
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


def _stray(
    splats: Splats, photos: Photos, gone: Bool[Tensor, " n"], rasterizer: Rasterizer, config: RemoveConfig
) -> Bool[Tensor, " n"]:
    """Kept splats that only the object's presence hid, or that hang alone where it was."""
    kept = splats[~gone]
    with torch.enable_grad():
        before = lift(splats, _masks(photos), rasterizer).outside[~gone]
        after = lift(kept, _masks(photos), rasterizer)
    brought_out = hidden(before, after.total, config.floaters) & (after.inside > 0)
    near = after.share > 0.1
    strays = brought_out.clone()
    strays[near & ~brought_out] |= alone(kept.means[near & ~brought_out], config.floaters)
    result = torch.zeros_like(gone)
    result[~gone] = strays
    return result


def _masks(photos: Sequence[Photo]) -> Iterator[tuple]:
    return ((photo.camera, photo.fill, photo.usable) for photo in photos)


def _revealed(
    splats: Splats, gone: Bool[Tensor, " n"], photos: Photos, rasterizer: Rasterizer, config: RemoveConfig
) -> Iterator[Revealed]:
    kept = splats[~gone]
    for photo in photos:
        labels = gone.to(splats.means)[:, None]
        full = rasterizer(splats, photo.camera, features=labels)
        bare = rasterizer(kept, photo.camera, features=kept.means.new_zeros(len(kept), 1))
        silhouette = dilate((full.color > config.visible_alpha).to(full.color), config.silhouette_grow_px)
        yield Revealed(photo.camera, silhouette, photo.usable, full.depth, bare.depth, bare.alpha)
