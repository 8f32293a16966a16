"""Boundary splats: kept splats that are trained with the fill, since they show right around the holes.

They were fitted together with the object; the photos show there what they should look like without it.
"""

from collections.abc import Sequence

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from splatpaint.fill.config import FillConfig
from splatpaint.fill.views import ObservedView
from splatpaint.image.region import dilate
from splatpaint.masks.lift import MIN_WEIGHT, rendered_weight
from splatpaint.render.protocol import Rasterizer
from splatpaint.scene.splats import Splats

MAX_WEIGHT_ELSEWHERE = 0.1
"""Where observed pixels are preserved, no boundary splat has more rendered weight than this away from the holes, in pixels of
full opacity over all photos."""


def fill_neighborhood(view: ObservedView, config: FillConfig) -> Float[Tensor, "1 1 h w"]:
    """1 in the fill region and within the boundary width around it."""
    return dilate(view.fill_region, view.camera.px(config.boundary_px))


@torch.no_grad()
def boundary_splats(
    kept: Splats, views: Sequence[ObservedView], rasterizer: Rasterizer, config: FillConfig
) -> Bool[Tensor, " n"]:
    """The kept splats that show in the fill regions or right around them, and hardly anywhere else."""
    weight = kept.means.new_zeros(len(kept), 3)
    for view in views:
        neighborhood = fill_neighborhood(view, config)
        pixels = torch.cat([neighborhood, 1 - neighborhood, view.observed * (1 - neighborhood)], dim=1)
        weight += rendered_weight(kept, view.camera, pixels, rasterizer)
    inside, outside, observed_outside = weight.unbind(dim=1)
    found = inside > config.boundary_share * (inside + outside).clamp_min(MIN_WEIGHT)
    return found & (observed_outside < MAX_WEIGHT_ELSEWHERE) if config.preserve_observed else found
