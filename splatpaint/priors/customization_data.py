"""What a prior learns a scene from: crops of its photos with holes to be painted, in which the object never teaches.

The object's pixels are replaced by the membrane before a codec sees them, they count as hole, and have no weight (MALD-NeRF:
else the object is learned back). Holes are the scene's own masks moved elsewhere, random shapes, and everything; crops are
whole pictures and parts of them (RefFusion's global and local crops); some are pairs of a picture and its neighbor.
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

LEAST_KNOWN = 0.3
"""Crops of which less is known are drawn again."""
TRIES = 20


@dataclass(frozen=True)
class LessonConfig:
    """What is drawn."""

    own_mask_share: float = 0.2
    """Of the holes, masks of the scene."""
    all_hole_share: float = 0.1
    """Of the crops, nothing is known; the rest of the holes are random shapes."""
    global_share: float = 0.3
    """Of the crops, as much of a picture as a square holds."""
    pair_share: float = 0.0
    """Of the batches, `[neighbor | picture]`: for priors that shall paint holes beside another view."""


@dataclass(frozen=True, eq=False)
class KnownPicture:
    """A photo of the scene and where it may teach."""

    image: Float[Tensor, "1 3 h w"]
    known: Float[Tensor, "1 1 h w"]
    """0 where the object is, or what else must not be learned."""
    object: Float[Tensor, "1 1 h w"]
    """1 where the object is: its outline is what holes look like here."""


@dataclass(frozen=True, eq=False)
class Lesson:
    """A batch to learn from."""

    layout: Layout
    images: Float[Tensor, "v 3 h w"]
    """Without the object."""
    holes: Float[Tensor, "v 1 h w"]
    """To be painted; the object's place among them."""
    taught: Float[Tensor, "v 1 h w"]
    """1 where the pictures say what is right, 0 where the object is and in references."""


def draw_lesson(
    pictures: Sequence[KnownPicture], config: LessonConfig, count: int, side: int, rng: np.random.Generator
) -> Lesson:
    """Square crops, or pairs of them, of the given side in pixels."""
    layout: Layout = "pair" if rng.random() < config.pair_share else "single"
    batch = [_draw_one(pictures, side, config, rng, layout) for _ in range(count)]
    return Lesson(layout, *(torch.cat(parts) for parts in zip(*batch, strict=True)))


def _draw_one(
    pictures: Sequence[KnownPicture], side: int, config: LessonConfig, rng: np.random.Generator, layout: Layout
) -> tuple[Tensor, Tensor, Tensor]:
    """Picture without the object, hole, where it is taught: (1, 3, h, w) and twice (1, 1, h, w)."""
    place = int(rng.integers(len(pictures)))
    image, known = _known_crop(pictures[place], side, config.global_share, rng)
    hole = torch.maximum(_hole(pictures, side, config, rng).to(known), 1 - known)
    if layout == "single":
        return image, hole, known
    neighbor = pictures[place - 1 if place else min(1, len(pictures) - 1)]
    reference, seen = _known_crop(neighbor, side, 1.0, rng)
    parts = ((reference, image), (1 - seen, hole), (torch.zeros_like(seen), known))
    joined = [join_panels(part, layout) for part in parts]
    return joined[0], joined[1], joined[2]


def _known_crop(picture: KnownPicture, side: int, global_share: float, rng: np.random.Generator) -> tuple[Tensor, Tensor]:
    """A square of the picture with the membrane in the object's place, and what is known of it, both at the given side."""
    height, width = picture.image.shape[2:]
    for _ in range(TRIES):
        box = _square(height, width, side, rng.random() < global_share, rng)
        known = box.crop(picture.known)
        if known.mean() >= LEAST_KNOWN:
            break
    else:
        box, known = Box(0, 0, width, height), picture.known
    image = harmonic_fill(box.crop(picture.image), 1 - known) if known.any() else torch.full_like(box.crop(picture.image), 0.5)
    small = F.interpolate(image, (side, side), mode="bilinear", antialias=True, align_corners=False).clamp(0, 1)
    # A pixel that is only partly known is not known.
    return small, (F.interpolate(known, (side, side), mode="bilinear", antialias=True, align_corners=False) > 0.999).to(known)


def _square(height: int, width: int, side: int, whole: bool, rng: np.random.Generator) -> Box:
    short = min(height, width)
    size = short if whole else int(rng.uniform(min(side, 0.5 * short), short + 1))
    left, top = (int(rng.integers(extent - size + 1)) for extent in (width, height))
    return Box(left, top, left + size, top + size)


def _hole(pictures: Sequence[KnownPicture], side: int, config: LessonConfig, rng: np.random.Generator) -> Tensor:
    kind = rng.random()
    if kind < config.all_hole_share:
        return torch.ones(1, 1, side, side)
    if kind < config.all_hole_share + config.own_mask_share:
        shape = _own_shape(pictures[int(rng.integers(len(pictures)))].object[0])
        if shape is not None:
            return _placed(shape, side, rng)
    return random_holes(1, side, side, rng)


def _own_shape(mask: Float[Tensor, "1 h w"]) -> Tensor | None:
    """The outline of a picture's object, cut out; None if it has none."""
    box = bounding_box(mask, grow=0.0)
    return None if box is None else box.crop(mask)[None]


def _placed(shape: Tensor, side: int, rng: np.random.Generator) -> Tensor:
    """An outline somewhere in a square, a quarter to three quarters of its side long."""
    longest = rng.uniform(0.25, 0.75) * side
    scale = longest / max(shape.shape[2:])
    height, width = (max(1, round(extent * scale)) for extent in shape.shape[2:])
    small = F.interpolate(shape, (height, width), mode="nearest")
    top, left = (int(rng.integers(side - extent + 1)) for extent in (height, width))
    return F.pad(small, (left, side - left - width, top, side - top - height))
