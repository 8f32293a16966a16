"""Kept splats that should not have been: leftovers of the object, and what only ever hid inside it."""

from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from splatpaint.extras import import_open3d
from splatpaint.masks.lift import Votes


@dataclass(frozen=True)
class FloatersConfig:
    """Which kept splats near the hole are dropped after all."""

    min_photos: float = 1.0
    """A splat that fewer photos than this showed outside their masks, and that shows now, was hidden in the object."""
    min_support: float = 0.1
    """So was one that the photos showed clear of their masks with less than this share of the weight that it has there now:
    what peeps out a little beside an object takes its color."""
    neighbors: int = 16
    deviations: float = 3.0
    """A splat farther from its neighbors than the mean by this many standard deviations is alone."""


def hidden(before: Votes, after: Votes, config: FloatersConfig) -> Bool[Tensor, " n"]:
    """Splats that the removal brought to light: no photo ever told, or hardly, what they look like.

    Args:
        before: of the kept splats with the object in place.
        after: of the kept splats alone.
        config: how many photos are enough.
    """
    return (after.inside > 0) & (
        (before.votes_outside < config.min_photos) | (before.clear < config.min_support * after.inside)
    )


def alone(means: Float[Tensor, "n 3"], config: FloatersConfig) -> Bool[Tensor, " n"]:
    """Statistical outliers by distance to their neighbors (open3d)."""
    if len(means) <= config.neighbors:
        return torch.zeros(len(means), dtype=torch.bool, device=means.device)
    open3d = import_open3d()
    cloud = open3d.geometry.PointCloud(open3d.utility.Vector3dVector(means.detach().double().cpu().numpy()))
    _, inliers = cloud.remove_statistical_outlier(config.neighbors, config.deviations)
    outlier = torch.ones(len(means), dtype=torch.bool)
    outlier[torch.as_tensor(list(inliers), dtype=torch.long)] = False
    return outlier.to(means.device)
