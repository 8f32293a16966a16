"""Closes what is still open after a fill, so that nothing ever shows through where the object was.

What preserves observed pixels may have dropped splats of the fill, and seeds may have been refused everywhere. A pixel that the
object covered and that is not opaque now gets a small splat on the surface that the pixels around it show, behind all that
photos show elsewhere; where there is no such place, on that surface, since an open hole is worse than a changed pixel.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Bool
from torch import Tensor

from splatpaint.events import Events, Measured, Noted
from splatpaint.fill.config import STAGE
from splatpaint.fill.seeding import SIZE, push_behind_observed
from splatpaint.fit.seeding import round_splats
from splatpaint.image.harmonic import harmonic_fill
from splatpaint.masks.background import extrapolate_depth
from splatpaint.masks.removal import Removal
from splatpaint.masks.visibility import SURFACE, DepthView
from splatpaint.render.protocol import Rasterizer, Rendered
from splatpaint.scene.camera import Cameras
from splatpaint.scene.photos import Photos
from splatpaint.scene.splats import Splats, concatenate

OPACITY = 0.98
"""Of a splat that closes a pixel: at its center the pixel is closed by it alone."""
MAX_LISTED = 5
"""Views in a sentence."""
SWEEPS = 3
"""Times that all views are looked at: what closes one view may be too sparse for a nearer one."""


@dataclass(frozen=True, eq=False)
class CoveredView:
    """What the object covered in one view."""

    name: str
    camera: Cameras
    """A batch of one."""
    covered: Bool[Tensor, "1 1 h w"]
    """Pixels of which the photo does not say what is there now."""

    def open(self, rendered: Rendered) -> Bool[Tensor, "1 1 h w"]:
        """Covered pixels through which the background would show."""
        return self.covered & (rendered.alpha < SURFACE)


def covered_views(photos: Photos, removal: Removal) -> list[CoveredView]:
    """All views in which the object covered something."""
    found = []
    for view, hole in zip(photos.views, removal.holes, strict=True):
        covered = hole.occluded | hole.unobserved | hole.support_removed
        if covered.any():
            found.append(CoveredView(view.name, view.camera.to(photos.device), covered))
    return found


@torch.no_grad()
def close_holes(
    scene: Splats, views: Sequence[CoveredView], protected: Sequence[DepthView], rasterizer: Rasterizer
) -> Events[Splats]:
    """The scene, and what closes it where it is open in any view; measured before and after.

    Args:
        scene: all splats.
        views: see `covered_views`.
        protected: see `closing_splats`.
        rasterizer: any.
    """
    if not views:
        return scene
    before = open_shares(scene, views, rasterizer)
    opened = [view for view in views if view.name in before]  # more splats open no other
    closing = closing_splats(scene, opened, protected, rasterizer)
    closed = concatenate([scene, closing])
    left = open_shares(closed, opened, rasterizer)
    shares = {"open_share_before_closing": sum(before.values()) / len(views), "open_share": sum(left.values()) / len(views)}
    yield Measured(STAGE, {**shares, "closing": float(len(closing))})
    if left:
        worst = sorted(left, key=left.__getitem__, reverse=True)
        listed = ", ".join(f"{name} ({left[name]:.1%})" for name in worst[:MAX_LISTED])
        more = f" and {len(worst) - MAX_LISTED} more" if len(worst) > MAX_LISTED else ""
        reason = "no depth is known around their holes: show more of what surrounds the object, or mask less of it"
        message = f"{len(left)} views stay open in part of what the object covered: {listed}{more}; {reason}"
        yield Noted(STAGE, message, "warning")
    return closed


@torch.no_grad()
def open_shares(scene: Splats, views: Sequence[CoveredView], rasterizer: Rasterizer) -> dict[str, float]:
    """Share of the covered pixels that are open, by name of the views in which any is."""
    shares = {}
    for view in views:
        found = view.open(rasterizer(scene, view.camera))
        if found.any():
            shares[view.name] = float(found.sum() / view.covered.sum())
    return shares


@torch.no_grad()
def closing_splats(
    scene: Splats, views: Sequence[CoveredView], protected: Sequence[DepthView], rasterizer: Rasterizer
) -> Splats:
    """Splats that close all open pixels of all views, in the colors around them; none if nothing is open.

    Args:
        scene: all splats.
        views: what may not be open.
        protected: surfaces that photos show; the new splats are behind them where that is possible.
        rasterizer: any.
    """
    added = scene[:0]
    for _ in range(SWEEPS):
        before = len(added)
        for view in views:
            rendered = rasterizer(concatenate([scene, added]), view.camera)
            opened = view.open(rendered)
            if opened.any() and not opened.all():
                added = concatenate([added, _closing(view, rendered, opened, protected, scene.sh_degree)])
        if len(added) == before:
            break
    return added


def _closing(
    view: CoveredView,
    rendered: Rendered,
    opened: Bool[Tensor, "1 1 h w"],
    protected: Sequence[DepthView],
    sh_degree: int,
) -> Splats:
    """One splat an open pixel of one view; none if no depth is known around them."""
    around = extrapolate_depth(rendered.depth * (rendered.alpha >= SURFACE), opened.to(rendered.depth))
    opened = opened & (around > 0)
    behind = push_behind_observed(around, opened, view.camera, protected)
    depth = torch.where(behind > 0, behind, around)
    colors = harmonic_fill(rendered.color, opened.to(rendered.color))[0].permute(1, 2, 0)[opened[0, 0]]
    return round_splats(
        view.camera.unproject_where(depth, opened),
        colors.clamp(0, 1),
        SIZE * depth[opened] / view.camera.K[0, 0, 0],
        opacity=OPACITY,
        sh_degree=sh_degree,
    )
