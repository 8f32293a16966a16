"""Inpainting pictures of any size: each hole in a crop with context, resized to a size that the prior was trained on."""

import math
from collections.abc import Sequence

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

from splatpaint.image.harmonic import harmonic_fill
from splatpaint.image.region import Box, bounding_box, components
from splatpaint.image.resample import working_size
from splatpaint.priors.canvas import join_panels, split_panels
from splatpaint.priors.protocol import Prior, PriorQuery, Reference
from splatpaint.priors.sampling import partial_denoise

CONTEXT = 1.75
"""Side of a crop in units of the longer side of its hole (RefFusion and similar methods use 1.5 to 2)."""
CELLS = 8
"""Crop sides are multiples of this many latent cells, which a U-Net of four levels halves three times without remainder."""


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
    """The query's pictures with their holes inpainted; pixels outside the holes are bit-identical.

    Args:
        prior: the denoiser.
        query: pictures of any size. Each may have several holes, also at its border. A reference is joined to each crop as a
            pair (see canvas.py), which doubles the work.
        start: initial content of the holes, such as the current rendering; the harmonic fill of the known pixels if not given.
        strength: noise level from which denoising starts, 0 to 1; 0 keeps `start` (see `partial_denoise`).
        steps: denoiser calls per crop.
        size: side in pixels to which a square crop is resized; if not given, its own side, within the prior's training sizes.
        generator: random numbers of the noise, on the CPU.
        guidance: see `Prior.denoise`.

    Raises:
        ValueError: if the pictures are canvases.
    """
    if query.layout != "single":
        raise ValueError(
            f"a {query.layout} cannot be cut into crops: give single pictures, and the other view as their reference"
        )
    images, holes = query.images, query.holes
    smooth = harmonic_fill(images, holes)
    painted = smooth.clone() if start is None else torch.where(holes > 0.5, start, images)
    base = torch.lerp(painted, smooth, strength)
    smallest, largest = (size, size) if size else (prior.smallest_px, prior.native_px)
    for view in range(len(images)):
        for box in crop_boxes(holes[view], smallest):
            content, known, hole, coarse = (box.crop(each[view : view + 1]) for each in (painted, images, holes, base))
            side = min(max(math.sqrt(box.width * box.height), smallest), largest)
            shape = working_size(box.height, box.width, side_px=side, multiple=prior.codec.stride * CELLS, enlarge=True)
            small = PriorQuery(resized(known, shape), (resized(hole, shape) > 0).to(hole), query.prompt)
            reference = _reference_crop(query.reference, view, box, shape)
            done = _inpaint_crop(prior, small, resized(content, shape), reference, strength, steps, generator, guidance)
            # Only the change is enlarged, so that the kept share of the initial content keeps its detail.
            result = coarse + resized(done - resized(coarse, shape), (box.height, box.width))
            content.copy_(torch.where(hole > 0.5, result.clamp(0, 1), known))
    return painted


def _reference_crop(reference: Reference | None, view: int, box: Box, shape: tuple[int, int]) -> tuple[Tensor, Tensor] | None:
    """The reference and the mask of its unknown pixels in the crop; None if all of them are unknown."""
    if reference is None:
        return None
    image, unknown = (box.crop(each[view : view + 1]) for each in (reference.images, reference.unknown))
    unknown = (resized(unknown, shape) > 0).to(unknown)
    return None if bool(unknown.all()) else (resized(image, shape), unknown)


def _inpaint_crop(
    prior: Prior,
    query: PriorQuery,
    start: Tensor,
    reference: tuple[Tensor, Tensor] | None,
    strength: float,
    steps: int,
    generator: torch.Generator,
    guidance: float | None,
) -> Tensor:
    """The inpainted crop; with a reference it is the right panel of a pair."""
    if reference is not None:
        image, unknown = reference
        pair = (join_panels([image, query.images], "pair"), join_panels([unknown, query.holes], "pair"))
        query, start = PriorQuery(*pair, query.prompt, layout="pair"), join_panels([image, start], "pair")
    done = partial_denoise(prior, query, start, strength=strength, steps=steps, generator=generator, guidance=guidance)
    return split_panels(done, query.layout)[-1]


def crop_boxes(holes: Float[Tensor, "1 h w"], least_px: int) -> list[Box]:
    """Square crops around the holes of one picture, with context, at least `least_px` wide, moved or cut to lie inside it.

    Crops that overlap are joined: each hole is inpainted once, and no crop contains a hole that it takes for known.
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
    """The bounding boxes and a new one; boxes whose crops overlap are joined."""
    separate = []
    for box in tight:
        a, b = (_with_context(each, least_px, width, height) for each in (box, new))
        if max(a.left, b.left) < min(a.right, b.right) and max(a.top, b.top) < min(a.bottom, b.bottom):
            new = Box(min(box.left, new.left), min(box.top, new.top), max(box.right, new.right), max(box.bottom, new.bottom))
        else:
            separate.append(box)
    if len(separate) < len(tight):
        return _join(separate, new, least_px, width, height)
    return [*separate, new]


def _with_context(tight: Box, least_px: int, width: int, height: int) -> Box:
    side = max(math.ceil(CONTEXT * max(tight.width, tight.height)), least_px)
    left, right = _centered(tight.left, tight.right, side, width)
    top, bottom = _centered(tight.top, tight.bottom, side, height)
    return Box(left, top, right, bottom)


def _centered(low: int, high: int, side: int, limit: int) -> tuple[int, int]:
    """An interval of length `side` centered on [low, high], moved and, if longer than `limit`, cut to lie in [0, limit]."""
    side = min(side, limit)
    begin = min(max((low + high - side) // 2, 0), limit - side)
    return begin, begin + side


def resized(images: Float[Tensor, "v c h w"], shape: tuple[int, int]) -> Float[Tensor, "v c hb wb"]:
    """The pictures resized bilinearly, antialiased where they shrink; unchanged if they have that size."""
    if images.shape[2:] == shape:
        return images
    return F.interpolate(images, shape, mode="bilinear", antialias=True, align_corners=False)
