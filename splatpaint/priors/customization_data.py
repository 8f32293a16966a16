"""Training batches for the customization of a prior: random crops of a scene's photos with random holes.

The object must not be learned (MALD-NeRF, sec. 3.2). Its pixels are replaced by the harmonic fill before they are encoded, are
hole in every batch, and have no weight in the loss. Holes are object masks at other places, random shapes, or the whole crop.
Crops are the largest squares of a photo, or smaller ones (RefFusion's global and local crops). Some batches are pairs of a
photo and its neighbor.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

from splatpaint.image.harmonic import harmonic_fill
from splatpaint.image.region import Box, bounding_box
from splatpaint.priors.canvas import Layout, join_panels
from splatpaint.priors.random_holes import random_holes

OBJECT_MASK_SHARE = 0.2
"""Share of the holes with the outline of an object mask, so that the scene's own holes are among them."""
ALL_HOLE_SHARE = 0.1
"""Share of the crops that are hole everywhere; the remaining holes are random shapes."""
LARGEST_CROP_SHARE = 0.3
"""Share of the crops that are the largest square of a photo."""
MIN_KNOWN_SHARE = 0.3
"""Crops with a smaller share of known pixels are drawn again."""
TRIES = 20
"""Draws of a crop before the whole photo is taken."""


@dataclass(frozen=True, eq=False)
class MaskedPhoto:
    """A photo of the scene, its known pixels and its object mask."""

    image: Float[Tensor, "1 3 h w"]
    known: Float[Tensor, "1 1 h w"]
    """1 = may be learned; 0 at the object and at ignored pixels."""
    object: Float[Tensor, "1 1 h w"]
    """1 = object."""


@dataclass(frozen=True, eq=False)
class TrainingBatch:
    """Crops with holes; all of one layout."""

    layout: Layout
    images: Float[Tensor, "v 3 h w"]
    """sRGB in [0, 1], the harmonic fill in place of the object."""
    holes: Float[Tensor, "v 1 h w"]
    """1 = to be inpainted; includes the object."""
    supervised: Float[Tensor, "v 1 h w"]
    """1 = pixel has weight in the loss; 0 at the object and in reference panels."""


def draw_batch(
    photos: Sequence[MaskedPhoto],
    count: int,
    side: int,
    rng: np.random.Generator,
    *,
    pair_share: float = 0.0,
    object_mask_share: float = OBJECT_MASK_SHARE,
    all_hole_share: float = ALL_HOLE_SHARE,
) -> TrainingBatch:
    """A random batch.

    Args:
        photos: in the order of the capture, so that neighbors see the same things.
        count: number of crops or pairs.
        side: of the crops, in pixels.
        rng: random numbers.
        pair_share: probability that the batch has pairs `[neighbor | photo]`.
        object_mask_share: share of the holes with the outline of an object mask.
        all_hole_share: share of the crops that are hole everywhere.
    """
    layout: Layout = "pair" if rng.random() < pair_share else "single"
    batch = [_draw_one(photos, side, rng, layout, object_mask_share, all_hole_share) for _ in range(count)]
    return TrainingBatch(layout, *(torch.cat(parts) for parts in zip(*batch, strict=True)))


def _draw_one(
    photos: Sequence[MaskedPhoto],
    side: int,
    rng: np.random.Generator,
    layout: Layout,
    object_mask_share: float,
    all_hole_share: float,
) -> tuple[Tensor, Tensor, Tensor]:
    """Image (1, 3, h, w), hole and supervised pixels (1, 1, h, w)."""
    index = int(rng.integers(len(photos)))
    image, known = _known_crop(photos[index], side, LARGEST_CROP_SHARE, rng)
    hole = torch.maximum(_hole(photos, side, rng, object_mask_share, all_hole_share).to(known), 1 - known)
    if layout == "single":
        return image, hole, known
    neighbor = photos[index - 1 if index else min(1, len(photos) - 1)]
    reference, reference_known = _known_crop(neighbor, side, 1.0, rng)
    parts = ((reference, image), (1 - reference_known, hole), (torch.zeros_like(reference_known), known))
    joined = [join_panels(part, layout) for part in parts]
    return joined[0], joined[1], joined[2]


def _known_crop(photo: MaskedPhoto, side: int, largest_share: float, rng: np.random.Generator) -> tuple[Tensor, Tensor]:
    """A square of the photo, the harmonic fill in place of unknown pixels, and its known pixels, resized to the side."""
    height, width = photo.image.shape[2:]
    for _ in range(TRIES):
        box = _square(height, width, side, rng.random() < largest_share, rng)
        known = box.crop(photo.known)
        if known.mean() >= MIN_KNOWN_SHARE:
            break
    else:
        box, known = Box(0, 0, width, height), photo.known
    image = harmonic_fill(box.crop(photo.image), 1 - known) if known.any() else torch.full_like(box.crop(photo.image), 0.5)
    small = F.interpolate(image, (side, side), mode="bilinear", antialias=True, align_corners=False).clamp(0, 1)
    # A resized pixel is known only if all pixels it averages are.
    return small, (F.interpolate(known, (side, side), mode="bilinear", antialias=True, align_corners=False) > 0.999).to(known)


def _square(height: int, width: int, side: int, largest: bool, rng: np.random.Generator) -> Box:
    short = min(height, width)
    size = short if largest else int(rng.uniform(min(side, 0.5 * short), short + 1))
    left, top = (int(rng.integers(extent - size + 1)) for extent in (width, height))
    return Box(left, top, left + size, top + size)


def _hole(
    photos: Sequence[MaskedPhoto], side: int, rng: np.random.Generator, object_mask_share: float, all_hole_share: float
) -> Tensor:
    kind = rng.random()
    if kind < all_hole_share:
        return torch.ones(1, 1, side, side)
    if kind < all_hole_share + object_mask_share:
        outline = _object_outline(photos[int(rng.integers(len(photos)))].object[0])
        if outline is not None:
            return _placed(outline, side, rng)
    return random_holes(1, side, side, rng)


def _object_outline(mask: Float[Tensor, "1 h w"]) -> Tensor | None:
    """The object mask cut to its bounding box; None if it is empty."""
    box = bounding_box(mask, grow=0.0)
    return None if box is None else box.crop(mask)[None]


def _placed(outline: Tensor, side: int, rng: np.random.Generator) -> Tensor:
    """The mask at a random place in a square, its longer side resized to 0.25 to 0.75 of the square's."""
    longest = rng.uniform(0.25, 0.75) * side
    scale = longest / max(outline.shape[2:])
    height, width = (max(1, round(extent * scale)) for extent in outline.shape[2:])
    small = F.interpolate(outline, (height, width), mode="nearest")
    top, left = (int(rng.integers(side - extent + 1)) for extent in (height, width))
    return F.pad(small, (left, side - left - width, top, side - top - height))
