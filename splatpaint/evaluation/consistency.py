"""Whether a fill is one thing seen from many places, or another picture in every view.

The hole of one view is painted a second time with what a neighboring view shows there, carried over by rendered depth, and the
two are compared. Points that the neighbor does not see (out of its frame, or behind something) do not count.
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
from splatpaint.image.region import bounding_box
from splatpaint.scene.camera import Cameras

NEIGHBORS = (1, 4)
"""Every view is compared with those this many places before and after it: one near, one farther."""
TOLERANCE = 0.03
"""Relative difference of depths up to which a point counts as the surface that the neighbor sees."""
MIN_PIXELS = 64
"""Pairs that share less of the hole say nothing."""


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
        `psnr/consistency` (dB, the squared errors of all pairs pooled), `lpips_NET/consistency` (mean over pairs) and
        `pairs/consistency`; empty if no two views share a hole.
    """
    squared, pixels, pairs = 0.0, 0.0, 0
    distances: dict[str, float] = dict.fromkeys(lpips or {}, 0.0)
    for one, other in neighbors(views):
        carried, valid = carry(other, one)
        if valid.sum() < MIN_PIXELS:
            continue
        pairs += 1
        squared += float(((carried - one.color).square().mean(dim=1, keepdim=True) * valid).sum())
        pixels += float(valid.sum())
        box = bounding_box(valid[0])
        assert box is not None, "there are valid pixels"
        for net, distance in (lpips or {}).items():
            distances[net] += float(lpips_in_box(distance, torch.lerp(one.color, carried, valid), one.color, box))
    if not pairs:
        return {}
    psnr = float(-10 * torch.log10(torch.tensor(squared / pixels)))
    means = {f"lpips_{net}/consistency": total / pairs for net, total in distances.items()}
    return {"psnr/consistency": psnr, **means, "pairs/consistency": float(pairs)}


def neighbors(views: Sequence[Seen]) -> Iterator[tuple[Seen, Seen]]:
    """The pairs that are compared."""
    for index, step, sign in product(range(len(views)), NEIGHBORS, (-1, 1)):
        if 0 <= index + sign * step < len(views):
            yield views[index], views[index + sign * step]


def carry(source: Seen, target: Seen) -> tuple[Float[Tensor, "1 3 h w"], Float[Tensor, "1 1 h w"]]:
    """What one view shows, carried to another's pixels, and where in the target's hole that is known (1)."""
    points = target.camera.unproject(target.depth)[0].reshape(-1, 3)
    pixels, depth = source.camera.project(points)
    size = torch.tensor([source.camera.width, source.camera.height]).to(pixels)
    grid = (pixels[0] / size * 2 - 1).clamp(-2, 2).reshape(1, *target.depth.shape[2:], 2)
    depth = depth.reshape(target.depth.shape)
    color = grid_sample(source.color, grid, mode="bilinear", padding_mode="border", align_corners=False)
    found = grid_sample(source.depth, grid, mode="nearest", align_corners=False)
    inside = (grid.abs() <= 1).all(dim=-1)[:, None]
    same = (found - depth).abs() <= TOLERANCE * depth
    valid = (target.hole > 0) & (target.depth > 0) & (depth > 0) & inside & same
    return color, valid.to(target.hole)
