"""Background that a generous mask takes along.

Masks are often drawn with room to spare, and what they cover from most viewpoints would be voted out although a few photos
show it beside the object. Such splats lie on the surface that continues the scene around the mask; an object stands in front
of it.
"""

from collections.abc import Iterable

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from splatpaint.image.harmonic import harmonic_fill
from splatpaint.masks.lift import MaskedView
from splatpaint.scene.splats import Splats

BEYOND = 4.0
"""A guide may lead so many times nearer or farther than anything known."""


def on_background(
    splats: Splats, views: Iterable[tuple[MaskedView, Float[Tensor, "1 1 h w"]]], *, tolerance: float
) -> Bool[Tensor, " n"]:
    """Splats that most of the views that have them under their mask find on, or behind, the surface around the mask.

    Args:
        splats: the whole scene.
        views: a masked and the z-depth of the scene (0 = unknown) for every view. The surface is continued across all that is
            near the mask.
        tolerance: how much nearer than that surface counts as on it, relative to the depth.
    """
    behind = splats.means.new_zeros(len(splats))
    looked = splats.means.new_zeros(len(splats))
    for masked, depth in views:
        camera, surface = masked.camera, continued(depth, masked.near)
        row, column, distance, inside = camera.find(splats.means)
        inside &= (masked.mask[0, 0, row, column] > 0) & (surface[0, 0, row, column] > 0)
        behind += inside & (distance >= (1 - tolerance) * surface[0, 0, row, column])
        looked += inside
    return behind > 0.5 * looked.clamp_min(1)


def continued(
    depth: Float[Tensor, "1 1 h w"], unknown: Float[Tensor, "1 1 h w"], guide: Float[Tensor, "1 1 h w"] | None = None
) -> Float[Tensor, "1 1 h w"]:
    """Depth with the unknown part (1) replaced by the harmonic extension of disparity, which continues planes exactly.

    Where the given depth is 0 it is unknown too. All zero if nothing is known. With a guide, a disparity in the same units, its
    difference to what is known is what is extended: the guide's shape without a step at the boundary.
    """
    known = (unknown == 0) & (depth > 0)
    if not known.any():
        return torch.zeros_like(depth)
    guide = torch.zeros_like(depth) if guide is None else guide
    difference = torch.where(known, 1 / depth.clamp_min(1e-6) - guide, torch.zeros_like(depth))
    disparity = guide + harmonic_fill(difference, (~known).to(depth))
    nearest, farthest = (1 / depth[known].min(), 1 / depth[known].max())
    return 1 / disparity.clamp(farthest / BEYOND, nearest * BEYOND)
