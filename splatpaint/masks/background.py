"""Background that generous masks cover.

Masks are often drawn with room to spare, and splats that they cover from most viewpoints would be voted out although a few
photos show them beside the object. Such splats lie on the surface that continues the scene around the mask; an object stands
in front of it.
"""

from collections.abc import Iterable

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from splatpaint.image.harmonic import harmonic_fill
from splatpaint.masks.lift import MaskedView
from splatpaint.masks.visibility import DepthView
from splatpaint.scene.splats import Splats

MAX_EXTRAPOLATION = 4.0
"""Depth with a hint ends at so many times farther or nearer than anything known."""
TOLERANCE = 0.03
"""A splat nearer than the surface by no more than this share of the depth is on it."""


def on_background(
    splats: Splats, views: Iterable[tuple[MaskedView, Float[Tensor, "1 1 h w"]]], *, tolerance: float = TOLERANCE
) -> Bool[Tensor, " n"]:
    """Splats on or behind the surface around the mask, by most of the views that have their centers inside their mask.

    Args:
        splats: the whole scene.
        views: masks, and the z-depth of the scene (0 = unknown). The surface is extrapolated across mask and margin.
        tolerance: see TOLERANCE.
    """
    behind = splats.means.new_zeros(len(splats))
    looked = splats.means.new_zeros(len(splats))
    for view, depth in views:
        sighting = DepthView(view.camera, extrapolate_depth(depth, view.with_margin.to(depth))).sight(splats.means)
        inside = sighting.in_frame & (sighting.at(view.mask) > 0) & (sighting.surface > 0)
        behind += inside & ~sighting.occluding(1 - tolerance)
        looked += inside
    return behind > 0.5 * looked.clamp_min(1)


def extrapolate_depth(
    depth: Float[Tensor, "1 1 h w"], unknown: Float[Tensor, "1 1 h w"], hint: Float[Tensor, "1 1 h w"] | None = None
) -> Float[Tensor, "1 1 h w"]:
    """Depth with its unknown part replaced by the harmonic extension of disparity, which continues planes exactly.

    Args:
        depth: z-depth in world units; 0 = unknown.
        unknown: 1 where the depth is to be replaced.
        hint: disparity in units of the depth. What is extended is the difference of the known disparity to it: the hint's
            shape, without a step at the boundary.

    Returns:
        All zero if no depth is known.
    """
    known = (unknown == 0) & (depth > 0)
    if not known.any():
        return torch.zeros_like(depth)
    hint = torch.zeros_like(depth) if hint is None else hint
    difference = torch.where(known, 1 / depth.clamp_min(1e-6) - hint, torch.zeros_like(depth))
    disparity = hint + harmonic_fill(difference, (~known).to(depth))
    nearest, farthest = (1 / depth[known].min(), 1 / depth[known].max())
    return 1 / disparity.clamp(farthest / MAX_EXTRAPOLATION, nearest * MAX_EXTRAPOLATION)
