"""Where holes can be practiced: on surface that a view's photo shows, that looks like what surrounds the real hole."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float
from torch import Tensor
from torch.nn import functional as F

from splatpaint.fill.consensus import area_in_context
from splatpaint.fill.views import ObservedView
from splatpaint.image.region import Box, bounding_box, components, dilate, ring
from splatpaint.image.texture_distance import COLOR_WEIGHT, gradient_strength
from splatpaint.masks.visibility import SURFACE
from splatpaint.priors.crops import resized

MAX_HOLES = 4
"""Number of practice holes, one a view: of the views with the largest holes in context, the first that have room."""
SCALES = (1.0, 0.75, 0.5)
"""Sizes of a practice hole in units of the real one."""
MORE_UNLIKE = 0.02
"""The largest is taken that is on surface no more unlike than this against the others, in units of `texture_distance`."""
MARGIN_PX = 4
"""Around a practice hole so much surface is known on all sides; pixels of a 480-px image."""
BESIDE_PX = 16
"""Surface this near to the real hole says what depth and looks are practiced on; pixels of a 480-px image."""
DEPTH_SHARE = 0.2
"""Surface is practiced on that is nearer or farther than all that surrounds the real hole by no more than this share."""
FAR_COST = 0.02
"""Cost of a place one size of the hole away from it, in units of `texture_distance`."""
CONTEXT = 1.0
"""A practice hole is painted in a crop grown by this share of its size on each side."""


@dataclass(frozen=True, eq=False)
class PracticeHole:
    """A hole whose truth is known, in a crop of a view."""

    view: ObservedView
    """The view."""
    box: Box
    """The crop, in the view's pixels."""
    hole: Bool[Tensor, "1 1 hb wb"]
    """Where the crop is painted."""


def practice_holes(views: Sequence[ObservedView]) -> Iterator[PracticeHole]:
    """At most `MAX_HOLES` practice holes, in views of the largest holes in context."""
    holed = [view for view in views if view.unobserved.any()]
    found = 0
    for view in sorted(holed, key=lambda each: -area_in_context(each.unobserved, each.observed)):
        practice = practice_hole(view)
        if practice is not None:
            yield practice
            found += 1
        if found == MAX_HOLES:
            return


def practice_hole(view: ObservedView) -> PracticeHole | None:
    """The hole of the view, moved, and if need be mirrored and scaled down, to surface like that around it: as large as it can
    be where a smaller one would not be on surface that is more alike.

    None if nowhere in the view there is room for it. The practice hole and a margin around it overlap neither holes nor what
    the photo does not show, and are at about the depth of what surrounds the real hole.
    """
    labels, _ = components(view.unobserved[0])
    largest = (labels == 1)[None, None].to(view.depth)
    tight = bounding_box(largest[0], grow=0.0)
    assert tight is not None, "the view has a hole"
    surface = _Surface.around(view, largest, tight)
    margin = round(view.camera.px(MARGIN_PX))
    found = []
    for scale in SCALES:
        size = (max(1, round(scale * tight.height)), max(1, round(scale * tight.width)))
        scaled = (resized(tight.crop(largest), size) > 0.5).to(largest)
        flipped = (scaled.flip(axes) for axes in ((), (3,), (2,), (2, 3)))
        places = [place for mask in flipped if (place := surface.best_place(mask, margin)) is not None]
        found += [min(places, key=lambda place: place.cost)] if places else []
    if not found:
        return None
    least = min(place.unlike for place in found)
    whole = next(place for place in found if place.unlike <= least + MORE_UNLIKE).hole
    box = bounding_box(whole[0], grow=CONTEXT)
    assert box is not None, "a hole has pixels at half its size too"
    return PracticeHole(view, box, box.crop(whole) > 0)


@dataclass(frozen=True, eq=False)
class _Place:
    hole: Float[Tensor, "1 1 h w"]
    unlike: float
    """Difference from the looks around the real hole, in units of `texture_distance`."""
    cost: float
    """With the distance to the real hole."""


@dataclass(frozen=True, eq=False)
class _Surface:
    """Where a photo shows surface at about the depth of what surrounds a hole, and how unlike that it looks there."""

    free: Bool[Tensor, "1 1 h w"]
    unlike: Float[Tensor, "1 h w"]
    """Difference of color and gradient strength from their means around the hole, in units of `texture_distance`."""
    center: tuple[float, float]
    """Row and column of the hole's center."""
    size: float
    """Side of a square of the area of the hole's bounding box."""

    @classmethod
    def around(cls, view: ObservedView, hole: Float[Tensor, "1 1 h w"], tight: Box) -> "_Surface":
        surface = (view.observed > 0) & ~view.in_fill_region & (view.alpha >= SURFACE) & (view.depth > 0)
        beside = surface & (ring(hole, view.camera.px(BESIDE_PX)) > 0)
        looks = torch.cat([view.image * COLOR_WEIGHT / 3, gradient_strength(view.image)], dim=1)[0]
        if beside.any():
            nearest, farthest = view.depth[beside].min(), view.depth[beside].max()
            surface &= (view.depth >= nearest / (1 + DEPTH_SHARE)) & (view.depth <= farthest * (1 + DEPTH_SHARE))
        else:
            surface = beside
        wanted = looks[:, beside[0, 0]].mean(dim=1) if beside.any() else looks.new_zeros(4)
        center = (tight.top + tight.height / 2, tight.left + tight.width / 2)
        unlike = (looks - wanted[:, None, None]).abs().sum(dim=0, keepdim=True)
        return cls(surface, unlike, center, (tight.height * tight.width) ** 0.5)

    def best_place(self, mask: Float[Tensor, "1 1 a b"], margin: int) -> _Place | None:
        """The place for a mask that is free with a margin, looks like what surrounds the hole, and is near to it."""
        (height, width), (rows, columns) = self.free.shape[2:], (extent + 2 * margin for extent in mask.shape[2:])
        if rows > height or columns > width:
            return None
        mask = F.pad(mask, (margin,) * 4)
        blocked = _sums_under((~self.free[0]).to(mask), dilate(mask, margin)[0, 0])[0]
        tops, lefts = torch.nonzero(blocked < 0.5, as_tuple=True)
        if len(tops) == 0:
            return None
        unlike = _sums_under(self.unlike, mask[0, 0])[0, tops, lefts] / mask.sum()
        far = torch.hypot(tops + rows / 2 - self.center[0], lefts + columns / 2 - self.center[1])
        cost = unlike + FAR_COST * far / self.size
        best = cost.argmin()
        hole = torch.zeros_like(self.free, dtype=mask.dtype)
        hole[..., tops[best] : tops[best] + rows, lefts[best] : lefts[best] + columns] = mask
        return _Place(hole, float(unlike[best]), float(cost[best]))


def _sums_under(maps: Float[Tensor, "c h w"], mask: Float[Tensor, "a b"]) -> Float[Tensor, "c h2 w2"]:
    """The sum of each map under the mask, for every place of its top left corner that has it inside the map; by FFT."""
    (height, width), (rows, columns) = maps.shape[1:], mask.shape
    size = (height + rows, width + columns)
    spectrum = torch.fft.rfft2(maps, s=size) * torch.fft.rfft2(mask, s=size).conj()
    return torch.fft.irfft2(spectrum, s=size)[:, : height - rows + 1, : width - columns + 1]
