"""Splits splats that straddle the outline of a mask, so that the object can go and what is beside it stay."""

from collections.abc import Callable

import torch
from jaxtyping import Bool
from torch import Tensor

from splatpaint.masks.lift import Votes
from splatpaint.scene.rotation import matrices_from_quats
from splatpaint.scene.splats import Splats, concatenate

STRADDLING = 0.1
"""A splat straddles the outline if more than this share of its rendered weight is inside the masks, and outside them."""
MIN_WEIGHT_PX = 4.0
"""Splats of less rendered weight, in pixels of full opacity over all views, are too small to stain anything."""
PASSES = 2
"""Times that splats are halved: twice leaves quarters of the longest ones."""
HALF = 0.5**0.5
"""Two halves of this standard deviation, so many standard deviations to either side, have the spread of the whole."""


def split_straddling(splats: Splats, vote: Callable[[Splats], Votes]) -> tuple[Splats, Votes]:
    """The splats, those that straddle the masks halved along their longest axis, and the votes on them.

    Args:
        splats: the scene with the object.
        vote: of the masks, on any splats.
    """
    votes = vote(splats)
    for _ in range(PASSES):
        straddles = straddling(votes)
        if not straddles.any():
            break
        splats = concatenate([splats[~straddles], *halves(splats[straddles])])
        votes = vote(splats)
    return splats, votes


def straddling(votes: Votes) -> Bool[Tensor, " n"]:
    """Splats with much of their rendered weight on both sides of the masks' outlines."""
    share = votes.inside / votes.total.clamp_min(1e-12)
    return (share > STRADDLING) & (share < 1 - STRADDLING) & (votes.total > MIN_WEIGHT_PX)


def halves(splats: Splats) -> tuple[Splats, Splats]:
    """Two splats in place of each, along its longest axis, of the same mean, spread and opacity together."""
    axis = splats.log_scales.argmax(dim=1)
    rows = torch.arange(len(splats), device=axis.device)
    direction = matrices_from_quats(splats.quats)[rows, :, axis]
    offset = HALF * splats.scales[rows, axis][:, None] * direction
    log_scales = splats.log_scales.clone()
    log_scales[rows, axis] += torch.log(torch.tensor(HALF)).to(log_scales)
    values = splats.tensors() | {"log_scales": log_scales}
    one, other = (Splats(**(values | {"means": splats.means + side * offset}), space=splats.space) for side in (-1, 1))
    return one, other
