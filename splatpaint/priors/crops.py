"""Painting the holes of whole pictures: each in a crop with its surroundings, at about the size that the prior knows."""

import math
from collections.abc import Sequence

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

from splatpaint.image.harmonic import harmonic_fill
from splatpaint.image.region import Box, bounding_box, components
from splatpaint.priors.canvas import join_panels, split_panels
from splatpaint.priors.protocol import Prior, PriorQuery, Reference
from splatpaint.priors.sampling import partial_denoise

CONTEXT = 1.75
"""Side of a crop in units of the longer side of its hole (RefFusion and its kin use 1.5 to 2)."""
CELLS = 8
"""Sides of crops are resized to multiples of this many latent cells, which a U-Net of four levels halves without remainder."""


def inpaint(
    prior: Prior,
    query: PriorQuery,
    *,
    start: Float[Tensor, "v 3 h w"] | None = None,
    strength: float = 1.0,
    steps: int = 4,
    size: int | None = None,
    generator: torch.Generator,
    guidance: float | None = None,
) -> Float[Tensor, "v 3 h w"]:
    """The query's pictures, of any size, with every hole painted; pixels outside the holes are bit-identical.

    Args:
        prior: paints.
        query: what is known. Holes may be anywhere, several a picture, and reach over the border. A reference is put beside
            each crop (see canvas.py), which doubles the work.
        start: a first guess of the holes' content, such as the current rendering; the membrane over what is known if not given.
        strength: how much of the guess is given up, 0 to 1 (see `partial_denoise`).
        steps: denoiser calls a crop.
        size: side in pixels at which a square crop is painted; if not given, its own, within what the prior was trained on.
        generator: draws the noise, on the CPU.
        guidance: see `Prior.denoise`.

    Raises:
        ValueError: if the pictures are canvases.
    """
    if query.layout != "single":
        raise ValueError(
            f"a {query.layout} cannot be cut into crops: give single pictures, and what they shall be painted beside"
        )
    images, holes = query.images, query.holes
    membrane = harmonic_fill(images, holes)
    painted = membrane.clone() if start is None else torch.where(holes > 0.5, start, images)
    base = torch.lerp(painted, membrane, strength)
    smallest, largest = (size, size) if size else (prior.smallest_px, prior.native_px)
    for view in range(len(images)):
        for box in crop_boxes(holes[view], smallest):
            guess, known, hole, coarse = (box.crop(each[view : view + 1]) for each in (painted, images, holes, base))
            side = min(max(math.sqrt(box.width * box.height), smallest), largest)
            shape = working_shape(box, side, prior.codec.stride * CELLS)
            small = PriorQuery(resized(known, shape), (resized(hole, shape) > 0).to(hole), query.prompt)
            beside = _beside(query.reference, view, box, shape)
            done = _painted(prior, small, resized(guess, shape), beside, strength, steps, generator, guidance)
            # Enlarged as a change, so that the detail of the guess survives as far as the guess is kept.
            fresh = coarse + resized(done - resized(coarse, shape), (box.height, box.width))
            guess.copy_(torch.where(hole > 0.5, fresh.clamp(0, 1), known))
    return painted


def _beside(reference: Reference | None, view: int, box: Box, shape: tuple[int, int]) -> tuple[Tensor, Tensor] | None:
    """What the reference shows in the crop, and where it says nothing; None if that is everywhere."""
    if reference is None:
        return None
    image, unknown = (box.crop(each[view : view + 1]) for each in (reference.images, reference.unknown))
    unknown = (resized(unknown, shape) > 0).to(unknown)
    return None if bool(unknown.all()) else (resized(image, shape), unknown)


def _painted(
    prior: Prior,
    query: PriorQuery,
    guess: Tensor,
    beside: tuple[Tensor, Tensor] | None,
    strength: float,
    steps: int,
    generator: torch.Generator,
    guidance: float | None,
) -> Tensor:
    """The crop painted, in the right half of a pair if there is something to look at."""
    if beside is not None:
        image, unknown = beside
        pair = (join_panels([image, query.images], "pair"), join_panels([unknown, query.holes], "pair"))
        query, guess = PriorQuery(*pair, query.prompt, layout="pair"), join_panels([image, guess], "pair")
    done = partial_denoise(prior, query, guess, strength=strength, steps=steps, generator=generator, guidance=guidance)
    return split_panels(done, query.layout)[-1]


def crop_boxes(holes: Float[Tensor, "1 h w"], least_px: int) -> list[Box]:
    """Squares around the holes of one picture, with context and at least `least_px` wide, moved or cut to lie inside it.

    Squares that overlap are joined, so every hole is painted once and no crop takes an unpainted hole for known.
    """
    height, width = holes.shape[1:]
    labels, count = components(holes)
    boxes: list[Box] = []
    for label in range(1, count + 1):
        tight = bounding_box((labels[None] == label).to(holes), grow=0.0)
        assert tight is not None, "a component has pixels"
        boxes = _join(boxes, tight, least_px, width, height)
    return [_with_context(box, least_px, width, height) for box in boxes]


def _join(tight: Sequence[Box], new: Box, least_px: int, width: int, height: int) -> list[Box]:
    """The tight boxes with a new one, those joined whose crops overlap."""
    apart = []
    for box in tight:
        a, b = (_with_context(each, least_px, width, height) for each in (box, new))
        if max(a.left, b.left) < min(a.right, b.right) and max(a.top, b.top) < min(a.bottom, b.bottom):
            new = Box(min(box.left, new.left), min(box.top, new.top), max(box.right, new.right), max(box.bottom, new.bottom))
        else:
            apart.append(box)
    if len(apart) < len(tight):
        return _join(apart, new, least_px, width, height)
    return [*apart, new]


def _with_context(tight: Box, least_px: int, width: int, height: int) -> Box:
    side = max(math.ceil(CONTEXT * max(tight.width, tight.height)), least_px)
    left, right = _centered(tight.left, tight.right, side, width)
    top, bottom = _centered(tight.top, tight.bottom, side, height)
    return Box(left, top, right, bottom)


def _centered(low: int, high: int, side: int, limit: int) -> tuple[int, int]:
    """An interval of the given length around another, moved, and if need be cut, to lie within 0 to `limit`."""
    side = min(side, limit)
    begin = min(max((low + high - side) // 2, 0), limit - side)
    return begin, begin + side


def working_shape(box: Box, side: int | float, multiple: int) -> tuple[int, int]:
    """Height and width at which a box is painted: about the area of a square of the given side, the box's own aspect."""
    scale = side / math.sqrt(box.width * box.height)
    height, width = (max(multiple, round(extent * scale / multiple) * multiple) for extent in (box.height, box.width))
    return height, width


def resized(images: Float[Tensor, "v c h w"], shape: tuple[int, int]) -> Float[Tensor, "v c hb wb"]:
    """The pictures at another size, averaging where they shrink; of the same size untouched."""
    if images.shape[2:] == shape:
        return images
    return F.interpolate(images, shape, mode="bilinear", antialias=True, align_corners=False)
