"""Whether a fill is one thing seen from many places, or another picture in every view.

The hole of one view is painted a second time with what a neighboring view shows there, carried over by rendered depth, and the
two are compared. Points that the neighbor does not see (out of its frame, or behind what its photo shows) do not count. Where a
point falls into the neighbor's own hole, it counts whatever stands there: were the depths to agree first, a fill whose depth is
chaos would be judged by the few points where it happens not to be. How many agree is a number of its own.

Photos differ in exposure, and fills follow them, so the carried picture first gets the gain that makes what surrounds the hole
alike, channel by channel. Agreement also rewards blur: what was really there agrees less than most fills do.
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
"""Every view is compared with those this many places before and after it: one near, one farther."""
TOLERANCE = 0.03
"""Relative difference of depths up to which a point counts as the surface that the neighbor sees."""
MIN_PIXELS = 64
"""Pairs that share less of the hole, or of what surrounds it, say nothing."""
AROUND_PX = 32
"""So far around the hole the exposures of two views are compared."""


@dataclass(frozen=True, eq=False)
class Seen:
    """One rendering of a scene."""

    camera: Cameras
    """A batch of one."""
    color: Float[Tensor, "1 3 h w"]
    depth: Float[Tensor, "1 1 h w"]
    """z-depth, 0 = nothing there."""
    hole: Float[Tensor, "1 1 h w"]
    """1 where the scene was painted."""


@torch.no_grad()
def consistency(views: Sequence[Seen], *, lpips: Mapping[str, Lpips] | None = None) -> dict[str, float]:
    """Agreement of the views inside their holes.

    Args:
        views: in the order in which they were taken.
        lpips: perceptual distances to take beside PSNR, by the net's name.

    Returns:
        `psnr/consistency` (dB, the squared errors of all pairs pooled), `lpips_NET/consistency` (mean over pairs),
        `depth/consistency` (share of the points whose depths agree) and `pairs/consistency`; empty if no two views share a
        hole.
    """
    squared, pixels, agreeing, pairs = 0.0, 0.0, 0.0, 0
    distances: dict[str, float] = dict.fromkeys(lpips or {}, 0.0)
    for one, other in neighbors(views):
        carried = carry(other, one)
        valid = one.hole * torch.maximum(carried.same, carried.hole)
        around = dilate(one.hole, AROUND_PX) * (1 - one.hole) * carried.known
        if min(valid.sum(), around.sum()) < MIN_PIXELS:
            continue
        pairs += 1
        color = carried.color * gain(carried.color, one.color, around)
        squared += float(((color - one.color).square().mean(dim=1, keepdim=True) * valid).sum())
        pixels += float(valid.sum())
        agreeing += float((valid * carried.same).sum())
        box = bounding_box(valid[0])
        assert box is not None, "there are valid pixels"
        for net, distance in (lpips or {}).items():
            distances[net] += float(lpips_in_box(distance, torch.lerp(one.color, color.clamp(0, 1), valid), one.color, box))
    if not pairs:
        return {}
    psnr = float(-10 * torch.log10(torch.tensor(squared / pixels)))
    means = {f"lpips_{net}/consistency": total / pairs for net, total in distances.items()}
    return {"psnr/consistency": psnr, **means, "depth/consistency": agreeing / pixels, "pairs/consistency": float(pairs)}


def neighbors(views: Sequence[Seen]) -> Iterator[tuple[Seen, Seen]]:
    """The pairs that are compared."""
    for index, step, sign in product(range(len(views)), NEIGHBORS, (-1, 1)):
        if 0 <= index + sign * step < len(views):
            yield views[index], views[index + sign * step]


@dataclass(frozen=True, eq=False)
class Carried:
    """What one view, the source, shows, at the pixels of another.

    Everything is 0 where the other sees nothing, or the source has the point out of its frame.
    """

    color: Float[Tensor, "1 3 h w"]
    known: Float[Tensor, "1 1 h w"]
    """1 where the point falls outside the source's hole."""
    hole: Float[Tensor, "1 1 h w"]
    """1 where it falls into that hole."""
    same: Float[Tensor, "1 1 h w"]
    """1 where the source sees that very point: its depth there is the point's."""


def carry(source: Seen, target: Seen) -> Carried:
    """What the source shows, carried to the target's pixels by the target's depth."""
    points = target.camera.unproject(target.depth)[0].reshape(-1, 3)
    pixels, depth = source.camera.project(points)
    size = torch.tensor([source.camera.width, source.camera.height]).to(pixels)
    grid = (pixels[0] / size * 2 - 1).clamp(-2, 2).reshape(1, *target.depth.shape[2:], 2)
    depth = depth.reshape(target.depth.shape)
    color = grid_sample(source.color, grid, mode="bilinear", padding_mode="border", align_corners=False)
    found = grid_sample(source.depth, grid, mode="nearest", align_corners=False)
    hole = grid_sample(source.hole, grid, mode="nearest", align_corners=False)
    looked_at = ((grid.abs() <= 1).all(dim=-1)[:, None] & (target.depth > 0) & (depth > 0)).to(color)
    same = (found > 0) & ((found - depth).abs() <= TOLERANCE * depth)
    return Carried(color * looked_at, (1 - hole) * looked_at, hole * looked_at, same * looked_at)


def gain(
    color: Float[Tensor, "1 3 h w"], wanted: Float[Tensor, "1 3 h w"], where: Float[Tensor, "1 1 h w"]
) -> Float[Tensor, "1 3 1 1"]:
    """The factors that make one picture as bright as another in the mean over an area, whatever their textures."""
    means = [(picture * where).sum(dim=(2, 3), keepdim=True) for picture in (color, wanted)]
    return means[1] / means[0].clamp_min(1e-6)
