"""The object as a layer of its own: its splats, and where every photo shows it.

Masks are the truth about where an object is. What is found in the scene only adds to them, where they miss a part of it that
other views have inside theirs.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Bool
from torch import Tensor

from splatpaint.image.region import dilate, erode
from splatpaint.masks.lift import MaskedView, lift
from splatpaint.masks.selection import OBJECT, RemoveConfig, refuse_extremes, voted_out
from splatpaint.render.protocol import Rasterizer
from splatpaint.scene.splats import Splats

SHOWS_OBJECT = 0.4
"""A pixel near a mask shows the object if its splats, each weighed by its share of votes, make up more than this of it."""
MISSED_PX = 2
"""Masks miss a part only if it is more than twice so wide: splats that straddle an outline show beyond it everywhere. Pixels of
a 480-px image."""


@dataclass(frozen=True, eq=False)
class ObjectLayer:
    """What the masks of all views mark."""

    splats: Splats
    """Of the object, in the capture's world."""
    occluded: Mapping[str, Bool[Tensor, "1 1 _ _"]]
    """By name of the view, where its photo shows the object and so says nothing about what is behind."""

    def in_scene(self, splats: Splats) -> Bool[Tensor, " n"]:
        """Which splats of a reconstruction are the object's: they come last."""
        return torch.arange(len(splats), device=splats.means.device) >= len(splats) - len(self.splats)


@torch.no_grad()
def object_layer(
    splats: Splats, names: Sequence[str], masks: Sequence[MaskedView], rasterizer: Rasterizer, config: RemoveConfig
) -> ObjectLayer:
    """The object in a scene that was fitted with it.

    Args:
        splats: the scene.
        names: of the views.
        masks: theirs.
        rasterizer: any.
        config: says how votes are counted.

    Raises:
        MaskError: if the masks select no splats, or all of them.
    """
    votes = lift(splats, masks, rasterizer)
    member = voted_out(votes, config) & (votes.share > OBJECT)
    refuse_extremes(member, votes)
    weight = (votes.share * member)[:, None]
    occluded = {}
    for name, view in zip(names, masks, strict=True):
        shows = (rasterizer(splats, view.camera, features=weight).color > SHOWS_OBJECT) & view.with_margin & ~view.mask
        radius_px = view.camera.px(MISSED_PX)
        missed = dilate(erode(shows.float(), radius_px), radius_px).bool()
        occluded[name] = view.mask | (missed & view.with_margin)
    return ObjectLayer(splats[member], occluded)
