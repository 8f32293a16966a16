"""Kept splats that should go with the object: leftovers of it, and what was hidden inside it."""

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from splatpaint.extras import import_open3d
from splatpaint.masks.lift import Votes

MIN_PHOTOS = 1.0
"""A splat that fewer photos showed outside their masks, and that shows now, was hidden in the object."""
MIN_SUPPORT = 0.1
"""So was one whose weight outside masks and margins was less than this share of its weight inside the masks now: what shows a
little beside an object takes its color."""
NEIGHBORS = 16
DEVIATIONS = 3.0
"""A splat whose mean distance to its neighbors exceeds the mean of all by this many standard deviations is isolated."""


def was_hidden(before: Votes, after: Votes) -> Bool[Tensor, " n"]:
    """Splats that the removal exposed and whose look no photo, or hardly any, had supervised.

    Args:
        before: votes on the kept splats with the object in place.
        after: votes on the kept splats alone.
    """
    unsupported = (before.votes_outside < MIN_PHOTOS) | (before.outside_margin < MIN_SUPPORT * after.inside)
    return (after.inside > 0) & unsupported


def isolated(means: Float[Tensor, "n 3"]) -> Bool[Tensor, " n"]:
    """Statistical outliers by distance to their neighbors (open3d)."""
    if len(means) <= NEIGHBORS:
        return torch.zeros(len(means), dtype=torch.bool, device=means.device)
    open3d = import_open3d()
    cloud = open3d.geometry.PointCloud(open3d.utility.Vector3dVector(means.detach().double().cpu().numpy()))
    _, inliers = cloud.remove_statistical_outlier(NEIGHBORS, DEVIATIONS)
    outlier = torch.ones(len(means), dtype=torch.bool)
    outlier[torch.as_tensor(list(inliers), dtype=torch.long)] = False
    return outlier.to(means.device)
