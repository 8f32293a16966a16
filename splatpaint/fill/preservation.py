"""Keeps what learns near the holes.

A photo that shows the scene well away from every hole says that nothing is to change there. Where its view changes all the
same, those who did it are taken back: the boundary to what it was, the fill by making it smaller, and where that does not
help, in the end by dropping it.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from splatpaint.fill.boundary import near
from splatpaint.fill.config import InpaintConfig
from splatpaint.fill.views import ObservedView
from splatpaint.masks.lift import rendered_weight
from splatpaint.masks.selection import MIN_WEIGHT
from splatpaint.render.protocol import Rasterizer
from splatpaint.scene.camera import Cameras
from splatpaint.scene.splats import Splats, concatenate

CHANGED = 1 / 255
"""A color that differs by no more is the same in a picture of 8 bits."""
SMALLER = 0.8
"""A fill splat that changes a photo's view elsewhere is scaled by this, again and again"""
HELPS = 0.9
"""as long as no more than this share of the changed pixels is left by it: what is centered there shows at any size."""


@dataclass(frozen=True, eq=False)
class ProtectedView:
    """A view that is to stay as it was where its photo shows something away from the holes."""

    camera: Cameras
    elsewhere: Float[Tensor, "1 1 h w"]
    """1 where it is to stay."""
    color: Float[Tensor, "1 3 h w"]
    """As it was."""


@dataclass(frozen=True, eq=False)
class PreservationConstraint:
    """Holds what learns: first the boundary, alone, then the fill beside what is left of that."""

    boundary: Splats
    """As it was kept."""
    frozen: Splats
    """The other kept splats."""
    views: Sequence[ObservedView]
    """They say where nothing is to change."""
    rasterizer: Rasterizer
    config: InpaintConfig

    @torch.no_grad()
    def revert_leaks(self, learned: Splats) -> Splats:
        """What learned, as many: those taken back that change a photo's view away from the holes. Some fill may still do so."""
        boundary, fill = self.revert_boundary(learned[: len(self.boundary)]), learned[len(self.boundary) :]
        views, before = self._protected_views, math.inf
        while True:
            scene = concatenate([self.frozen, boundary, fill])
            changes = self._changes(scene, views)
            pixels = sum(float(changed.sum()) for _, changed in changes)
            if pixels == 0 or pixels > HELPS * before:
                return concatenate([boundary, fill])
            offending = self._painting(scene, changes)[len(scene) - len(fill) :]
            fill = replace(fill, log_scales=fill.log_scales + math.log(SMALLER) * offending[:, None])
            views, before = [view for view, _ in changes], pixels

    @torch.no_grad()
    def cut(self, learned: Splats) -> Splats:
        """What was taken back, without the fill that changes a photo's view away from the holes, so that none does any more."""
        boundary, fill = learned[: len(self.boundary)], learned[len(self.boundary) :]
        while True:
            scene = concatenate([self.frozen, boundary, fill])
            changes = self._changes(scene, self._protected_views)
            offending = self._painting(scene, changes)[len(scene) - len(fill) :]
            if not offending.any():
                offending = self._painting(fill, changes)  # as the boundary in `revert_boundary`
            if not offending.any():
                return concatenate([boundary, fill])
            fill = fill[~offending]

    def revert_boundary(self, boundary: Splats) -> Splats:
        """The boundary, those as they were that change something even without a fill."""
        before, views = concatenate([self.frozen, self.boundary]), self._protected_views
        while True:
            after = concatenate([self.frozen, boundary])
            changes = self._changes(after, views)
            # What faded away changes what it painted.
            painting = self._painting(before, changes) | self._painting(after, changes)
            offending = painting[len(self.frozen) :] & _differ(boundary, self.boundary)
            if not offending.any():
                # What is too faint to paint can make a pixel full before what was the last to paint there: alone it paints.
                offending = (self._painting(self.boundary, changes) | self._painting(boundary, changes)) & _differ(
                    boundary, self.boundary
                )
            if offending.any():
                places = torch.arange(len(boundary), device=offending.device)
                boundary = concatenate([boundary, self.boundary])[places + len(boundary) * offending]
                views = [view for view, _ in changes]
            elif len(views) < len(self._protected_views):
                views = self._protected_views  # what was taken back may show in others
            else:
                return boundary

    @cached_property
    def _protected_views(self) -> list[ProtectedView]:
        """All views that there is something to watch in."""
        before, result = concatenate([self.frozen, self.boundary]), []
        for view in self.views:
            elsewhere = view.seen * (1 - near(view, self.config))
            if elsewhere.any():
                result.append(ProtectedView(view.camera, elsewhere, self._color(before, view.camera)))
        return result

    def _changes(self, scene: Splats, views: Sequence[ProtectedView]) -> list[tuple[ProtectedView, Float[Tensor, "1 1 h w"]]]:
        """The views that change where they are to stay, and 1 where they do."""
        found = []
        for view in views:
            change = (self._color(scene, view.camera) - view.color).abs().amax(dim=1, keepdim=True)
            changed = (change > CHANGED) * view.elsewhere
            if changed.any():
                found.append((view, changed))
        return found

    def _color(self, scene: Splats, camera: Cameras) -> Float[Tensor, "1 3 h w"]:
        return self.rasterizer(scene, camera).color.clamp(0, 1)

    def _painting(self, scene: Splats, changes: Sequence[tuple[ProtectedView, Float[Tensor, "1 1 h w"]]]) -> Bool[Tensor, " n"]:
        """Which of the scene paint pixels that change."""
        weight = scene.means.new_zeros(len(scene))
        for view, changed in changes:
            weight += rendered_weight(scene, view.camera, changed, self.rasterizer)[:, 0]
        return weight > MIN_WEIGHT


def _differ(some: Splats, others: Splats) -> Bool[Tensor, " n"]:
    """Which are not the same, bit for bit."""
    values = zip(some.tensors().values(), others.tensors().values(), strict=True)
    return torch.stack([(one != other)[..., None].flatten(1).any(dim=1) for one, other in values]).any(dim=0)
