"""Random initial points, for captures in which no points can be triangulated."""

import numpy as np

from splatpaint.capture.posed import InputPoints, Photo, inverted

COUNT = 5000
"""Number of points."""


def scatter(photos: tuple[Photo, ...], *, seed: int = 0) -> InputPoints:
    """Gray points, uniform in a ball around the point that the cameras look at.

    The center is the point nearest to all optical axes (least squares), but not behind the cameras. The radius is half the
    median distance from the center to the cameras.
    """
    world_from_cam = np.stack([inverted(photo.cam_from_world) for photo in photos])
    eyes, axes = world_from_cam[:, :3, 3], world_from_cam[:, :3, 2]
    across = np.eye(3) - axes[:, :, None] * axes[:, None, :]
    # parallel axes leave the depth of the center undefined; a small regularization towards the extent of the cameras fixes it
    ahead = eyes + axes * max(float(np.linalg.norm(np.ptp(eyes, axis=0))), 1e-6)
    weight = 1e-3
    normal = across.sum(axis=0) + weight * len(eyes) * np.eye(3)
    center = np.linalg.solve(normal, np.einsum("vij,vj->i", across, eyes) + weight * ahead.sum(axis=0))
    if np.mean(np.einsum("vi,vi->v", center - eyes, axes) > 0) < 0.5:
        center = ahead.mean(axis=0)
    radius = 0.5 * float(np.median(np.linalg.norm(eyes - center, axis=1)))
    random = np.random.default_rng(seed)
    directions = random.normal(size=(COUNT, 3))
    directions /= np.linalg.norm(directions, axis=1, keepdims=True)
    distances = radius * random.uniform(size=(COUNT, 1)) ** (1 / 3)
    return InputPoints(center + directions * distances, np.full((COUNT, 3), 128, dtype=np.uint8))
