"""Pixel regions: dilation, erosion, bounding boxes and means of masks.

Masks are float, (v, 1, h, w), 1 = inside. Distances are Euclidean, in pixels, so every structuring element is a disc.
"""

import math
from dataclasses import dataclass

import torch
from jaxtyping import Float, Int, Shaped
from torch import Tensor
from torch.nn.functional import max_pool2d


@dataclass(frozen=True)
class Box:
    """A pixel rectangle: `left <= x < right`, `top <= y < bottom`."""

    left: int
    top: int
    right: int
    bottom: int

    @property
    def width(self) -> int:
        """Columns."""
        return self.right - self.left

    @property
    def height(self) -> int:
        """Rows."""
        return self.bottom - self.top

    def crop(self, images: Shaped[Tensor, "*lead h w"]) -> Shaped[Tensor, "*lead hb wb"]:
        """The part of the pictures inside the box."""
        return images[..., self.top : self.bottom, self.left : self.right]

    def grown(self, share: float, *, width: int, height: int, least_px: int = 0) -> "Box":
        """The box grown on each side by a share of its size, at least `least_px` pixels, and clipped to the image."""
        dx, dy = (max(math.ceil(share * extent), least_px) for extent in (self.width, self.height))
        return Box(
            left=max(0, self.left - dx),
            top=max(0, self.top - dy),
            right=min(width, self.right + dx),
            bottom=min(height, self.bottom + dy),
        )


def masked_mean(values: Float[Tensor, "v c h w"], region: Float[Tensor, "v 1 h w"] | None = None) -> Float[Tensor, " v"]:
    """The mean of each view over channels and over the pixels of a region (weights; all pixels if not given).

    NaN for a view whose region is empty.
    """
    means = values.mean(dim=1)
    if region is None:
        return means.mean(dim=(1, 2))
    weights = region[:, 0]
    return (means * weights).sum(dim=(1, 2)) / weights.sum(dim=(1, 2))


def dilate(mask: Float[Tensor, "v 1 h w"], radius_px: int | float) -> Float[Tensor, "v 1 h w"]:
    """1 at every pixel within `radius_px` of an inside pixel."""
    dilated = torch.zeros_like(mask)
    box = bounding_box(mask.amax(dim=0), grow=0.0, least_px=math.ceil(radius_px))
    if box is not None:  # no pixel outside is near enough
        box.crop(dilated).copy_(distance(box.crop(mask)) <= radius_px)
    return dilated


def erode(mask: Float[Tensor, "v 1 h w"], radius_px: int | float) -> Float[Tensor, "v 1 h w"]:
    """1 at every pixel without an outside pixel within `radius_px`; pixels beyond the image border count as inside."""
    return (distance(1 - mask) > radius_px).to(mask.dtype)


def ring(mask: Float[Tensor, "v 1 h w"], width_px: int | float = 16) -> Float[Tensor, "v 1 h w"]:
    """1 at every pixel outside the mask within `width_px` of it."""
    return dilate(mask, width_px) * (mask <= 0.5)


def distance(mask: Float[Tensor, "v 1 h w"]) -> Float[Tensor, "v 1 h w"]:
    """Distance to the nearest inside pixel in pixels (center to center), 0 inside; infinite if the mask of a view is empty."""
    from scipy.ndimage import distance_transform_edt

    inside = mask[:, 0] > 0.5
    fields = torch.full(inside.shape, torch.inf, dtype=mask.dtype)
    for field, view in zip(fields, inside.cpu().numpy(), strict=True):
        if view.any():
            field.copy_(torch.from_numpy(distance_transform_edt(~view)))
    return fields[:, None].to(mask.device)


def bounding_box(mask: Float[Tensor, "1 h w"], *, grow: float = 0.1, least_px: int = 0) -> Box | None:
    """The bounding box of one view's mask, grown as in `Box.grown`; None if the mask is empty."""
    ys, xs = torch.nonzero(mask[0] > 0.5, as_tuple=True)
    if len(ys) == 0:
        return None
    tight = Box(left=int(xs.min()), top=int(ys.min()), right=int(xs.max()) + 1, bottom=int(ys.max()) + 1)
    return tight.grown(grow, width=mask.shape[-1], height=mask.shape[-2], least_px=least_px)


def to_cells(mask: Float[Tensor, "v 1 h w"], stride: int) -> Float[Tensor, "v 1 hl wl"]:
    """The mask on the grid of a latent codec: a cell is inside if any of its pixels is.

    A cell that is partly hole must be painted whole; bilinear resizing would leak content of the hole.
    """
    return max_pool2d(mask, stride, ceil_mode=True)


def components(mask: Float[Tensor, "1 h w"]) -> tuple[Int[Tensor, "h w"], int]:
    """Labels of 8-connected components of one view's mask (from 1 by decreasing area; 0 outside), and their number."""
    import cv2

    _, labels, stats, _ = cv2.connectedComponentsWithStats((mask[0] > 0.5).byte().cpu().numpy(), connectivity=8)
    areas = torch.from_numpy(stats[1:, cv2.CC_STAT_AREA])
    order = torch.argsort(areas, descending=True, stable=True)
    rank = torch.zeros(len(areas) + 1, dtype=torch.int64)
    rank[1 + order] = torch.arange(1, len(areas) + 1)
    return rank[torch.from_numpy(labels).long()].to(mask.device), len(areas)
