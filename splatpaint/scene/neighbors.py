"""Distances between points and their nearest neighbors."""

import torch
from jaxtyping import Float
from scipy.spatial import KDTree
from torch import Tensor


def nearest_distances(points: Float[Tensor, "n 3"], k: int) -> Float[Tensor, "n k"]:
    """Euclidean distances from every point to its k nearest other points, nearest first, on the points' device.

    Coincident points are neighbors at distance 0.

    Raises:
        ValueError: if k is not positive, or there are not more than k points, or a coordinate is not finite.
    """
    if k < 1:
        raise ValueError(f"k is {k}, expected at least 1 neighbor")
    if len(points) <= k:
        raise ValueError(f"{len(points)} points have no {k} neighbors each: expected at least {k + 1} points")
    positions = points.detach().cpu().double().numpy()
    # The first of the k + 1 is the point itself, or a coincident one at the same distance 0.
    distances, _ = KDTree(positions).query(positions, k=k + 1, workers=torch.get_num_threads())
    return torch.from_numpy(distances[:, 1:]).to(points)
