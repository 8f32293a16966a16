"""Keeps the views as they were where a photo shows something away from the holes.

Training changes boundary and fill splats, and some of them reach farther than they should. Those that change an observed pixel
away from every hole are reverted: boundary splats to what they were, fill splats by shrinking them, and where that does not
help, by dropping them in the end.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import torch
from jaxtyping import Bool, Float, Float16
from torch import Tensor

from splatpaint.fill.boundary import fill_neighborhood
from splatpaint.fill.config import FillConfig
from splatpaint.fill.views import ObservedView
from splatpaint.fit.parameters import FILL
from splatpaint.masks.lift import MIN_WEIGHT, rendered_weight
from splatpaint.render.protocol import Rasterizer
from splatpaint.scene.camera import Cameras
from splatpaint.scene.splats import Splats, concatenate

ROUNDING = 2.0**-12
"""Half of the distance between half floats in [0.5, 1): what keeping colors before the training so may be off by."""
CHANGED = 1 / 255 - ROUNDING
"""Colors that differ by no more are the same in an image of 8 bits."""
SHRINK = 0.8
"""Scale of a fill splat that changes protected pixels, applied as often as it helps."""
HELPS = 0.9
"""Shrinking goes on as long as it leaves no more than this share of the changed pixels."""


@dataclass(frozen=True, eq=False)
class ProtectedView:
    """A view that is to stay as it was where its photo shows something away from the holes."""

    camera: Cameras
    protected: Bool[Tensor, "1 1 h w"]
    """Pixels that are to stay."""
    color: Float16[Tensor, "1 3 h w"]
    """Their rendered color before the training."""


Changes = list[tuple[ProtectedView, Float[Tensor, "1 1 _ _"]]]
"""Views whose protected pixels changed, and 1 where they did."""


@dataclass(frozen=True, eq=False)
class PreservationConstraint:
    """Holds what is trained: first the boundary splats, alone, then the fill beside what is left of their change."""

    boundary: Splats
    """Boundary splats before the training."""
    frozen: Splats
    """The other kept splats."""
    views: Sequence[ObservedView]
    rasterizer: Rasterizer
    config: FillConfig

    @torch.no_grad()
    def revert_leaks(self, trained: Splats, group: Tensor) -> Splats:
        """The trained splats, as many, those reverted that change protected pixels. Some fill splats may still do so.

        Args:
            trained: boundary splats, in their order, and fill splats.
            group: (n,), BOUNDARY or FILL.
        """
        is_fill = group == FILL
        boundary, fill = self._revert_boundary(trained[~is_fill]), trained[is_fill]
        views, before = self._protected_views, math.inf
        while True:
            scene = concatenate([self.frozen, boundary, fill])
            changes = self._changes(scene, views)
            pixels = sum(float(changed.sum()) for _, changed in changes)
            if pixels == 0 or pixels > HELPS * before:
                return merged(boundary, fill, is_fill)
            offending = self._offending(scene, changes)[len(scene) - len(fill) :]
            fill = replace(fill, log_scales=fill.log_scales + math.log(SHRINK) * offending[:, None])
            views, before = [view for view, _ in changes], pixels

    @torch.no_grad()
    def prune_leaks(self, trained: Splats, group: Tensor) -> Bool[Tensor, " n"]:
        """Which of the trained splats stay, so that no fill splat changes protected pixels any more."""
        is_fill = group == FILL
        stays = torch.ones_like(is_fill)
        while True:
            fill = trained[is_fill & stays]
            scene = concatenate([self.frozen, trained[~is_fill], fill])
            changes = self._changes(scene, self._protected_views)
            offending = self._offending(scene, changes)[len(scene) - len(fill) :]
            if not offending.any():
                offending = self._offending(fill, changes)  # see _revert_boundary
            if not offending.any():
                return stays
            stays[torch.nonzero(is_fill & stays)[:, 0][offending]] = False

    def _revert_boundary(self, boundary: Splats) -> Splats:
        """The boundary splats, those as they were that change protected pixels even without a fill."""
        before, views = concatenate([self.frozen, self.boundary]), self._protected_views
        while True:
            after = concatenate([self.frozen, boundary])
            changes = self._changes(after, views)
            # A splat that faded away changes what it painted before.
            offending = self._offending(before, changes) | self._offending(after, changes)
            offending = offending[len(self.frozen) :] & _differ(boundary, self.boundary)
            if not offending.any():
                # A splat too faint to be painted can end the compositing of a pixel one splat earlier. Alone it paints.
                offending = self._offending(self.boundary, changes) | self._offending(boundary, changes)
                offending &= _differ(boundary, self.boundary)
            if offending.any():
                places = torch.arange(len(boundary), device=offending.device)
                boundary = concatenate([boundary, self.boundary])[places + len(boundary) * offending]
                views = [view for view, _ in changes]
            elif len(views) < len(self._protected_views):
                views = self._protected_views  # what was reverted may show in others
            else:
                return boundary

    @cached_property
    def _protected_views(self) -> list[ProtectedView]:
        """All views that have something to protect."""
        before, result = concatenate([self.frozen, self.boundary]), []
        for view in self.views:
            protected = (view.observed > 0) & (fill_neighborhood(view, self.config) == 0)
            if protected.any():
                result.append(ProtectedView(view.camera, protected, self._color(before, view.camera).half()))
        return result

    def _changes(self, scene: Splats, views: Sequence[ProtectedView]) -> Changes:
        found = []
        for view in views:
            change = (self._color(scene, view.camera) - view.color).abs().amax(dim=1, keepdim=True)
            changed = (change > CHANGED) & view.protected
            if changed.any():
                found.append((view, changed.to(change)))
        return found

    def _color(self, scene: Splats, camera: Cameras) -> Float[Tensor, "1 3 h w"]:
        return self.rasterizer(scene, camera).color.clamp(0, 1)

    def _offending(self, scene: Splats, changes: Changes) -> Bool[Tensor, " n"]:
        """Which of the scene's splats paint pixels that changed."""
        weight = scene.means.new_zeros(len(scene))
        for view, changed in changes:
            weight += rendered_weight(scene, view.camera, changed, self.rasterizer)[:, 0]
        return weight > MIN_WEIGHT


def merged(boundary: Splats, fill: Splats, is_fill: Bool[Tensor, " n"]) -> Splats:
    """Boundary and fill splats in the order in which their labels stand."""
    order = torch.empty(len(is_fill), dtype=torch.long, device=is_fill.device)
    order[~is_fill] = torch.arange(len(boundary), device=is_fill.device)
    order[is_fill] = len(boundary) + torch.arange(len(fill), device=is_fill.device)
    return concatenate([boundary, fill])[order]


def _differ(some: Splats, others: Splats) -> Bool[Tensor, " n"]:
    """Which are not the same, bit for bit."""
    values = zip(some.tensors().values(), others.tensors().values(), strict=True)
    return torch.stack([(one != other)[..., None].flatten(1).any(dim=1) for one, other in values]).any(dim=0)
