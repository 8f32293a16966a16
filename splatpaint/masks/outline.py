"""How far objects reach beyond the masks drawn on them, measured from the edges in the photos.

An object's outline is an edge in the photo. Pixel differences across the mask's outline, averaged over all its pixels and all
views by their distance from it, have one peak, where the objects end: inside the masks if those are drawn generously, outside
if they are drawn too small. Edges of the background fall everywhere alike and average out.
"""

from collections.abc import Iterable

import torch
from jaxtyping import Float
from torch import Tensor

from splatpaint.image.region import distance
from splatpaint.scene.photos import Photo

ALONG_NORMAL = 0.7
"""Pixel pairs count whose distances from the outline differ by more than this: they lie across it, not along it."""
HALF = 0.5
"""The object ends where differences fall below this share of the peak."""


def outline_overrun(photos: Iterable[Photo], *, search: float) -> float:
    """How far the objects reach beyond their masks, as a share of the longer image side; 0 where masks cover them.

    Args:
        photos: of one capture, with fill masks.
        search: the farthest that an outline is looked for on either side of the masks', as a share of the longer image side.
    """
    sums: Tensor | None = None
    side_px, reach = 0, 0
    for photo in photos:
        if not 0 < photo.fill.mean() < 1:
            continue
        if sums is None:
            side_px = max(photo.camera.width, photo.camera.height)
            reach = max(2, round(search * side_px))
            sums = photo.image.new_zeros(2, 2 * reach + 1)
        sums += _differences(photo, reach)
    if sums is None:
        return 0.0
    profile = sums[0] / sums[1].clamp_min(1)
    excess = profile - profile.median()
    high = torch.nonzero(excess >= HALF * excess.max())[:, 0]
    return max(0, int(high.max()) - reach) / side_px


def _differences(photo: Photo, reach: int) -> Float[Tensor, "2 _"]:
    """Sum of the differences of neighboring pixels, and their number, by signed distance of their border from the outline."""
    signed = distance(photo.fill) - distance(1 - photo.fill)
    signed = torch.where(signed > 0, signed - 0.5, signed + 0.5)[0, 0]  # from the border between pixels, not from a center
    result = photo.image.new_zeros(2, 2 * reach + 1)
    usable, image = photo.usable[0, 0], photo.image[0]
    for axis in (0, 1):
        count = signed.shape[axis] - 1
        here, there = (tensor.narrow(axis, start, count) for start in (0, 1) for tensor in (signed,))
        across = ((there - here).abs() > ALONG_NORMAL) * usable.narrow(axis, 0, count) * usable.narrow(axis, 1, count)
        difference = (image.narrow(axis + 1, 1, count) - image.narrow(axis + 1, 0, count)).abs().mean(dim=0)
        place = ((here + there) / 2).round().long() + reach
        within = (place >= 0) & (place <= 2 * reach)
        values = torch.stack([difference * across, across])[:, within]
        result.index_add_(1, place[within], values)
    return result
