"""Renders synthetic occluders and their shadows as the photos of a capture would show them."""

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn.functional import normalize

from benchmarks.synthetic_occluders import Occluder, Placement, foot_shadow
from splatpaint.scene.camera import Cameras

SUPERSAMPLING = 4
"""Rays per pixel along each axis."""
SHADOW_REACH = 4.0
"""Radius of the shadow in radii of the occluder; it has faded to 1 % there."""


def draw(occluder: Occluder, camera: Cameras) -> tuple[Float[Tensor, "3 h w"], Float[Tensor, "1 h w"]]:
    """Anti-aliased color and coverage of the occluder in one view, without occlusion by the scene."""
    placement = occluder.placement
    fine = camera.resized(camera.width * SUPERSAMPLING, camera.height * SUPERSAMPLING)
    color, coverage = torch.zeros(3, camera.height, camera.width), torch.zeros(1, camera.height, camera.width)
    center, depth = camera.project(placement.center[None])
    reach = 1.5 * camera.K[0, 0, 0].item() * placement.radius / max(depth.item(), 1e-6)
    left, top = (center[0, 0] - reach).floor().int().clamp(min=0).tolist()
    right, bottom = (center[0, 0] + reach).ceil().int().tolist()
    right, bottom = min(right, camera.width), min(bottom, camera.height)
    if depth.item() <= 1.5 * placement.radius or right <= left or bottom <= top:
        return color, coverage
    s = SUPERSAMPLING
    window = fine.cropped(left * s, top * s, (right - left) * s, (bottom - top) * s)
    rays = normalize(window.rays()[0] @ camera.world_from_cam[0, :3, :3].T, dim=-1)
    hit, painted = occluder.intersect(camera.centers[0], rays)
    cells = (bottom - top, s, right - left, s)
    share = hit.float().reshape(cells).mean(dim=(1, 3))
    mean = painted.reshape(*cells, 3).mean(dim=(1, 3)) / share.clamp(min=1e-6)[..., None]
    color[:, top:bottom, left:right] = mean.permute(2, 0, 1)
    coverage[0, top:bottom, left:right] = share
    return color, coverage


def shade(placement: Placement, camera: Cameras) -> Float[Tensor, "1 h w"]:
    """What a soft shadow around the foot leaves of the sRGB values of a photo, within `SHADOW_REACH` of the foot; else 1."""
    rays = camera.rays()[0] @ camera.world_from_cam[0, :3, :3].T
    depth = (placement.foot - camera.centers[0]) @ placement.up / (rays @ placement.up)
    points = camera.centers[0] + depth[..., None] * rays
    on_plane = (depth > 0) & ((points - placement.foot).norm(dim=-1) < SHADOW_REACH * placement.radius)
    return torch.where(on_plane, foot_shadow(placement, points), torch.ones_like(depth))[None]
