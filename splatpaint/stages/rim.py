"""The kept splats that learn with the fill: those that show right around the holes."""

from collections.abc import Sequence

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from splatpaint.fit.surroundings import Surroundings
from splatpaint.image.region import dilate
from splatpaint.masks.lift import Ballot, lift
from splatpaint.render.protocol import Rasterizer
from splatpaint.scene.splats import Splats
from splatpaint.stages.inpaint_config import InpaintConfig
from splatpaint.stages.remove import MIN_WEIGHT

SEEN_ELSEWHERE = 0.1
"""On the leash no rim splat paints more than this, in pixels of full opacity over all photos, away from the holes."""


def near(view: Surroundings, config: InpaintConfig) -> Float[Tensor, "1 1 h w"]:
    """1 where the fill belongs, and around that."""
    return dilate(view.open, config.rim_px)


@torch.no_grad()
def rim_of(kept: Splats, views: Sequence[Surroundings], rasterizer: Rasterizer, config: InpaintConfig) -> Bool[Tensor, " n"]:
    """The kept splats that show in the holes or right around them, and hardly anywhere else."""
    areas = (near(view, config) for view in views)
    ballots = (
        Ballot(view.camera, area, torch.maximum(area, 1 - view.seen), torch.ones_like(area))
        for view, area in zip(views, areas, strict=True)
    )
    votes = lift(kept, ballots, rasterizer)
    rim = votes.inside > config.rim_share * votes.total.clamp_min(MIN_WEIGHT)
    return rim & (votes.clear < SEEN_ELSEWHERE) if config.leash else rim
