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
from splatpaint.masks.background import on_background
from splatpaint.masks.floaters import FloatersConfig, alone, hidden
from splatpaint.masks.holes import HolesConfig, Revealed, find_holes
from splatpaint.masks.lift import Ballot, centers_inside, lift
from splatpaint.render.protocol import Rasterizer
from splatpaint.scene.splats import Splats
from splatpaint.scene.views import Capture

STAGE = "remove"
MIN_WEIGHT = 1e-3
"""A splat that paints less than this, in pixels of full opacity over all photos, is not seen by any of them."""


@dataclass(frozen=True)
class RemoveConfig:
    """Which splats go, and which pixels are holes."""

    mask_grow: float = 0.01
    """Masks grow by this share of the longer image side before they vote: drawn outlines run a little inside."""
    threshold: float = 0.25
    """A splat goes if more than this share of the photos that show it have it inside their masks."""
    buried_threshold: float = 0.6
    """A splat that no photo shows goes if its center lies inside this share of the masks that look at it."""
    background_share: float = 0.1
    """A splat on the surface around the masks stays, against the vote, if this share of the photos show it outside them."""
    background_tolerance: float = 0.03
    """How much nearer than that surface a splat may be to count as on it, relative to the depth."""
    visible_alpha: float = 0.4
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
    ballots = [ballot_of(photo, config.mask_grow) for photo in photos]
    gone = yield from _selected(splats, ballots, rasterizer, config)
    gone |= _stray(splats, ballots, gone, rasterizer, config)
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


def ballot_of(photo: Photo, grow: float) -> Ballot:
    """The photo's fill mask, grown by a share of the longer image side."""
    return Ballot(photo.camera, dilate(photo.fill, grow * max(photo.camera.width, photo.camera.height)), photo.usable)


def _selected(
    splats: Splats, ballots: Sequence[Ballot], rasterizer: Rasterizer, config: RemoveConfig
) -> Events[Bool[Tensor, " n"]]:
    """The splats that the masks vote out."""
    with torch.enable_grad():
        votes = lift(splats, ballots, rasterizer)
    yield Progressed(STAGE, len(ballots), 3 * len(ballots))
    shown = votes.total > MIN_WEIGHT
    depths = ((ballot.camera, ballot.mask, rasterizer(splats, ballot.camera).depth) for ballot in ballots)
    spared = on_background(splats, depths, tolerance=config.background_tolerance) & (1 - votes.share > config.background_share)
    buried = centers_inside(splats, ballots) > config.buried_threshold
    gone = torch.where(shown, (votes.share > config.threshold) & ~spared, buried)
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
    splats: Splats, ballots: Sequence[Ballot], gone: Bool[Tensor, " n"], rasterizer: Rasterizer, config: RemoveConfig
) -> Bool[Tensor, " n"]:
    """Kept splats that only the object's presence hid, or that hang alone where it was."""
    kept = splats[~gone]
    with torch.enable_grad():
        before = lift(splats, ballots, rasterizer)[~gone]
        after = lift(kept, ballots, rasterizer)
    strays = hidden(before, after, config.floaters)
    uncertain = (after.share > 0.5) & ~strays
    strays[uncertain] |= alone(kept.means[uncertain], config.floaters)
    result = torch.zeros_like(gone)
    result[~gone] = strays
    return result


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
