"""Keeps what learns near the holes.

A photo that shows the scene well away from every hole says that nothing is to change there. Where its view changes all the
same, those who did it are taken back: the rim to what it was, the fill by making it smaller, and where that does not help, in
the end by dropping it.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from splatpaint.fit.surroundings import Surroundings
from splatpaint.masks.lift import painting
from splatpaint.render.protocol import Rasterizer
from splatpaint.scene.camera import Cameras
from splatpaint.scene.splats import Splats, concatenate
from splatpaint.stages.inpaint_config import InpaintConfig
from splatpaint.stages.remove import MIN_WEIGHT
from splatpaint.stages.rim import near

CHANGED = 1 / 255
"""A color that differs by no more is the same in a picture of 8 bits."""
SMALLER = 0.8
"""A fill splat that changes a photo's view elsewhere is scaled by this, again and again"""
HELPS = 0.9
"""as long as no more than this share of the changed pixels is left by it: what is centered there shows at any size."""


@dataclass(frozen=True, eq=False)
class Watched:
    """A view that is to stay as it was where its photo shows something away from the holes."""

    camera: Cameras
    elsewhere: Float[Tensor, "1 1 h w"]
    """1 where it is to stay."""
    color: Float[Tensor, "1 3 h w"]
    """As it was."""


@dataclass(frozen=True, eq=False)
class Leash:
    """Holds what learns: first the rim, alone, then the fill beside what is left of that."""

    rim: Splats
    """As it was kept."""
    frozen: Splats
    """The other kept splats."""
    views: Sequence[Surroundings]
    """They say where nothing is to change."""
    rasterizer: Rasterizer
    config: InpaintConfig

    @torch.no_grad()
    def taken_back(self, learned: Splats) -> Splats:
        """What learned, as many: those taken back that change a photo's view away from the holes. Some fill may still do so."""
        rim, fill = self._held(learned[: len(self.rim)]), learned[len(self.rim) :]
        views, before = self._watched, math.inf
        while True:
            scene = concatenate([self.frozen, rim, fill])
            changes = self._changes(scene, views)
            pixels = sum(float(changed.sum()) for _, changed in changes)
            if pixels == 0 or pixels > HELPS * before:
                return concatenate([rim, fill])
            guilty = self._painting(scene, changes)[len(scene) - len(fill) :]
            fill = replace(fill, log_scales=fill.log_scales + math.log(SMALLER) * guilty[:, None])
            views, before = [view for view, _ in changes], pixels

    @torch.no_grad()
    def cut(self, learned: Splats) -> Splats:
        """What was taken back, without the fill that changes a photo's view away from the holes, so that none does any more."""
        rim, fill = learned[: len(self.rim)], learned[len(self.rim) :]
        while True:
            scene = concatenate([self.frozen, rim, fill])
            changes = self._changes(scene, self._watched)
            guilty = self._painting(scene, changes)[len(scene) - len(fill) :]
            if not guilty.any():
                guilty = self._painting(fill, changes)  # as the rim in `_held`
            if not guilty.any():
                return concatenate([rim, fill])
            fill = fill[~guilty]

    def _held(self, rim: Splats) -> Splats:
        """The rim, those as they were that change something even without a fill."""
        before, views = concatenate([self.frozen, self.rim]), self._watched
        while True:
            after = concatenate([self.frozen, rim])
            changes = self._changes(after, views)
            # What faded away changes what it painted.
            painting = self._painting(before, changes) | self._painting(after, changes)
            guilty = painting[len(self.frozen) :] & _differ(rim, self.rim)
            if not guilty.any():
                # What is too faint to paint can make a pixel full before what was the last to paint there: alone it paints.
                guilty = (self._painting(self.rim, changes) | self._painting(rim, changes)) & _differ(rim, self.rim)
            if guilty.any():
                places = torch.arange(len(rim), device=guilty.device)
                rim = concatenate([rim, self.rim])[places + len(rim) * guilty]
                views = [view for view, _ in changes]
            elif len(views) < len(self._watched):
                views = self._watched  # what was taken back may show in others
            else:
                return rim

    @cached_property
    def _watched(self) -> list[Watched]:
        """All views that there is something to watch in."""
        before, result = concatenate([self.frozen, self.rim]), []
        for view in self.views:
            elsewhere = view.seen * (1 - near(view, self.config))
            if elsewhere.any():
                result.append(Watched(view.camera, elsewhere, self._color(before, view.camera)))
        return result

    def _changes(self, scene: Splats, views: Sequence[Watched]) -> list[tuple[Watched, Float[Tensor, "1 1 h w"]]]:
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

    def _painting(self, scene: Splats, changes: Sequence[tuple[Watched, Float[Tensor, "1 1 h w"]]]) -> Bool[Tensor, " n"]:
        """Which of the scene paint pixels that change."""
        weight = scene.means.new_zeros(len(scene))
        for view, changed in changes:
            weight += painting(scene, view.camera, changed, self.rasterizer)[:, 0]
        return weight > MIN_WEIGHT


def _differ(some: Splats, others: Splats) -> Bool[Tensor, " n"]:
    """Which are not the same, bit for bit."""
    values = zip(some.tensors().values(), others.tensors().values(), strict=True)
    return torch.stack([(one != other)[..., None].flatten(1).any(dim=1) for one, other in values]).any(dim=0)
