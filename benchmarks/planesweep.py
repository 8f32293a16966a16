"""Plane sweep: the depth and tilt of a surface at which neighboring photos agree best."""

import math
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn.functional import grid_sample, normalize

from splatpaint.scene.camera import Cameras

HALF_WIDTH_SHARE, HALF_HEIGHT_SHARE = 0.12, 0.07
"""Size of the compared patch as shares of the image: level ground seen at a slant is wide and low."""
DEPTHS = 160
"""Number of depths that are tried, spaced logarithmically."""
TILTS_DEG = (-6.0, -4.0, -2.0, 0.0, 2.0, 4.0, 6.0)
"""Rotations of the assumed normal about the camera's horizontal axis that are tried."""


@dataclass(frozen=True, eq=False)
class Plane:
    """A point of a surface, its unit normal, and the agreement of the photos."""

    point: Float[Tensor, "3"]
    normal: Float[Tensor, "3"]
    agreement: float
    """Mean normalized cross-correlation with the two neighbors that agree best, in [-1, 1]."""


def sweep(
    grays: Float[Tensor, "v 1 h w"],
    cameras: Cameras,
    *,
    reference: int,
    pixel: Float[Tensor, "2"],
    up: Float[Tensor, "3"],
    nearest: float,
    farthest: float,
    reach: int = 2,
) -> Plane:
    """The roughly level plane seen at a pixel of one view.

    Args:
        grays: all photos, in gray.
        cameras: their cameras, in the order of capture.
        reference: index of the photo that contains the pixel.
        pixel: position (x, y) in pixels.
        up: assumed normal of the surface, in the world.
        nearest: smallest z-depth that is tried, in world units.
        farthest: largest z-depth that is tried.
        reach: number of photos before and after the reference that are compared.
    """
    camera = cameras[reference]
    window = _window(pixel, camera)
    patch = warp(grays[reference : reference + 1], window[None])[0, 0]
    world_from_image = camera.world_from_cam[0, :3, :3] @ torch.linalg.inv(camera.K[0])
    rays = _homogeneous(window) @ world_from_image.T
    middle = _homogeneous(pixel) @ world_from_image.T
    neighbors = [i for i in range(reference - reach, reference + reach + 1) if i != reference and 0 <= i < len(cameras)]
    planes = []
    for tilt in TILTS_DEG:
        normal = _tilted(up, camera.world_from_cam[0, :3, 0], math.radians(tilt))
        for depth in torch.logspace(math.log10(nearest), math.log10(farthest), DEPTHS):
            scale = (depth * middle) @ normal / (rays @ normal)
            points = camera.centers[0] + scale[..., None] * rays
            scores = [_correlation(patch, _look_up(points, grays[i : i + 1], cameras[i])) for i in neighbors]
            planes.append(Plane(camera.centers[0] + depth * middle, normal, sum(sorted(scores)[-2:]) / 2))
    return max(planes, key=lambda plane: plane.agreement)


def warp(images: Float[Tensor, "v c hs ws"], pixels: Float[Tensor, "v h w 2"]) -> Float[Tensor, "v c h w"]:
    """Images sampled bilinearly at `pixels` (x, y; pixel centers at .5); zero beyond the border."""
    size = pixels.new_tensor([images.shape[-1], images.shape[-2]])
    return grid_sample(images, 2 * pixels / size - 1, mode="bilinear", padding_mode="zeros", align_corners=False)


def _window(pixel: Tensor, camera: Cameras) -> Float[Tensor, "h w 2"]:
    half_x, half_y = round(HALF_WIDTH_SHARE * camera.width), round(HALF_HEIGHT_SHARE * camera.height)
    y, x = torch.meshgrid(torch.arange(-half_y, half_y + 1.0), torch.arange(-half_x, half_x + 1.0), indexing="ij")
    return torch.stack([x, y], dim=-1) + pixel


def _homogeneous(pixels: Tensor) -> Tensor:
    return torch.cat([pixels, torch.ones_like(pixels[..., :1])], dim=-1)


def _look_up(points: Tensor, gray: Tensor, camera: Cameras) -> Tensor:
    pixels, depth = camera.project(points.reshape(-1, 3))
    seen = torch.where(depth[0, :, None] > 0, pixels[0], torch.full_like(pixels[0], -1e6))
    return warp(gray, seen.reshape(1, *points.shape[:2], 2))[0, 0]


def _correlation(a: Tensor, b: Tensor) -> float:
    a, b = a - a.mean(), b - b.mean()
    return ((a * b).sum() / (a.norm() * b.norm()).clamp(min=1e-6)).item()


def _tilted(vector: Tensor, axis: Tensor, angle: float) -> Tensor:
    """Rodrigues' rotation of a vector perpendicular to the axis, up to its small component along it."""
    return normalize(math.cos(angle) * vector + math.sin(angle) * torch.linalg.cross(axis, vector), dim=0)
