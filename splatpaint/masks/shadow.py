"""The contact shadow that a removed object leaves on what it stood on.

A shadow takes a share of the light. Light is about proportional to an sRGB value to the power 2.2, so a share of the light is a
share of the sRGB values, too (its 1 / 2.2-th power). These shares are found and undone: colors are divided by them.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch
from jaxtyping import Float, UInt8
from torch import Tensor
from torch.nn.functional import grid_sample

from splatpaint.image.contact_shadow import find_shadow_field
from splatpaint.masks.blocked_light import blocked_light
from splatpaint.masks.holes import RemovalView
from splatpaint.masks.lift import MIN_WEIGHT, rendered_weight
from splatpaint.masks.removal import NO_SHADE, unshaded
from splatpaint.masks.support import Support, find_support
from splatpaint.masks.surface_map import OFF_PLANE, height_off, surface_map
from splatpaint.render.protocol import Rasterizer
from splatpaint.scene.photos import Photo
from splatpaint.scene.splats import SH_C0, Splats

MAX_DARKENING = 1.2
"""Of the logarithm of sRGB: no shadow leaves less than 30 %."""
FAINTEST = 0.25 / 255
"""Smaller changes of a splat's colors, relative to them, are none."""


@dataclass(frozen=True, eq=False)
class ContactShadow:
    """A shadow on a plane."""

    support: Support
    half: float
    """Half the side of the field, world units."""
    field: Float[Tensor, "s s"]
    """Darkening of the logarithm of sRGB around the object, at least 0; rows are v, columns are u."""
    deepest: float
    """Share of the sRGB values that it takes where it takes most of what photos show."""

    def shade(self, view: RemovalView) -> UInt8[Tensor, "1 1 h w"] | None:
        """What it leaves of the photo's sRGB values in 1 / 255, 255 away from it; None if the photo does not show it."""
        camera, depth = view.camera, view.visible.depth.float()
        rays = camera.rays()[0] @ camera.world_from_cam[0, :3, :3].T
        normal = self.support.axes[2]
        plane_depth = (self.support.origin - camera.centers[0]) @ normal / (rays @ normal)
        points = camera.centers[0] + plane_depth.nan_to_num(0, 0, 0)[..., None] * rays
        at = (points - self.support.origin) @ self.support.axes[:2].T / self.half
        field = grid_sample(self.field[None, None], at[None], align_corners=False)
        # Full on the surface, none twice as far off the plane.
        off = height_off(self.support, view, depth[0, 0], plane_depth) / OFF_PLANE
        on_plane = (2 - off).clamp(0, 1)
        shade = torch.exp(-field.clamp_max(MAX_DARKENING) * on_plane).mul(NO_SHADE).round().byte()
        return shade if (shade < NO_SHADE).any() else None


def find_shadow(removed: Splats, photos: Sequence[Photo], views: Sequence[RemovalView]) -> ContactShadow | None:
    """The shadow of the object; None if it stands on no plane, or darkens it no more than texture does.

    Args:
        removed: the object, and little else.
        photos: of all views.
        views: the same views.
    """
    support = find_support(removed, views)
    above = surface_map(support, photos, views) if support is not None else None
    if support is None or above is None:
        return None
    blocked = blocked_light(removed, support, above.half, len(above.trust))
    field = find_shadow_field(above.log_colors, above.trust, blocked)
    if field is None:
        return None
    return ContactShadow(support, above.half, field, 1 - float(torch.exp(-field[above.trust > 0].max())))


@torch.no_grad()
def lighten(
    splats: Splats,
    views: Sequence[RemovalView],
    shades: Sequence[UInt8[Tensor, "1 1 _ _"] | None],
    rasterizer: Rasterizer,
) -> Splats:
    """The splats without the shadow: each as much lighter as the pixels that it paints, on average; others bit for bit.

    Args:
        splats: the whole scene.
        views: all of them.
        shades: what the shadow leaves of their photos.
        rasterizer: any; one forward and one backward pass a view that shows the shadow.
    """
    weight = splats.means.new_zeros(len(splats), 2)
    for view, shade in zip(views, shades, strict=True):
        if shade is not None:
            seen = (view.usable & ~view.occluded).to(splats.means)
            gain = unshaded(seen, shade) - seen
            weight += rendered_weight(splats, view.camera, torch.cat([gain, seen], dim=1), rasterizer)
    more = weight[:, 0] / weight[:, 1].clamp_min(MIN_WEIGHT)
    return brightened(splats, 1 + more * (more > FAINTEST))


def brightened(splats: Splats, factor: Float[Tensor, " n"]) -> Splats:
    """Splats with their sRGB colors multiplied, from all directions alike; those with the factor 1 bit for bit."""
    sh = splats.sh * factor[:, None, None]
    sh[:, 0] += (factor - 1)[:, None] * (0.5 / SH_C0)
    return replace(splats, sh=torch.where((factor == 1)[:, None, None], splats.sh, sh))
