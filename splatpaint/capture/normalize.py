"""Normalization of the world, so that constants (near plane, initial splat sizes, learning rates) fit every scene."""

import numpy as np
from jaxtyping import Float

from splatpaint.capture.posed import FARTHEST, InputPoints, Photo
from splatpaint.errors import CaptureError
from splatpaint.scene.views import Similarity


def normalization(photos: tuple[Photo, ...], points: InputPoints) -> Similarity:
    """The similarity that maps the median point to the origin and the typical viewing distance to 1.

    The viewing distance of a photo is the median z-depth of the points in front of it; the typical one is the median over
    photos. (The distance to the scene center works for cameras that circle an object, but is nearly zero for cameras that look
    around in a room.)

    Raises:
        CaptureError: if there is no such distance, as where points and cameras are at absurd distances from each other.
    """
    center = np.median(points.positions, axis=0)
    depths = [(points.positions @ photo.cam_from_world[:3, :3].T + photo.cam_from_world[:3, 3])[:, 2] for photo in photos]
    medians = [float(np.median(depth[depth > 0])) for depth in depths if (depth > 0).any()]
    scale = 1.0 / float(np.median(medians)) if medians else 1.0
    if not 1 / FARTHEST <= scale <= FARTHEST:
        raise CaptureError(
            f"the points lie {1 / scale:.3g} units before the cameras, which is no distance to see anything at: see whether"
            " poses and points belong together, and solve them again"
        )
    x, y, z = (float(value) for value in -scale * center)
    return Similarity(scale, (x, y, z))


def normalized_pose(cam_from_input: Float[np.ndarray, "4 4"], world_from_input: Similarity) -> Float[np.ndarray, "4 4"]:
    """`cam_from_world` of a camera given in the input frame; it stays rigid, and its distances are scaled."""
    pose = cam_from_input.copy()
    pose[:3, 3] = world_from_input.scale * pose[:3, 3] - pose[:3, :3] @ np.array(world_from_input.shift)
    return pose


def normalized_points(positions: Float[np.ndarray, "n 3"], world_from_input: Similarity) -> Float[np.ndarray, "n 3"]:
    """`Similarity.apply` in double precision."""
    return positions * world_from_input.scale + np.array(world_from_input.shift)
