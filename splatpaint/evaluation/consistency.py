"""Multi-view consistency of a fill: agreement between the holes of neighboring views.

The color of a neighboring view is warped into the hole of a view by rendered depth, and the two are compared. Points outside
the neighbor's frame, or occluded in it by known surfaces, are excluded. Points that fall into the neighbor's hole always count,
even if the depths disagree: otherwise a fill with inconsistent depth would be scored by the few points that agree. The share of
points whose depths agree is reported separately.

Photos differ in exposure, and fills follow them. Therefore the warped image is first scaled, per channel, to the mean color
around the hole. The measure also rewards blur: the true background agrees less than most fills do.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import product

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn.functional import grid_sample

from splatpaint.evaluation.metrics import lpips_in_box
from splatpaint.image.perceptual import Lpips
from splatpaint.image.region import bounding_box, dilate
from splatpaint.scene.camera import Cameras

NEIGHBORS = (1, 4)
"""Index offsets of the views that each view is compared with, before and after it: one near, one farther."""
TOLERANCE = 0.03
"""Relative depth difference up to which a point counts as the surface that the neighbor sees."""
MIN_PIXELS = 64
"""Pairs that share fewer pixels of the hole, or of its surroundings, are skipped."""
EXPOSURE_RING_PX = 32
"""Width of the ring around the hole in which the exposures of two views are compared."""


@dataclass(frozen=True, eq=False)
class RenderedHole:
    """One rendering of a scene."""

    camera: Cameras
    """A batch of one."""
    color: Float[Tensor, "1 3 h w"]
    depth: Float[Tensor, "1 1 h w"]
    """z-depth, 0 = nothing there."""
    hole: Float[Tensor, "1 1 h w"]
    """1 where the scene was filled."""


@torch.no_grad()
def consistency(views: Sequence[RenderedHole], *, lpips: Mapping[str, Lpips] | None = None) -> dict[str, float]:
    """Agreement of the views inside their holes.

    Args:
        views: in the order in which they were taken.
        lpips: perceptual distances to measure in addition to PSNR, by the name of the net.

    Returns:
        `psnr/consistency` (dB, of the squared errors of all pairs), `lpips_NET/consistency` (mean over pairs),
        `depth/consistency` (share of the points whose depths agree) and `pairs/consistency`; empty if no two views share
        enough of a hole.
    """
    squared, pixels, agreeing, pairs = 0.0, 0.0, 0.0, 0
    distances: dict[str, float] = dict.fromkeys(lpips or {}, 0.0)
    for one, other in neighbors(views):
        warped = warp_view(other, one)
        valid = one.hole * torch.maximum(warped.depth_agrees, warped.hole)
        around = dilate(one.hole, EXPOSURE_RING_PX) * (1 - one.hole) * warped.known
        if min(valid.sum(), around.sum()) < MIN_PIXELS:
            continue
        pairs += 1
        color = warped.color * gain(warped.color, one.color, around)
        squared += float(((color - one.color).square().mean(dim=1, keepdim=True) * valid).sum())
        pixels += float(valid.sum())
        agreeing += float((valid * warped.depth_agrees).sum())
        box = bounding_box(valid[0])
        assert box is not None, "there are valid pixels"
        for net, distance in (lpips or {}).items():
            distances[net] += float(lpips_in_box(distance, torch.lerp(one.color, color.clamp(0, 1), valid), one.color, box))
    if not pairs:
        return {}
    psnr = float(-10 * torch.log10(torch.tensor(squared / pixels)))
    means = {f"lpips_{net}/consistency": total / pairs for net, total in distances.items()}
    return {"psnr/consistency": psnr, **means, "depth/consistency": agreeing / pixels, "pairs/consistency": float(pairs)}


def neighbors(views: Sequence[RenderedHole]) -> Iterator[tuple[RenderedHole, RenderedHole]]:
    """The pairs of views that are compared."""
    for index, step, sign in product(range(len(views)), NEIGHBORS, (-1, 1)):
        if 0 <= index + sign * step < len(views):
            yield views[index], views[index + sign * step]


@dataclass(frozen=True, eq=False)
class WarpedView:
    """One view (the source) warped to the pixels of another (the target).

    All maps are 0 where the target has no depth or the point is outside the source's frame.
    """

    color: Float[Tensor, "1 3 h w"]
    known: Float[Tensor, "1 1 h w"]
    """1 where the point falls outside the source's hole."""
    hole: Float[Tensor, "1 1 h w"]
    """1 where it falls into that hole."""
    depth_agrees: Float[Tensor, "1 1 h w"]
    """1 where the source sees the same point: its depth agrees with the depth of the point."""


def warp_view(source: RenderedHole, target: RenderedHole) -> WarpedView:
    """The source warped to the pixels of the target by the target's depth."""
    points = target.camera.unproject(target.depth)[0].reshape(-1, 3)
    pixels, depth = source.camera.project(points)
    size = torch.tensor([source.camera.width, source.camera.height]).to(pixels)
    grid = (pixels[0] / size * 2 - 1).clamp(-2, 2).reshape(1, *target.depth.shape[2:], 2)
    depth = depth.reshape(target.depth.shape)
    color = grid_sample(source.color, grid, mode="bilinear", padding_mode="border", align_corners=False)
    found = grid_sample(source.depth, grid, mode="nearest", align_corners=False)
    hole = grid_sample(source.hole, grid, mode="nearest", align_corners=False)
    in_frame = ((grid.abs() <= 1).all(dim=-1)[:, None] & (target.depth > 0) & (depth > 0)).to(color)
    depth_agrees = (found > 0) & ((found - depth).abs() <= TOLERANCE * depth)
    return WarpedView(color * in_frame, (1 - hole) * in_frame, hole * in_frame, depth_agrees * in_frame)


def gain(
    color: Float[Tensor, "1 3 h w"], reference: Float[Tensor, "1 3 h w"], region: Float[Tensor, "1 1 h w"]
) -> Float[Tensor, "1 3 1 1"]:
    """The factor per channel that gives `color` the mean of `reference` in the region."""
    means = [(image * region).sum(dim=(2, 3), keepdim=True) for image in (color, reference)]
    return means[1] / means[0].clamp_min(1e-6)
