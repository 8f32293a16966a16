"""Takes the masked object out of the splats and finds what it hid."""

from collections.abc import Sequence
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
from splatpaint.masks.lift import Ballot, Votes, centers_inside, lift
from splatpaint.render.protocol import Rasterizer
from splatpaint.scene.splats import Splats
from splatpaint.scene.views import Capture, View

STAGE = "remove"
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


@dataclass(frozen=True, eq=False)
class Hole:
    """One supervising view after the removal."""

    name: str
    covered: Float[Tensor, "1 1 h w"]
    """1 where a mask, or the object, was: the photo says nothing about what is there now."""
    hole: Float[Tensor, "1 1 h w"]
    """1 where no other view saw past the object either."""
    torn: Float[Tensor, "1 1 h w"]
    """1 where the removal took splats although it is known what is there, from this photo or another: no mask is so exact that
    it tears none."""


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
    ballots = [ballot_of(photo, config) for photo in photos]
    votes = lift(splats, ballots, rasterizer)
    yield Progressed(STAGE, len(photos), 3 * len(photos))
    gone = _selected(splats, ballots, votes, rasterizer, config)
    gone[~gone] = _stray(splats[~gone], ballots, votes[~gone], rasterizer, config)
    kept = splats[~gone]
    object_share = votes.share * gone
    views = [_revealed(splats, gone, object_share, *each, rasterizer, config) for each in zip(photos, ballots, strict=True)]
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


def untouched(splats: Splats, capture: Capture) -> Removal:
    """Nothing removed, no hole anywhere."""

    def nothing(view: View) -> Float[Tensor, "1 1 h w"]:
        return splats.means.new_zeros(1, 1, view.camera.height, view.camera.width)

    return Removal(splats, tuple(Hole(view.name, nothing(view), nothing(view), nothing(view)) for view in capture.views))


def mean_share(masks: Sequence[Float[Tensor, "1 1 _ _"]]) -> float:
    """Mean over the masks of the share of pixels inside."""
    return sum(float(mask.mean()) for mask in masks) / len(masks)


def ballot_of(photo: Photo, config: RemoveConfig) -> Ballot:
    """The photo's fill mask, grown."""
    side = max(photo.camera.width, photo.camera.height)
    mask = dilate(photo.fill, config.mask_grow * side)
    return Ballot(photo.camera, mask, dilate(mask, config.outline_error * side), photo.usable)


@torch.no_grad()
def object_of(splats: Splats, photos: Photos, rasterizer: Rasterizer, config: RemoveConfig) -> Bool[Tensor, " n"]:
    """The splats that the masks vote out.

    Raises:
        MaskError: if the masks select no splats, or all of them.
    """
    ballots = [ballot_of(photo, config) for photo in photos]
    return _selected(splats, ballots, lift(splats, ballots, rasterizer), rasterizer, config)


def _selected(
    splats: Splats, ballots: Sequence[Ballot], votes: Votes, rasterizer: Rasterizer, config: RemoveConfig
) -> Bool[Tensor, " n"]:
    shown = votes.total > MIN_WEIGHT
    elsewhere = votes.inside < config.min_inside * (votes.inside + votes.clear)
    spared = votes.clear_share > config.background_share
    depths = ((ballot, rasterizer(splats, ballot.camera).depth) for ballot in ballots)
    spared &= on_background(splats, depths, tolerance=config.background_tolerance)
    buried = centers_inside(splats, ballots) > config.buried_threshold
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


def _stray(
    kept: Splats, ballots: Sequence[Ballot], before: Votes, rasterizer: Rasterizer, config: RemoveConfig
) -> Bool[Tensor, " n"]:
    """Kept splats that only the object's presence hid, or that hang alone where it was."""
    after = lift(kept, ballots, rasterizer)
    strays = hidden(before, after, config.floaters)
    uncertain = (after.share > 0.5) & ~strays
    strays[uncertain] |= alone(kept.means[uncertain], config.floaters)
    return strays


def _only_in_holes(
    kept: Splats, photos: Photos, holes: Sequence[Tensor], rasterizer: Rasterizer, config: RemoveConfig
) -> Bool[Tensor, " n"]:
    """Kept splats that show nowhere but where nothing is known."""
    ballots = (Ballot(photo.camera, hole, hole, photo.usable) for photo, hole in zip(photos, holes, strict=True))
    votes = lift(kept, ballots, rasterizer)
    return votes.inside > config.max_inside_holes * votes.total.clamp_min(MIN_WEIGHT)


def _hole(
    photo: Photo,
    view: Revealed,
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
    ballot: Ballot,
    rasterizer: Rasterizer,
    config: RemoveConfig,
) -> Revealed:
    full = rasterizer(splats, photo.camera, features=torch.stack([gone.to(object_share), object_share], dim=1))
    kept = splats[~gone]
    bare = rasterizer(kept, photo.camera, features=kept.means.new_zeros(len(kept), 1))
    opened, shown = (full.color > config.visible_alpha).to(full.color).split(1, dim=1)
    # Near the mask the object may show where its outline is off; farther out, and where mere background went, trust the photo.
    covered = torch.maximum(photo.fill, shown * ballot.near)
    opened = dilate(opened, config.opened_grow_px)
    return Revealed(photo.camera, opened, covered, photo.usable, full.depth, bare.depth, bare.alpha)
