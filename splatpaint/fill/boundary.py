"""The kept splats that learn with the fill: those that show right around the holes."""

from collections.abc import Sequence

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from splatpaint.fill.config import InpaintConfig
from splatpaint.fill.views import ObservedView
from splatpaint.image.region import dilate
from splatpaint.masks.lift import MaskedView, lift
from splatpaint.masks.selection import MIN_WEIGHT
from splatpaint.render.protocol import Rasterizer
from splatpaint.scene.splats import Splats

SEEN_ELSEWHERE = 0.1
"""On the leash no boundary splat paints more than this, in pixels of full opacity over all photos, away from the holes."""


def near(view: ObservedView, config: InpaintConfig) -> Float[Tensor, "1 1 h w"]:
    """1 where the fill belongs, and around that."""
    return dilate(view.open, config.boundary_px)


@torch.no_grad()
def boundary_splats(
    kept: Splats, views: Sequence[ObservedView], rasterizer: Rasterizer, config: InpaintConfig
) -> Bool[Tensor, " n"]:
    """The kept splats that show in the holes or right around them, and hardly anywhere else."""
    areas = (near(view, config) for view in views)
    masked_views = (
        MaskedView(view.camera, area, torch.maximum(area, 1 - view.seen), torch.ones_like(area))
        for view, area in zip(views, areas, strict=True)
    )
    votes = lift(kept, masked_views, rasterizer)
    boundary = votes.inside > config.boundary_share * votes.total.clamp_min(MIN_WEIGHT)
    return boundary & (votes.clear < SEEN_ELSEWHERE) if config.leash else boundary
